"""What an adapter has to say and its host has not pulled yet, bounded."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from edge.backend.base import BackendReply, ItemBegun, ItemEnded, ItemFrames

HELD_BYTES: Final = 512 * 1024
"""Of replies that wait, in memory: more than a minute of speech."""

_FRAME_COST = 100  # bytes that a frame takes besides its payload
_REPLY_COST = 200


class ReplyQueue:
    """Replies in order. Whoever puts them in waits for `room` first."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[BackendReply, int]] = deque()
        self._held = 0
        self._room = asyncio.Event()
        self._room.set()
        self._news = asyncio.Event()
        self._closed = False

    async def room(self) -> None:
        """Until something may be put in."""
        await self._room.wait()

    def put(self, reply: BackendReply, size: int = 0) -> None:
        """``size``: what it keeps in memory besides frames, bytes."""
        cost = _REPLY_COST + size
        if isinstance(reply, ItemFrames):
            cost = sum(len(frame.payload) + _FRAME_COST for frame in reply.frames)
        self._waiting.append((reply, cost))
        self._hold(cost)
        self._news.set()

    async def take(self) -> BackendReply | None:
        """The next, as soon as there is one; None once the queue is closed."""
        while not self._waiting and not self._closed:
            self._news.clear()
            await self._news.wait()
        if self._closed:
            return None
        reply, cost = self._waiting.popleft()
        self._hold(-cost)
        return reply

    def drop(self, item: int) -> None:
        """Nothing more of ``item`` shall be taken."""
        self._keep(lambda reply: not (isinstance(reply, ItemFrames | ItemEnded) and reply.item == item))

    def silence(self) -> list[int]:
        """No speech that waits shall be taken.

        The result is the items of which the taker does not know yet: it will be told that they begin and end.
        """
        self._keep(lambda reply: not isinstance(reply, ItemFrames))
        begun = [reply.item for reply, _ in self._waiting if isinstance(reply, ItemBegun)]
        if begun and not any(reply == ItemEnded(begun[-1]) for reply, _ in self._waiting):
            self.put(ItemEnded(begun[-1]))
        return begun

    def close(self) -> None:
        self._closed = True
        self._news.set()

    def _keep(self, wanted: Callable[[BackendReply], bool]) -> None:
        kept = [(reply, cost) for reply, cost in self._waiting if wanted(reply)]
        self._waiting = deque(kept)
        self._held = 0
        self._hold(sum(cost for _, cost in kept))

    def _hold(self, cost: int) -> None:
        self._held += cost
        if self._held < HELD_BYTES:
            self._room.set()
        else:
            self._room.clear()
