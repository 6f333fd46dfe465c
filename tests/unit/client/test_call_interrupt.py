"""Interruptions, their accounts, and what a caller hears of it all, on a network in memory."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Any

import pytest

from edge.backend.base import Cancelled, Committed, ResponseRequested
from edge.backend.story import StoryBackend, recording, transcript
from edge.client import audio, connect, speech
from edge.client.events import BargedIn, DeadlinesAgreed, ItemDone

PACKETS = audio.read_speech(speech.recording("hello"))
STORY_BYTES = sum(map(len, recording()))
NAME = "voice.example"


class Told(StoryBackend):
    """A story whose teller remembers where it was cut off."""

    cancelled: list[Cancelled]

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        Told.cancelled = []

    def notify(self, event: Any) -> None:
        if isinstance(event, Cancelled):
            self.cancelled.append(event)
        super().notify(event)


def call_to(world: Any, **options: Any) -> Any:
    return connect(NAME, ca=world.authority.ca, **{"carrier": "quic", "early_data": False, **options})


@pytest.mark.parametrize("lead_ms", [200, 1000, 3000])
def test_an_interruption_is_accounted_for_to_the_byte(world: Any, lead_ms: int) -> None:
    async def main() -> None:
        world.edge(backend=Told)
        async with call_to(world, lead_ms=lead_ms) as call:
            assert await call.played(3.0)
            call.interrupt()
            assert await call.reply()
            summary = await call.hang_up()
        (account,) = summary.barge_ins
        assert account.generated_bytes == account.wire_bytes + account.saved_bytes
        assert account.adds_up
        assert account.within_lead
        assert account.allowed_ms == lead_ms + 200
        assert account.wasted_ms <= lead_ms + 200
        assert account.played_ms == pytest.approx(3000, abs=21)
        assert account.cancel_ms == pytest.approx(10, abs=5)
        assert Told.cancelled == [Cancelled(1, account.played_ms)]
        assert summary.flawless
        assert summary.missing_down is None
        assert account.saved_bytes > 0
        assert summary.document()["barge_ins"][0]["saved_bytes"] == account.saved_bytes

    world.run(main)


def test_silence_is_at_once_and_to_the_end(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        async with call_to(world) as call:
            heard: list[float] = []

            async def listen() -> None:
                async for _ in call.pcm():
                    heard.append(asyncio.get_running_loop().time())  # noqa: PERF401 - a side effect

            listening = asyncio.create_task(listen())
            await call.played(2.0)
            interrupted_at = asyncio.get_running_loop().time()
            call.interrupt()
            await asyncio.sleep(2)
            assert len(heard) == pytest.approx(100, abs=3)
            assert heard[-1] <= interrupted_at + 0.02
            await call.request_reply()
            await asyncio.sleep(2)
            assert len(heard) > 150
            await call.hang_up()
            await listening

    world.run(main)


@pytest.mark.parametrize("after_s, taken_back", [(0.0, True), (0.2, True), (0.39, True), (0.5, False)])
def test_a_cough_is_no_interruption(world: Any, after_s: float, taken_back: bool) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        call = call_to(world)
        heard = call.record()
        async with call:
            await call.played(3.0)
            call.interrupt()
            await asyncio.sleep(after_s)
            assert call.resume() is taken_back
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        if taken_back:
            assert summary.barge_ins == []
            assert tuple(packet for packet in heard.packets if packet) == recording()
        else:
            assert len(summary.barge_ins) == 1
            assert len(heard.packets) == pytest.approx(150, abs=2)

    world.run(main)


def test_an_answer_that_is_here_whole_can_still_be_interrupted(world: Any) -> None:
    """The last second of it has been sent before the caller has heard it."""

    async def main() -> None:
        world.edge(backend=StoryBackend)
        length_s = len(recording()) * 0.020
        async with call_to(world) as call:
            await call.played(length_s - 0.5)
            call.interrupt()
            assert await call.reply()
            summary = await call.hang_up()
        (account,) = summary.barge_ins
        assert (account.saved_bytes, account.generated_bytes) == (0, STORY_BYTES)
        assert account.wasted_bytes > 0
        assert summary.flawless

    world.run(main)


def test_two_answers_two_interruptions(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        async with call_to(world) as call:
            for _ in range(2):
                assert await call.played(1.0)
                call.interrupt()
                assert await call.reply()
                await call.request_reply()
            assert await call.reply()
            summary = await call.hang_up()
        assert [account.item for account in summary.barge_ins] == [1, 2]
        assert summary.flawless
        assert summary.frames_received > len(recording())

    world.run(main)


def test_an_interruption_through_a_bad_network_still_adds_up(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        async with call_to(world) as call:
            world.network.loss = 0.1
            await call.played(3.0)
            call.interrupt()
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert summary.barge_ins[0].adds_up

    world.run(main)


def test_hanging_up_over_an_interruption_waits_for_its_account(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        async with call_to(world) as call:
            await call.played(1.0)
            call.interrupt()
            summary = await call.hang_up()
        assert len(summary.barge_ins) == 1
        assert summary.flawless

    world.run(main)


def test_an_interruption_across_a_lost_connection_is_final(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        loop = asyncio.get_running_loop()
        async with call_to(world) as call:
            await call.played(2.0)
            world.network.loss = 1.0
            call.interrupt()
            loop.call_later(5, setattr, world.network, "loss", 0.0)
            await asyncio.sleep(7)
            await call.request_reply()
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.resumed == 1
        assert len(summary.barge_ins) == 1
        assert summary.ledgers_equal

    world.run(main)


# --- the rest of what a caller is told ---------------------------------------------------------------------


def test_turns_transcripts_and_deadlines_are_in_the_summary(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        events: list[Any] = []
        async with call_to(world, deadline="accurate") as call:

            async def collect() -> None:
                events.extend([event async for event in call.events()])

            collecting = asyncio.create_task(collect())
            assert await call.reply()
            call.set_deadline((300, None))
            await asyncio.sleep(0.1)
            summary = await call.hang_up()
            await collecting
        assert [(said.who, said.text, said.item) for said in summary.transcripts] == [
            ("edge", transcript(), 1)
        ]
        agreed = [event.deadlines.uplink_ms for event in events if isinstance(event, DeadlinesAgreed)]
        assert agreed[-1] == 300
        assert summary.document()["deadlines"] == {"uplink_ms": 300, "downlink_ms": None}

    world.run(main)


class Thoughtful(StoryBackend):
    """Begins to tell half a second after the caller has finished."""

    def notify(self, event: Any) -> None:
        if isinstance(event, Committed):
            asyncio.get_running_loop().call_later(0.5, super().notify, ResponseRequested())
        else:
            super().notify(event)


def test_turns_are_timed_from_the_end_of_speech(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=Thoughtful)
        async with call_to(world) as call:
            await call.reply()
            await call.say(PACKETS)
            assert await call.played(1.0)
            summary = await call.hang_up()
        (turn,) = [turn for turn in summary.turns if turn.item == 2]
        assert turn.backend_ms == pytest.approx(510, abs=20)
        assert turn.wire_ms == pytest.approx(turn.backend_ms, abs=5)
        assert turn.played_ms == pytest.approx(520, abs=30)
        assert summary.document()["turns"][-1]["item"] == 2

    world.run(main)


def test_live_speech_on_a_bad_network_shows_what_it_lost(world: Any) -> None:
    """The deadline of both directions is shorter than a repair takes; what is lost is no failure, but it is shown."""

    async def main() -> None:
        world.edge(backend=StoryBackend)
        events: list[Any] = []
        async with call_to(world, deadline="live") as call:

            async def collect() -> None:
                events.extend([event async for event in call.events()])

            collecting = asyncio.create_task(collect())
            world.network.delay_s = 0.050
            await asyncio.sleep(1)
            world.network.loss = 0.2
            assert await call.reply()
            world.network.loss = 0.0
            summary = await call.hang_up()
            await collecting
        assert summary.lost_down > 0
        assert summary.lost_down == sum(event.lost for event in events if isinstance(event, ItemDone))
        assert summary.missing_down == 0
        assert summary.flawless
        assert summary.document()["frames_lost_down"] == summary.lost_down

    world.run(main)


def test_both_sides_are_recorded_where_they_sounded(world: Any, tmp_path: Path) -> None:
    async def main() -> None:
        world.edge()
        async with call_to(world) as call:
            tape = call.record_both()
            await asyncio.sleep(1)
            await call.say(PACKETS)
            await call.reply()
        tape.save(tmp_path / "both.wav")

    world.run(main)
    with wave.open(str(tmp_path / "both.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 48_000)
        samples = memoryview(file.readframes(file.getnframes())).cast("h")
    left, right = samples[0::2], samples[1::2]
    starts = [
        next(at for at, sample in enumerate(side) if abs(sample) > 500) / 48_000 for side in (left, right)
    ]
    # Said from 1 s on, in groups of 0.1 s; back after a round trip and what the playout waits to be steady.
    assert 1.0 < starts[0] < 2.0
    assert 0.02 < starts[1] - starts[0] < 0.2


def test_the_account_is_also_an_event(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        async with call_to(world) as call:
            events = call.events()
            await call.played(1.0)
            call.interrupt()
            await call.reply()
            summary = await call.hang_up()
            told = [event async for event in events if isinstance(event, BargedIn)]
        assert [event.account.wire_bytes for event in told] == [summary.barge_ins[0].wire_bytes]

    world.run(main)
