"""The adapter "pipecat" against a real pipeline of `pipecat-ai`: its WebSocket transport, its serializer, its RTVI."""

import array
import asyncio
import math
import socket
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from interop.backend_host import Host
from interop.openai_server import tone

with warnings.catch_warnings():
    # Its modules warn of each other while they are imported.
    warnings.simplefilter("ignore")
    from loguru import logger
    from pipecat.frames.frames import (
        Frame,
        InputAudioRawFrame,
        InterruptionFrame,
        LLMFullResponseEndFrame,
        LLMFullResponseStartFrame,
        TranscriptionFrame,
        TTSAudioRawFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
        TTSTextFrame,
    )
    from pipecat.frames.protobufs import frames_pb2
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.serializers.protobuf import ProtobufFrameSerializer
    from pipecat.transports.websocket.server import (
        SingleClientWebsocketServerParams,
        SingleClientWebsocketServerTransport,
    )
    from pipecat.workers.runner import WorkerRunner

from edge.backend.base import Cancelled, ClientEvent, Failed, Interrupted, ItemBegun, ItemEnded
from edge.backend.pipecat import PipecatBackend, frames
from edge.voice.frame import FRAME_MS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

IN_HZ = 16_000
OUT_HZ = 24_000
LOUD = 500
TURN_MS = 400  # of silence that end a turn
CHUNK_MS = 40


