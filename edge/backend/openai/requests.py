"""What is said to the backend besides speech, each event with a name that its answer can be known by."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from edge.backend.dialect import Outbox

_MARK = "edge"


class Purpose(StrEnum):
    """Why an event was sent, which says what an error about it means."""

    SESSION = "session"
    """The settings of this node: without them the backend is not what it shall be."""
    TURN = "turn"
    """The caller is to be answered."""
    UPKEEP = "upkeep"
    """The backend may have come to it before us: a cancelled answer that was just complete."""


class Requests:
    """Puts events into ``outgoing``."""

    def __init__(self, outgoing: Outbox) -> None:
        self._outgoing = outgoing
        self._count = 0

    def send(self, purpose: Purpose, event: Mapping[str, Any], *, first: bool = False) -> None:
        self._count += 1
        self._put({**event, "event_id": f"{_MARK}_{purpose}_{self._count}"}, first)

    def send_for_caller(self, event: Mapping[str, Any]) -> None:
        """With the caller's own ``event_id``, if it has one; an error about it is the caller's."""
        if purpose_of(event.get("event_id")) is not None:
            event = {name: value for name, value in event.items() if name != "event_id"}
        self._put(event, first=False)

    def _put(self, event: Mapping[str, Any], first: bool) -> None:
        text = msgspec.json.encode(event).decode()
        if first:
            self._outgoing.put_first(text)
        else:
            self._outgoing.put(text)


def purpose_of(event_id: object) -> Purpose | None:
    """Of an event that `Requests.send` sent."""
    if not isinstance(event_id, str):
        return None
    mark, _, rest = event_id.partition("_")
    purpose = rest.partition("_")[0]
    return Purpose(purpose) if mark == _MARK and purpose in list(Purpose) else None
