"""What a call lets those do who take it from one connection to another."""

from __future__ import annotations

from typing import Protocol

from edge.client.conversation import Conversation
from edge.client.leg import Leg
from edge.voice import Code


class Line(Protocol):
    """The call, as those see it who take it from one connection to another: `Mover` and `Scout`."""

    conversation: Conversation

    @property
    def is_moving(self) -> bool:
        """Somebody is taking it to another connection."""

    @property
    def last(self) -> Leg | None:
        """The connection in use, or the last that was."""

    def board(self, leg: Leg) -> None:
        """The conversation is on ``leg``: what becomes of that matters from now on."""

    async def resumed(self, leg: Leg) -> None:
        """Wait until the edge has said who it is. Raises `EdgeError`, `SessionLost`."""

    def discard(self, leg: Leg, code: Code = Code.OK) -> None:
        """It stands, and is not needed. With `Code.GOING_AWAY` a call that it may carry is not over."""

    def look_after(self, reason: str) -> None:
        """If the call has lost its connection meanwhile, ``reason`` is why."""