class Parrot(FrameProcessor):
    """Finds turns by loudness, and answers each with a tone of ``answer_ms``; a loud caller interrupts it."""

    def __init__(self, answer_ms: int) -> None:
        super().__init__()
        self.answer_ms = answer_ms
        self.heard = bytearray()
        self.frames: list[Frame] = []  # from the client
        self._loud_ms = 0
        self._quiet_ms = 0
        self._in_turn = False

    def interruptions(self) -> int:
        """That the client has asked for."""
        return sum(isinstance(frame, InterruptionFrame) for frame in self.frames)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        if isinstance(frame, InputAudioRawFrame):
            await self._listen(frame)
        else:
            await self.push_frame(frame, direction)

    async def _listen(self, frame: InputAudioRawFrame) -> None:
        assert (frame.sample_rate, frame.num_channels) == (IN_HZ, 1)
        self.heard += frame.audio
        for start in range(0, len(frame.audio), IN_HZ // 50 * 2):
            loud = loudness(frame.audio[start : start + IN_HZ // 50 * 2]) > LOUD
            if loud and not self._in_turn:
                self._in_turn, self._quiet_ms = True, 0
                await self.broadcast_interruption()
            self._quiet_ms = 0 if loud else self._quiet_ms + 20
            if self._in_turn and self._quiet_ms >= TURN_MS:
                self._in_turn = False
                await self._answer()

    async def _answer(self) -> None:
        await self.push_frame(TranscriptionFrame("polly", "caller", "2026-01-01T00:00:00Z"))
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(TTSStartedFrame())
        await self.push_frame(TTSTextFrame("polly wants a cracker", text_type="sentence"))
        pcm = tone(self.answer_ms)
        size = OUT_HZ * CHUNK_MS // 1000 * 2
        for start in range(0, len(pcm), size):
            await self.push_frame(TTSAudioRawFrame(pcm[start : start + size], OUT_HZ, 1))
        await self.push_frame(TTSStoppedFrame())
        await self.push_frame(LLMFullResponseEndFrame())


def loudness(pcm: bytes) -> float:
    samples = array.array("h", pcm)
    return math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@asynccontextmanager
async def pipeline(answer_ms: int = 1000, *, rtvi: bool = True) -> AsyncIterator[tuple[Parrot, str]]:
    """A bot as its authors write one, on a port of its own."""
    port = free_port()
    params = SingleClientWebsocketServerParams(
        serializer=ProtobufFrameSerializer(), audio_in_enabled=True, audio_out_enabled=True
    )
    transport = SingleClientWebsocketServerTransport(params, host="127.0.0.1", port=port)
    parrot = Parrot(answer_ms)
    worker = PipelineWorker(
        Pipeline([transport.input(), parrot, transport.output()]),
        params=PipelineParams(audio_in_sample_rate=IN_HZ, audio_out_sample_rate=OUT_HZ),
        enable_rtvi=rtvi,
        idle_timeout_secs=None,
    )
    ready = asyncio.Event()

    @transport.event_handler("on_websocket_ready")
    async def on_websocket_ready(_transport: Any) -> None:
        ready.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(ready.wait(), 20)
        yield parrot, f"ws://127.0.0.1:{port}"
    finally:
        await runner.cancel()
        await asyncio.wait_for(running, 20)


@pytest.fixture(autouse=True)
def quiet() -> None:
    logger.remove()


def test_our_frames_are_pipecats() -> None:
    """Every field that we declare has the number, the kind and the name that it has there."""
    theirs = {message.name: message for message in frames_pb2.DESCRIPTOR.message_types_by_name.values()}
    for ours in frames.declaration().message_type:
        for field in ours.field:
            known = theirs[ours.name].fields_by_name[field.name]
            assert (field.number, field.type) == (known.number, known.type), (ours.name, field.name)
    assert {field.name for field in frames.declaration().message_type[-1].field} == set(
        theirs["Frame"].fields_by_name
    )


def test_speech_both_ways() -> None:
    """What the caller says arrives, the answer is one item, whole, and the pipeline's words are transcripts."""

    async def scenario() -> None:
        async with pipeline() as (parrot, url), Host.of(PipecatBackend, {"url": url}) as host:
            host.say(tone(1000))
            await host.ended(1)
            assert 1000 <= len(host.frames(1)) * FRAME_MS <= 1000 + 3 * CHUNK_MS
            assert loudness(host.pcm(1)[: OUT_HZ * 2 // 2]) == pytest.approx(loudness(tone(500)), rel=0.2)
            spoken = bytes(parrot.heard[: IN_HZ * 2])
            assert loudness(spoken) == pytest.approx(loudness(tone(1000)), rel=0.2)
            stopped = await host.event("bot-stopped-speaking")
            assert stopped["label"] == "rtvi-ai"
            (words,) = host.events("response.output_audio_transcript.delta")
            assert (words["delta"], words["item_id"]) == ("polly wants a cracker", "item_1")
            (understood,) = host.events("conversation.item.input_audio_transcription.completed")
            assert understood["transcript"] == "polly"
            assert not host.all(Failed)
            # The pipeline lives on, and so does the connection.
            host.say(tone(600))
            await host.ended(2)
            assert host.backend.said.frames == len(host.frames(1)) + len(host.frames(2))

    asyncio.run(scenario())


def test_without_rtvi_a_gap_ends_an_item() -> None:
    async def scenario() -> None:
        settings = {"rtvi": False, "gap_ms": 300}
        async with (
            pipeline(rtvi=False) as (_, url),
            Host.of(PipecatBackend, {"url": url, **settings}) as host,
        ):
            host.say(tone(500))
            await host.ended(1)
            assert 1000 <= len(host.frames(1)) * FRAME_MS <= 1000 + 3 * CHUNK_MS

    asyncio.run(scenario())


def test_the_caller_cancels() -> None:
    """The pipeline stops, what was on its way is not taken for a new answer, and the next turn is answered."""

    async def scenario() -> None:
        async with pipeline(20_000) as (parrot, url), Host.of(PipecatBackend, {"url": url}) as host:
            host.say(tone(500))
            await host.until(lambda: len(host.frames(1)) * FRAME_MS > 500)
            told = len(host.all(Interrupted))
            host.backend.notify(Cancelled(1, 300))
            count = len(host.frames(1))
            await host.until(lambda: parrot.interruptions() == 1)
            await asyncio.sleep(1.5)
            assert len(host.frames(1)) == count
            assert ItemEnded(1) not in host.told
            assert len(host.all(ItemBegun)) == 1
            assert len(host.all(Interrupted)) == told, "it was ours, and comes back"
            parrot.answer_ms = 400
            host.say(tone(500))
            await host.ended(2)

    asyncio.run(scenario())


def test_the_pipeline_hears_the_caller_interrupt() -> None:
    async def scenario() -> None:
        async with pipeline(20_000) as (parrot, url), Host.of(PipecatBackend, {"url": url}) as host:
            host.say(tone(500))
            await host.until(lambda: len(host.frames(1)) * FRAME_MS > 500)
            told = len(host.all(Interrupted))
            parrot.answer_ms = 400
            host.say(tone(500))
            await host.first(Interrupted, told + 1)
            host.backend.notify(Cancelled(1, 300))
            await host.ended(2)
            assert ItemEnded(1) not in host.told
            assert 400 <= len(host.frames(2)) * FRAME_MS <= 400 + 3 * CHUNK_MS
            assert parrot.interruptions() == 0, "it is not told what it knows"

    asyncio.run(scenario())


def test_messages_of_the_caller() -> None:
    """A client-message comes to the bot's handler; its error for nonsense comes back."""

    async def scenario() -> None:
        async with pipeline() as (_, url), Host.of(PipecatBackend, {"url": url}) as host:
            message = {"type": "no-such-thing", "id": "m1"}
            create = {"type": "conversation.item.create", "item": {"type": "rtvi", "message": message}}
            host.backend.notify(ClientEvent(create))
            answer = await host.event("error-response")
            assert answer["id"] == "m1"
            assert "no-such-thing" in answer["data"]["error"]

    asyncio.run(scenario())


def test_a_pipeline_that_is_gone_and_comes_back() -> None:
    async def scenario() -> None:
        async with pipeline() as (_, url):
            host = Host(PipecatBackend, {"url": url})
            host.say(tone(500))
            await host.ended(1)
        failed = await host.failed()
        assert failed.code == "backend_lost"
        host.say(tone(500))
        assert (await host.failed(2)).code == "backend_unreachable"
        await host.backend.close()

    asyncio.run(scenario())
