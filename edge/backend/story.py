"""The story: tells a shipped recording, much faster than anybody listens, as a speech synthesizer does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from edge.backend import opusfile
from edge.backend.base import (
    BackendContext,
    BackendInput,
    BackendReply,
    Cancelled,
    Control,
    ItemBegun,
    ItemEnded,
    ItemFrames,
    ResponseRequested,
)
from edge.voice.downlink import CHUNK_MS
from edge.voice.frame import FRAME_MS, Frame
from edge.voice.ledger import FrameLedger

_CHUNK_FRAMES = CHUNK_MS // FRAME_MS


@cache
def recording() -> tuple[bytes, ...]:
    """The story as Opus packets of 20 ms."""
    return tuple(opusfile.read_packets(_shipped("story.opus")))


@cache
def transcript() -> str:
    """The story as text."""
    return " ".join(_shipped("story.txt").read_text(encoding="utf-8").split())


class StoryBackend:
    """Tells the story when the call begins, and again at a request that finds it silent.

    On another node it goes on where the caller is. Its handle is the number of the latest telling.
    """

    def __init__(self, context: BackendContext) -> None:
        self.heard = FrameLedger()
        self.said = FrameLedger()
        self._frames = recording()
        self._item = context.first_item - 1
        self._telling = False
        self._wanted = asyncio.Event()
        self._closed = False
        told = int(context.handle or context.first_item)
        self.continues = told == context.open_item
        self._open_frames = context.open_frames if self.continues else 0
        if self.continues or told >= context.first_item:
            self._wanted.set()

    def handle(self) -> bytes:
        """Of a telling that is about to begin, too."""
        begins = self._wanted.is_set() and not self._open_frames
        return b"%d" % (self._item + begins)

    def hear(self, frames: Sequence[Frame]) -> None:
        """It counts, and does not listen."""
        self.heard.record(frames)

    def notify(self, event: BackendInput) -> None:
        match event:
            case ResponseRequested() if not self._telling:
                self._wanted.set()
            case Cancelled(item=item) if item == self._item:
                self._telling = False
            case _:
                pass

    async def replies(self) -> AsyncIterator[BackendReply]:
        """One item for each telling; it is spoken as fast as it is pulled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._closed:
                break
            self._telling = True
            begins_at, self._open_frames = self._open_frames, 0
            if not begins_at:
                self._item += 1
                yield ItemBegun(self._item)
            for start in range(begins_at, len(self._frames), _CHUNK_FRAMES):
                if not self._telling:
                    break
                yield self._speak(start)
            if self._telling:
                self._telling = False
                yield _transcript_done(self._item)
                yield ItemEnded(self._item)

    async def close(self) -> None:
        self._telling = False
        self._closed = True
        self._wanted.set()

    def _speak(self, start: int) -> ItemFrames:
        frames = [
            Frame(self._item, seq, seq * FRAME_MS, payload)
            for seq, payload in enumerate(self._frames[start : start + _CHUNK_FRAMES], start)
        ]
        self.said.record(frames)
        return ItemFrames(self._item, frames)


def _transcript_done(item: int) -> Control:
    return Control(
        {
            "type": "response.output_audio_transcript.done",
            "response_id": f"resp_{item}",
            "item_id": f"item_{item}",
            "output_index": 0,
            "content_index": 0,
            "transcript": transcript(),
        }
    )


def _shipped(name: str) -> Path:
    return Path(str(files("edge.backend"))) / name
