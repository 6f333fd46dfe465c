"""A host of one backend adapter, as a worker is one: speaks to it, pulls it, and remembers all that it says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

from edge.backend.base import (
    Backend,
    BackendContext,
    BackendReply,
    Committed,
    Control,
    Failed,
    ItemEnded,
    ItemFrames,
    Signal,
)
from edge.backend.opus import Decoder, Encoder, Rate
from edge.voice.frame import FRAME_MS, Frame

PATIENCE_S = 20.0
R = TypeVar("R", bound=BackendReply)


class Host:
    """``told`` is everything in order; `Signal`s that came out of turn are in it, too."""

    def __init__(self, make: Callable[[BackendContext], Backend], settings: dict[str, Any]) -> None:
        self.told: list[BackendReply] = []
        self.backend = make(BackendContext("call-1", settings=settings, signal=self._signalled))
        self.pulling = asyncio.Event()
        self.pulling.set()
        self._utterance = 0
        self._news = asyncio.Event()
        self._pull_task = asyncio.create_task(self._pull())

    @classmethod
    @asynccontextmanager
    async def of(
        cls, make: Callable[[BackendContext], Backend], settings: dict[str, Any]
    ) -> AsyncIterator[Self]:
        host = cls(make, settings)
        try:
            yield host
        finally:
            host.pulling.set()
            await host.backend.close()
            await host._pull_task

    async def _pull(self) -> None:
        async for reply in self.backend.replies():
            self._signalled(reply)
            await self.pulling.wait()

    def _signalled(self, reply: BackendReply | Signal) -> None:
        self.told.append(reply)
        self._news.set()

    def say(self, pcm: bytes, *, lost: Collection[int] = (), commit: bool = True) -> int:
        """One utterance (24 kHz), of which the frames ``lost`` do not arrive; its number."""
        self.hear(self.encode(pcm), lost=lost)
        if commit:
            self.backend.notify(Committed(self._utterance))
        return self._utterance

    @staticmethod
    def encode(pcm: bytes) -> list[bytes]:
        encoder = Encoder(24_000)
        return encoder.encode(pcm) + encoder.flush()

    def hear(self, packets: list[bytes], *, lost: Collection[int] = ()) -> None:
        """The beginning of an utterance."""
        self._utterance += 1
        frames = [Frame(self._utterance, seq, seq * FRAME_MS, packet) for seq, packet in enumerate(packets)]
        for start in range(0, len(frames), 5):
            self.backend.hear([frame for frame in frames[start : start + 5] if frame.seq not in lost])

    async def until(self, reached: Callable[[], bool]) -> None:
        """Looked at whenever the backend speaks, and now and then: some of it happens elsewhere."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + PATIENCE_S
        while not reached():
            if self._pull_task.done():
                self._pull_task.result()
            if loop.time() > give_up_at:
                raise AssertionError(f"not reached; at last the backend said {self.told[-5:]}"[:2000])
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), 0.02)

    async def first(self, kind: type[R], count: int = 1) -> R:
        """The ``count``-th reply of ``kind``, as soon as there is one."""
        await self.until(lambda: len(self.all(kind)) >= count)
        return self.all(kind)[count - 1]

    async def ended(self, item: int) -> None:
        await self.until(lambda: ItemEnded(item) in self.told)

    async def failed(self, count: int = 1) -> Failed:
        return await self.first(Failed, count)

    async def event(self, name: str, count: int = 1) -> dict[str, Any]:
        """The ``count``-th event ``name`` for the caller; one that was wrapped is found by its own name."""
        await self.until(lambda: len(self.events(name)) >= count)
        return self.events(name)[count - 1]

    def all(self, kind: type[R]) -> list[R]:
        return [reply for reply in self.told if isinstance(reply, kind)]

    def events(self, name: str) -> list[dict[str, Any]]:
        told = [dict(reply.event) for reply in self.all(Control)]
        told = [event["event"] if event["type"] == "edge.backend" else event for event in told]
        return [event for event in told if event.get("type") == name]

    def frames(self, item: int) -> list[Frame]:
        return [frame for reply in self.all(ItemFrames) if reply.item == item for frame in reply.frames]

    def pcm(self, item: int, rate: Rate = 24_000) -> bytes:
        decoder = Decoder(rate)
        return b"".join(decoder.decode(frame.payload) for frame in self.frames(item))
