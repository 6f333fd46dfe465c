"""Going on elsewhere because the edge asks for it: the new connection stands before the old one is let go."""

from __future__ import annotations

import asyncio
from typing import Final

from edge.client.conversation import Conversation
from edge.client.dialing import Dialing
from edge.client.leg import Leg
from edge.errors import EdgeError
from edge.voice import AskedToMove

PAUSE_PART: Final = 0.5
"""Of the time that the edge gives; the rest is for the way."""
AGAIN_PART: Final = 0.25
"""Of the time before a way that failed is tried once more."""
LEAVE_S: Final = 1.0
"""At least, for the edge to let go, whatever it said about the time."""


class MoveFailedError(EdgeError):
    """The new place does not take the call. ``undone``: the old one has let go of it and has to be asked to take it back."""

    def __init__(self, message: str, *, undone: bool) -> None:
        super().__init__(message)
        self.undone = undone


async def move(
    conversation: Conversation, asked: AskedToMove, leg: Leg, dialing: Dialing, until: float
) -> None:
    """Have the call go on on ``leg``, which stands; the old one is left to whoever had it.

    Raises `MoveFailedError`, and then ``leg`` is of no use; `SessionLost`.
    """
    leaves = asked.leave and conversation.leg is not None
    if leaves:
        await conversation.let_go(max(until, asyncio.get_running_loop().time() + LEAVE_S))
    verdict = await conversation.ask_on(leg, dialing.timeout_s)
    if verdict is None:
        raise MoveFailedError(f"{leg.path}: no answer", undone=leaves)
    if not verdict:
        raise MoveFailedError(f"{leg.path}: does not know the call", undone=leaves)
