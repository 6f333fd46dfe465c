"""The control stream's framing: records of a varint length and that many bytes of JSON, one event each.

A record whose frame is broken ends the session (`WireError`), for nothing behind it can be read. A record
that is no event, or no valid one, is an `EventError`: it is answered and the call goes on.
"""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, get_args

import msgspec

from edge.errors import EdgeError
from edge.voice import control, varint
from edge.voice.control_base import EventId
from edge.voice.errors import WireError

MAX_RECORD = 64 * 1024
"""Bytes of JSON in one record."""
MAX_MESSAGE = 300
"""Characters of an explanation."""


class EventError(EdgeError):
    """An event of the peer makes no sense to this end. ``code`` is for a program, the message for a person.

    The message may quote the peer and is cut short, for the peer is sent it back.
    """

    def __init__(self, code: str, message: str, event_id: str | None = None) -> None:
        super().__init__(message[:MAX_MESSAGE])
        self.code = code
        self.event_id = event_id


class UnknownEvent(msgspec.Struct, frozen=True):
    """Well-formed, but not of the vocabulary: ``fields`` is the whole of it."""

    type: str
    event_id: str | None
    fields: dict[str, Any]


class PassedOnEvent(msgspec.Struct, frozen=True):
    """An event for the backend: ``event`` is what is known of it here, ``fields`` the whole."""

    event: control.PassedOn
    fields: dict[str, Any]


OpenEvent = PassedOnEvent | UnknownEvent
"""Events that are more than this vocabulary knows of them."""


def encode(event: control.Event | Mapping[str, Any]) -> bytes:
    """One record. Raises ValueError if it is longer than `MAX_RECORD` or cannot be said in JSON."""
    try:
        payload = msgspec.json.encode(event)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not an event: {error}") from error
    if len(payload) > MAX_RECORD:
        raise ValueError(f"control record of {len(payload)} bytes, at most {MAX_RECORD} allowed")
    return varint.encode(len(payload)) + payload


class RecordStream:
    """Cuts the control stream into records as its bytes arrive, in chunks of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[bytes]:
        """The JSON of each record that ``data`` completes."""
        self._buffer += data
        records: list[bytes] = []
        offset = 0
        while read := varint.decode(self._buffer, offset):
            size, start = read
            if size > MAX_RECORD:
                raise WireError("control stream", f"record of {size} bytes, at most {MAX_RECORD} allowed")
            if start + size > len(self._buffer):
                break
            records.append(bytes(self._buffer[start : start + size]))
            offset = start + size
        del self._buffer[:offset]
        return records


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    event_id: EventId | None = None


E = TypeVar("E")


class EventDecoder(Generic[E]):
    """Reads the events that one end may send: a union of structs of `control`."""

    def __init__(self, union: Any) -> None:
        self._types = frozenset(event.__struct_config__.tag for event in get_args(union))
        self._decoder: msgspec.json.Decoder[E] = msgspec.json.Decoder(union)

    def decode(self, record: bytes) -> E | OpenEvent:
        """Raises `EventError`, whatever ``record`` is."""
        try:
            event = self._decoder.decode(record)
            if isinstance(event, control.PassedOn):
                return PassedOnEvent(event, msgspec.json.decode(record))
            return event
        except msgspec.ValidationError as invalid:
            return self._explain(record, invalid)
        except (ValueError, RecursionError) as malformed:
            raise EventError("invalid_json", str(malformed)) from None

    def _explain(self, record: bytes, invalid: msgspec.ValidationError) -> UnknownEvent:
        try:
            envelope = msgspec.json.decode(record, type=_Envelope)
            if envelope.type not in self._types:
                return UnknownEvent(envelope.type, envelope.event_id, msgspec.json.decode(record))
        except (ValueError, RecursionError) as malformed:
            raise EventError("invalid_event", str(malformed)) from None
        raise EventError("invalid_event", f"{envelope.type}: {invalid}", envelope.event_id)


caller_events: EventDecoder[control.CallerEvent] = EventDecoder(control.CallerEvent)
edge_events: EventDecoder[control.EdgeEvent] = EventDecoder(control.EdgeEvent)
