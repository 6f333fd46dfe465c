"""The shipped backends behind a real session, on a carrier without delay, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from edge.backend.base import (
    Backend,
    BackendContext,
    BackendReply,
    Cancelled,
    Committed,
    Control,
    ItemBegun,
    ItemEnded,
    ItemFrames,
    ResponseRequested,
)
from edge.backend.echo import EchoBackend
from edge.backend.opusfile import read_packets
from edge.backend.story import StoryBackend, recording
from edge.client import speech
from edge.voice import (
    CHUNK_MS,
    FRAME_MS,
    RING_MS,
    CallerSession,
    EdgeSession,
    ErrorReceived,
    FramesHeard,
    ResponseCancelled,
    SendControl,
    SendDatagram,
    SendStream,
    Transcript,
    UtteranceCommitted,
)
from edge.voice import ResponseRequested as RequestHeard


class Call:
    """A backend, its session and a caller; `step` moves everything that can move at one moment."""

    def __init__(self, factory: Callable[[BackendContext], Backend]) -> None:
        self.now = 10.0
        self.backend = factory(BackendContext("call-1"))
        self.edge = EdgeSession("call-1")
        self.caller = CallerSession(self.now)
        self.told: list[object] = []
        self._replies: AsyncIterator[BackendReply] = self.backend.replies()
        self._next: asyncio.Task[BackendReply] | None = None

    async def run(self, seconds: float, payloads: list[bytes] | None = None) -> None:
        """20 ms at a time, saying one payload in each while there are any."""
        for payload in [*[[p] for p in payloads or []], *[[]] * round(seconds * 50)]:
            self.now += 0.02
            if payload:
                self.caller.send_frames(payload, self.now)
            await self.step()

    async def step(self) -> None:
        self.edge.handle_timer(self.now)
        self.caller.handle_timer(self.now)
        moved = True
        while moved:
            moved = self.carry(self.caller, self.edge) | self.carry(self.edge, self.caller)
            moved |= self.tell_backend() | await self.pull()
        self.told += iter(self.caller.next_event, None)

    def carry(self, source: EdgeSession | CallerSession, to: EdgeSession | CallerSession) -> bool:
        actions = list(iter(source.next_action, None))
        for action in actions:
            match action:
                case SendControl(data=data):
                    to.receive_control(data, False, self.now)
                case SendStream(stream=stream, data=data, fin=fin):
                    to.receive_stream(stream, data, fin, self.now)
                case SendDatagram(data=data):
                    to.receive_datagram(data, self.now)
        return bool(actions)

    def tell_backend(self) -> bool:
        events = list(iter(self.edge.next_event, None))
        for event in events:
            match event:
                case FramesHeard(frames=frames):
                    self.backend.hear(frames)
                case UtteranceCommitted(utterance=utterance):
                    self.backend.notify(Committed(utterance))
                case RequestHeard():
                    self.backend.notify(ResponseRequested())
                case ResponseCancelled(item=item, played_ms=played_ms):
                    self.backend.notify(Cancelled(item, played_ms))
        return bool(events)

    async def pull(self) -> bool:
        if not self.edge.wants_audio:
            return False
        self._next = self._next or asyncio.ensure_future(anext(self._replies))
        await asyncio.sleep(0)
        if not self._next.done():
            return False
        match self._next.result():
            case ItemBegun(item=item):
                assert self.edge.begin_item() == item
            case ItemFrames(item=item, frames=frames):
                assert len(frames) * FRAME_MS <= CHUNK_MS
                self.edge.speak(item, frames, self.now)
            case ItemEnded(item=item):
                self.edge.end_item(item, self.now)
            case Control(event=event):
                self.edge.send_control(event)
        self._next = None
        return True

    async def close(self) -> None:
        await self.backend.close()
        if self._next is not None:
            await asyncio.gather(self._next, return_exceptions=True)


def test_the_echo_of_speech_is_that_speech() -> None:
    """Both shipped utterances, live, come back frame by frame within a second of being said."""

    async def run() -> None:
        call = Call(EchoBackend)
        for name in speech.NAMES:
            said = read_packets(speech.recording(name))
            await call.run(0.0, said)
            assert call.caller.heard.frames == call.caller.said.frames
            call.caller.commit(call.now)
            await call.run(1.0)
        assert call.caller.heard.count().bytes == call.caller.said.count().bytes
        assert call.caller.heard.count() == call.backend.said.count()
        assert call.caller.said.count() == call.backend.heard.count()
        assert call.caller.playout.underruns == 0
        assert not [event for event in call.told if isinstance(event, ErrorReceived)]
        await call.close()

    asyncio.run(run())


def test_the_story_is_heard_to_its_end() -> None:
    async def run() -> None:
        call = Call(StoryBackend)
        await call.run(1.0)
        # Faster than real time, as far as ring and lead allow.
        assert RING_MS - CHUNK_MS <= call.backend.said.frames * FRAME_MS <= RING_MS + 3000
        await call.run(len(recording()) * 0.02)
        assert call.caller.heard.count() == call.backend.said.count()
        assert call.caller.playout.played_ms == len(recording()) * FRAME_MS
        assert call.caller.playout.underruns == 0
        (transcript,) = [event for event in call.told if isinstance(event, Transcript)]
        assert transcript.text.endswith("found its way home.")
        await call.close()

    asyncio.run(run())


@pytest.mark.parametrize("factory", [EchoBackend, StoryBackend])
def test_after_an_interruption_the_next_answer_is_heard(factory: Callable[[BackendContext], Backend]) -> None:
    async def run() -> None:
        call = Call(factory)
        payloads = [bytes([n]) * 40 for n in range(100)]
        await call.run(0.0, payloads)
        call.caller.cancel(call.now)
        call.caller.commit(call.now)
        call.caller.request_response()
        await call.run(0.5)
        heard = call.caller.heard.frames
        await call.run(2.0, payloads)
        assert call.caller.playout.item == 2
        assert call.caller.heard.frames >= heard + 100
        await call.close()

    asyncio.run(run())
