"""The moment after `edge.reconnect`: what arrives is for the session that is continued, or for the new one in its place.

Which of them, the edge says in one of its first records. Until that is here nobody can tell whose the rest is: streams
overtake each other, and an edge that does not know the call begins the new one at once.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from edge.voice import WireError
from edge.voice.base import Receiver
from edge.voice.records import RecordStream


class Inbox:
    """Keeps what arrives in its order, until `hand_over`. ``continued`` is None until the edge has said it."""

    def __init__(self) -> None:
        self.continued: bool | None = None
        self._records = RecordStream()
        self._kept: list[Callable[[Receiver], None]] = []

    def hand_over(self, session: Receiver) -> None:
        """To the one it was for."""
        for deliver in self._kept:
            deliver(session)
        self._kept.clear()

    def receive_control(self, data: bytes, fin: bool, now: float) -> None:
        self._kept.append(lambda session: session.receive_control(data, fin, now))
        try:
            for record in self._records.receive(data):
                if self.continued is None:
                    self.continued = _verdict(record)
        except WireError:
            self.continued = True  # whoever gets it will say what is wrong with it
        if fin and self.continued is None:
            self.continued = True

    def receive_stream(self, stream_id: int, data: bytes, fin: bool, now: float) -> None:
        self._kept.append(lambda session: session.receive_stream(stream_id, data, fin, now))

    def receive_reset(self, stream_id: int, code: int, now: float) -> None:
        self._kept.append(lambda session: session.receive_reset(stream_id, code, now))

    def receive_stop(self, stream: int, code: int, now: float) -> None:
        self._kept.append(lambda session: session.receive_stop(stream, code, now))

    def receive_datagram(self, data: bytes, now: float) -> None:
        self._kept.append(lambda session: session.receive_datagram(data, now))


class _Error(msgspec.Struct):
    code: str = ""


class _Head(msgspec.Struct):
    type: str
    error: _Error | None = None


def _verdict(record: bytes) -> bool | None:
    try:
        head = msgspec.json.decode(record, type=_Head)
    except ValueError:
        return None
    if head.type == "edge.reconnected":
        return True
    return False if head.error is not None and head.error.code == "unknown_session" else None
