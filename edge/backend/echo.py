"""The echo: each utterance comes back as one item, frame by frame as it is spoken."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from edge.backend.base import (
    BackendContext,
    BackendInput,
    BackendReply,
    Cancelled,
    Committed,
    Control,
    ItemBegun,
    ItemEnded,
    ItemFrames,
)
from edge.voice.downlink import CHUNK_MS
from edge.voice.frame import FRAME_MS, Frame
from edge.voice.ledger import FrameLedger

HELD_MS = 60_000
"""Speech that waits for the host. A caller that speaks faster than it listens loses what is beyond it."""

_HELD_FRAMES = HELD_MS // FRAME_MS
_CHUNK_FRAMES = CHUNK_MS // FRAME_MS
_OVERRUN = Control(
    {
        "type": "error",
        "error": {
            "type": "server_error",
            "code": "echo_overrun",
            "message": f"{HELD_MS // 1000} s of speech wait to be echoed; what came after them is lost",
        },
    }
)


class EchoBackend:
    """Says what it hears."""

    def __init__(self, context: BackendContext) -> None:
        self.heard = FrameLedger()
        self.said = FrameLedger()
        self._waiting: deque[Frame | Committed] = deque()
        self._item = context.first_item - 1  # the latest begun
        self._seq: int | None = None  # of its next frame; None between items
        self._muted = False  # the rest of the utterance in hand is not wanted back
        self._overrun = False
        self._closed = False
        self._changed = asyncio.Event()

    def hear(self, frames: Sequence[Frame]) -> None:
        """Count them, and keep them as far as there is room."""
        self.heard.record(frames)
        room = _HELD_FRAMES - len(self._waiting)
        self._overrun |= room < len(frames)
        self._waiting.extend(frames[: max(0, room)])
        self._changed.set()

    def notify(self, event: BackendInput) -> None:
        match event:
            case Committed():
                # Behind another, it ends an utterance of which nothing was kept.
                if not (self._waiting and isinstance(self._waiting[-1], Committed)):
                    self._waiting.append(event)
            case Cancelled(item=item) if item == self._item and self._seq is not None:
                self._muted = True
            case _:
                pass
        self._changed.set()

    async def replies(self) -> AsyncIterator[BackendReply]:
        """The utterances as items, in chunks of what there is, until `close`."""
        while not self._closed:
            if self._overrun:
                self._overrun = False
                yield _OVERRUN
            reply = self._next()
            if reply is None:
                self._changed.clear()
                await self._changed.wait()
            else:
                yield reply

    async def close(self) -> None:
        self._closed = True
        self._waiting.clear()
        self._changed.set()

    def _next(self) -> BackendReply | None:
        while self._waiting:
            if isinstance(self._waiting[0], Committed):
                self._waiting.popleft()
                ended, self._seq, self._muted = not self._muted and self._seq is not None, None, False
                if ended:
                    return ItemEnded(self._item)
            elif self._muted:
                self._waiting.popleft()
            elif self._seq is None:
                self._item += 1
                self._seq = 0
                return ItemBegun(self._item)
            else:
                return self._speak(self._seq)
        return None

    def _speak(self, seq: int) -> ItemFrames:
        frames: list[Frame] = []
        while self._waiting and len(frames) < _CHUNK_FRAMES:
            frame = self._waiting[0]
            if isinstance(frame, Committed):
                break
            self._waiting.popleft()
            frames.append(replace(frame, utterance=self._item, seq=seq + len(frames)))
        self._seq = seq + len(frames)
        self.said.record(frames)
        return ItemFrames(self._item, frames)
