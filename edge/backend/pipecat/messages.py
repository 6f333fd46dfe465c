"""RTVI, the JSON that Pipecat's clients speak besides audio: what a caller's events become, and what comes back."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from edge.backend.dialect import nonsense

LABEL: Final = "rtvi-ai"
VERSION: Final = "2.2.0"
"""Of the protocol, as Pipecat 1.14 speaks it."""


class Said(msgspec.Struct, frozen=True):
    """A message of the pipeline's: ``fields`` is the whole. ``type`` is None where it is not of RTVI."""

    type: str | None
    data: Mapping[str, Any]
    fields: dict[str, Any]

    def text(self, name: str) -> str:
        value = self.data.get(name)
        return value if isinstance(value, str) else ""


def decode(text: str) -> Said:
    """Raises `Fault` for what is no JSON."""
    try:
        fields = msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise nonsense(f"the backend sends a message that is no JSON: {error}") from None
    if not isinstance(fields, dict) or fields.get("label") != LABEL:
        return Said(None, {}, {"message": fields})
    kind, data = fields.get("type"), fields.get("data")
    return Said(kind if isinstance(kind, str) else None, data if isinstance(data, dict) else {}, fields)


def ready() -> str:
    """The client, which is the edge and all of its callers, can be spoken to."""
    return _encode("client-ready", "edge-ready", {"version": VERSION, "about": {"library": "anycast-edge"}})


def encode(event: Mapping[str, Any], message_id: str) -> str:
    """A caller's event as a message to the pipeline.

    A ``conversation.item.create`` brings what the caller has typed, or in an item of the type "rtvi" a message as it
    is. Any other event is the pipeline's to understand, as a ``client-message``.
    """
    match event:
        case {"type": "conversation.item.create", "item": {"type": "rtvi", "message": {**message}}}:
            return msgspec.json.encode({"id": message_id, **message, "label": LABEL}).decode()
        case {
            "type": "conversation.item.create",
            "item": {"role": "user", "content": [{"type": "input_text", "text": str(text)}]},
        }:
            return _encode("send-text", message_id, {"content": text})
        case _:
            return _encode("client-message", message_id, {"t": event.get("type"), "d": event})


def _encode(kind: str, message_id: str, data: Mapping[str, Any]) -> str:
    return msgspec.json.encode({"label": LABEL, "type": kind, "id": message_id, "data": data}).decode()
