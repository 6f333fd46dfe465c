"""The demo agent with its real ears and voice: pocketsphinx understands what flite says, both ways."""

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pocketsphinx
import pytest
from interop.backend_host import Host

from edge.backend import story as long_speech
from edge.backend.base import (
    BackendReply,
    Cancelled,
    Cleared,
    ClientEvent,
    Committed,
    Failed,
    Interrupted,
    ItemBegun,
    ItemEnded,
    ItemFrames,
    ResponseRequested,
    SpeechStarted,
    SpeechStopped,
)
from edge.backend.demo import endpointer, intents, listener, sentences, story, voice
from edge.backend.demo.agent import DemoBackend
from edge.backend.demo.listener import Listener, RecogniserLost, RecogniserServer
from edge.backend.demo.voice import Voice
from edge.backend.demo.wire import RATE_HZ
from edge.backend.opus import Decoder, Encoder
from edge.backend.opusfile import read_packets
from edge.client import speech
from edge.voice import FRAME_MS, Frame

pytestmark = pytest.mark.needs("flite")

SILENCE = Encoder(RATE_HZ).encode(bytes(RATE_HZ * 2))
SAID = "conversation.item.input_audio_transcription.completed"
CAPTION = "response.output_audio_transcript.delta"
TRANSCRIPT = "response.output_audio_transcript.done"
SHARED_VOICE = Voice()


class Talk(Host):
    """A host whose caller has recordings, and a clock that goes on with what it hears."""

    backend: DemoBackend

    def __init__(self, voice: Voice = SHARED_VOICE, settings: dict[str, Any] | None = None) -> None:
        self.now = 100.0
        self.utterance = 1
        self.pause_at = 1_000_000
        """Nothing is pulled behind so many frames, as by a worker whose ring is full."""
        self._seq = 0
        super().__init__(
            lambda context: DemoBackend(context, voice=voice, clock=lambda: self.now), settings or {}
        )

    def _signalled(self, reply: BackendReply) -> None:
        super()._signalled(reply)
        if isinstance(reply, ItemFrames) and reply.frames[-1].seq >= self.pause_at:
            self.pulling.clear()

    def hear(self, packets: Sequence[bytes]) -> None:
        """Much faster than speech; but the agent believes that time passes."""
        for packet in packets:
            self.backend.hear([Frame(self.utterance, self._seq, self._seq * FRAME_MS, packet)])
            self._seq += 1
            self.now += FRAME_MS / 1000

    def commit(self) -> None:
        self.backend.notify(Committed(self.utterance))
        self.utterance, self._seq = self.utterance + 1, 0

    async def ask(self, name: str, count: int = 1) -> str:
        """Say a recording and commit it; the words that were understood, the ``count``-th that were."""
        self.hear(read_packets(speech.recording(name)))
        self.commit()
        return str((await self.event(SAID, count))["transcript"])

    def transcripts(self, item: int) -> list[str]:
        return [
            event["transcript"] for event in self.events(TRANSCRIPT) if event["item_id"] == f"item_{item}"
        ]


@asynccontextmanager
async def talk(voice: Voice = SHARED_VOICE, **settings: Any) -> AsyncIterator[Talk]:
    host = Talk(voice, settings)
    try:
        yield host
    finally:
        host.pulling.set()
        await host.backend.close()
        await host._pull_task


def words_of(name: str) -> str:
    return plain(speech.recording(name).with_suffix(".txt").read_text())


def plain(text: str) -> str:
    return " ".join(re.findall("[a-z']+", text.lower()))


async def understood(pcm: bytes) -> str:
    """What another recogniser makes of PCM."""
    ear = Listener(lambda _: None)
    for start in range(0, len(pcm), 6400):
        ear.hear(pcm[start : start + 6400])
    try:
        return await ear.finish()
    finally:
        ear.close()


# --- understanding -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", speech.QUESTIONS)
def test_a_question_is_understood_at_its_commit_without_an_error(name: str) -> None:
    async def run() -> None:
        async with talk() as host:
            assert await host.ask(name) == words_of(name)
            await host.first(ItemBegun)
            (started,), (stopped,) = host.all(SpeechStarted), host.all(SpeechStopped)
            length_ms = len(read_packets(speech.recording(name))) * FRAME_MS
            assert 0 <= started.at_ms <= 200
            assert length_ms - 400 <= stopped.at_ms <= length_ms

    asyncio.run(run())


@pytest.mark.parametrize("name", speech.QUESTIONS)
def test_a_question_is_understood_when_silence_follows_and_answered_once(name: str) -> None:
    async def run() -> None:
        async with talk() as host:
            host.hear([*SILENCE[:25], *read_packets(speech.recording(name)), *SILENCE[:40]])
            assert (await host.event(SAID))["transcript"] == words_of(name)
            host.commit()
            await host.first(ItemFrames)
            host.backend.notify(Cancelled(1, 0))
            assert len(host.all(SpeechStopped)) == len(host.events(SAID)) == len(host.all(ItemBegun)) == 1

    asyncio.run(run())


def test_the_caller_sees_its_words_while_it_speaks() -> None:
    async def run() -> None:
        async with talk(turn_detection="none") as host:
            host.hear(read_packets(speech.recording("train")))
            await host.until(lambda: len(host.events(SAID.replace("completed", "delta"))) > 5)
            assert not host.events(SAID)
            host.commit()
            final = (await host.event(SAID))["transcript"]
            shown = "".join(event["delta"] for event in host.events(SAID.replace("completed", "delta")))
            assert shown.startswith("good morning i am calling from")
            assert final.startswith("good morning i am calling from")

    asyncio.run(run())


def test_a_caller_without_turn_detection_may_pause_as_long_as_it_wants() -> None:
    async def run() -> None:
        async with talk() as host:
            session = {"audio": {"input": {"turn_detection": None}}}
            host.backend.notify(ClientEvent({"type": "session.update", "session": session}))
            host.hear([*read_packets(speech.recording("capital")), *SILENCE * 3])
            assert not host.all(SpeechStopped)
            host.commit()
            assert (await host.event(SAID))["transcript"] == words_of("capital")

    asyncio.run(run())


def test_nonsense_settings_are_refused_and_change_nothing() -> None:
    async def run() -> None:
        async with talk() as host:
            session = {"audio": {"input": {"turn_detection": 5}}}
            host.backend.notify(ClientEvent({"type": "session.update", "session": session}))
            assert "$.audio.input.turn_detection" in (await host.event("error"))["error"]["message"]
            assert await host.ask("capital") == words_of("capital")

    asyncio.run(run())


def test_silence_is_no_turn_unless_it_is_committed() -> None:
    async def run() -> None:
        async with talk() as host:
            host.hear(SILENCE * 20)
            assert host.told == []
            host.commit()
            await host.ended(1)
            assert host.transcripts(1) == ["I did not catch that. Please say it again."]
            assert not host.all(SpeechStarted)

    asyncio.run(run())


def test_noise_is_not_answered() -> None:
    async def run() -> None:
        dice = random.Random(7)
        noise = b"".join(
            round(dice.gauss(0, 2000)).to_bytes(2, "little", signed=True) for _ in range(RATE_HZ * 8)
        )
        async with talk() as host:
            host.hear([*SILENCE, *Encoder(RATE_HZ).encode(noise), *SILENCE])
            assert len(host.all(SpeechStarted)) <= 1
            await host.until(lambda: not host.backend.hearing.is_busy)
            assert not host.all(ItemBegun)
            assert await host.ask("capital") == words_of("capital")

    asyncio.run(run())


def test_what_is_cleared_is_not_answered() -> None:
    async def run() -> None:
        async with talk() as host:
            host.hear(read_packets(speech.recording("tell-story")))
            host.backend.notify(Cleared(1))
            host.utterance, host._seq = 2, 0
            host.hear(read_packets(speech.recording("capital")))
            host.commit()
            host.hear(read_packets(speech.recording("tell-story")))
            host.backend.notify(Cleared(3))
            assert (await host.event(SAID))["transcript"] == words_of("capital")
            await host.ended(1)
            await host.until(lambda: not host.backend.hearing.is_busy)
            assert len(host.events(SAID)) == 1

    asyncio.run(run())


# --- speaking ----------------------------------------------------------------------------------------------


def test_the_answer_is_speech_that_can_be_understood() -> None:
    async def run() -> None:
        async with talk() as host:
            await host.ask("capital")
            await host.ended(1)
            assert await understood(host.pcm(1, RATE_HZ)) == "the capital of france is paris"
            assert host.transcripts(1) == ["The capital of France is Paris."]
            assert [event["delta"] for event in host.events(CAPTION)] == host.transcripts(1)
            frames = host.frames(1)
            assert [(f.utterance, f.seq, f.pts_ms) for f in frames] == [
                (1, n, n * 20) for n in range(len(frames))
            ]
            assert host.backend.said.frames == len(frames)

    asyncio.run(run())


def test_a_response_that_is_asked_for_is_a_greeting_unless_one_is_coming() -> None:
    async def run() -> None:
        async with talk() as host:
            host.backend.notify(ResponseRequested())
            await host.ended(1)
            assert host.transcripts(1) == [intents.GREETING.text]
            host.now += 60
            host.hear(read_packets(speech.recording("capital")))
            host.commit()
            host.backend.notify(ResponseRequested())
            await host.ended(2)
            host.backend.notify(ResponseRequested())  # it is still being heard
            await asyncio.sleep(0)
            assert host.transcripts(2) == ["The capital of France is Paris."]
            assert len(host.all(ItemBegun)) == 2

    asyncio.run(run())


def test_the_story_is_longer_than_a_minute_and_what_comes_again_is_the_same() -> None:
    async def run() -> None:
        async with talk() as host:
            await host.ask("tell-story")
            await host.ended(1)
            assert len(host.frames(1)) * FRAME_MS > 60_000
            assert host.transcripts(1) == [" ".join(story.TEXT.split())]
            assert max(len(reply.frames) for reply in host.all(ItemFrames)) * FRAME_MS <= 1000
            host.now += 120
            await host.ask("tell-story", 2)
            await host.ended(2)
            assert [f.payload for f in host.frames(2)] == [f.payload for f in host.frames(1)]

    asyncio.run(run())


def test_a_cancelled_story_is_remembered_to_the_word_that_was_heard() -> None:
    """Cut at the end of the second sentence, one frame before it, and there again by a later cut that must not count."""

    async def run() -> None:
        first, second = [await spoken(text) for text in sentences.split(" ".join(story.TEXT.split()))[:2]]
        for frames, heard in (
            (first.frames + second.ends, f"{first.text} {second.text}"),
            (first.frames + second.ends - 1, f"{first.text} {second.text}".rpartition(" ")[0]),
            (first.begins, ""),
        ):
            async with talk() as host:
                host.pause_at = 1000
                await host.ask("tell-story")
                await host.until(lambda: len(host.frames(1)) > 1000)
                host.backend.notify(Cancelled(1, frames * FRAME_MS + 19))
                host.pulling.set()
                host.backend.notify(Cancelled(1, 10_000))
                said = len(host.frames(1))
                assert host.transcripts(1) == [heard, heard]
                assert ItemEnded(1) not in host.told
                await host.ask("last-words", 2)
                await host.ended(2)
                assert len(host.frames(1)) == said, "a cancelled item gets no further replies"
                assert host.transcripts(2) == [f"I said: {heard or 'nothing yet.'}"]

    asyncio.run(run())


async def spoken(text: str) -> sentences.Sentence:
    return (await SHARED_VOICE.speak(text, keep=False)).sentence


def test_words_are_placed_to_about_a_word() -> None:
    """Beside an alignment of the same speech by its sounds, which knows each word's end to 10 ms."""

    async def run() -> None:
        decoder = pocketsphinx.Decoder(samprate=RATE_HZ, loglevel="FATAL")
        for text in sentences.split(" ".join(story.TEXT.split()))[:6]:
            said = await SHARED_VOICE.speak(text, keep=False)
            pcm = Decoder(RATE_HZ)
            heard = b""
            while packets := await said.more():
                heard += b"".join(map(pcm.decode, packets))
            decoder.set_align_text(plain(text))
            decoder.start_utt()
            decoder.process_raw(heard, full_utt=True)
            decoder.end_utt()
            aligned = [segment for segment in decoder.seg() if re.match("[a-z]", segment.word)]
            assert len(aligned) == len(text.split())
            for count, segment in enumerate(aligned, 1):
                at_end = len(said.sentence.heard(round(segment.end_frame / 2)).split())
                assert abs(at_end - count) <= 2, f"{text}: {segment.word}"

    asyncio.run(run())


# --- interrupting ------------------------------------------------------------------------------------------


@asynccontextmanager
async def storyteller(**settings: Any) -> AsyncIterator[Talk]:
    """An agent that tells its story, and is heard since a second."""
    async with talk(**settings) as host:
        host.pause_at = 1000
        await host.ask("tell-story")
        await host.until(lambda: len(host.frames(1)) > 1000)
        host.now += 1
        yield host


def test_a_caller_that_speaks_over_it_interrupts() -> None:
    async def run() -> None:
        async with storyteller() as host:
            packets = read_packets(speech.recording("capital"))
            for sent, packet in enumerate(packets):  # noqa: B007 - how many it took
                host.hear([packet])
                if host.all(Interrupted):
                    break
            # 100 ms of silence before the first word, 250 ms of voice, and some of it is no voice.
            assert 300 <= sent * FRAME_MS <= 600
            host.backend.notify(Cancelled(1, 1000))
            host.pulling.set()
            host.hear([*packets[sent + 1 :], *SILENCE])
            assert (await host.event(SAID, 2))["transcript"] == words_of("capital")
            await host.ended(2)
            assert len(host.all(Interrupted)) == 1
            assert ItemEnded(1) not in host.told

    asyncio.run(run())


def test_a_cough_neither_interrupts_nor_is_answered() -> None:
    async def run() -> None:
        async with storyteller() as host:
            host.hear([*read_packets(speech.recording("capital"))[:16], *SILENCE])
            assert host.all(SpeechStopped)
            await host.until(lambda: not host.backend.hearing.is_busy)
            assert not host.all(Interrupted)
            assert len(host.events(SAID)) == 1

    asyncio.run(run())


def test_without_barge_in_it_does_not_listen_while_it_is_heard() -> None:
    async def run() -> None:
        async with storyteller(barge_in=False) as host:
            host.hear([*read_packets(speech.recording("capital")), *SILENCE])
            assert len(host.all(SpeechStarted)) == 1
            assert not host.all(Interrupted)

    asyncio.run(run())


# --- failing -----------------------------------------------------------------------------------------------


def test_a_recogniser_that_dies_costs_the_turn_and_not_the_call() -> None:
    async def run() -> None:
        async with talk(turn_detection="none") as host:
            first = await pid_of(host)
            host.hear(read_packets(speech.recording("train"))[:200])
            os.kill(first, signal.SIGKILL)
            await host.until(lambda: host.backend.hearing.listener._process.lost)
            host.hear(read_packets(speech.recording("train"))[200:])
            host.commit()
            assert (await host.failed()).code == "recogniser_lost"
            assert await host.ask("capital") == words_of("capital")
            await host.ended(1)
            assert await pid_of(host) != first
            assert len(host.all(Failed)) == 1

    asyncio.run(run())


async def pid_of(host: Talk) -> int:
    await host.until(lambda: host.backend.hearing.listener.pid is not None)
    pid = host.backend.hearing.listener.pid
    assert pid is not None
    return pid


def test_a_recogniser_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "PATIENCE_S", 0.5)

    async def run() -> None:
        async with talk() as host:
            pid = await pid_of(host)
            os.kill(pid, signal.SIGSTOP)
            try:
                host.hear(read_packets(speech.recording("capital")))
                host.commit()
                assert (await host.failed()).code == "recogniser_lost"
            finally:
                os.kill(pid, signal.SIGCONT)
            monkeypatch.undo()
            assert await host.ask("capital") == words_of("capital")

    asyncio.run(run())


def test_the_process_with_the_model_is_replaced_and_its_children_end_with_their_calls() -> None:
    async def run() -> list[int]:
        server = RecogniserServer()
        ears = [Listener(lambda _: None, server) for _ in range(2)]
        pcm = b"".join(map(Decoder(RATE_HZ).decode, read_packets(speech.recording("capital"))))
        try:
            pids: list[int] = []
            for ear in ears:
                for start in range(0, len(pcm), 640):
                    ear.hear(pcm[start : start + 640])
                assert await ear.finish() == words_of("capital")
                assert ear.pid is not None
                pids.append(ear.pid)
                assert server._process is not None
                server._process.kill()
                server._process.wait()
            assert all(map(is_alive, pids)), "calls outlive it"
        finally:
            for ear in ears:
                ear.close()
            server.close()
        return pids

    give_up_at = time.monotonic() + 10
    pids = asyncio.run(run())
    while any(map(is_alive, pids)):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """A zombie, whom nobody buries in a container without an init, is not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_model_that_does_not_load_costs_turns_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "PATIENCE_S", 0.5)

    async def run() -> None:
        server = RecogniserServer()
        ear = Listener(lambda _: None, server)
        pcm = b"".join(map(Decoder(RATE_HZ).decode, read_packets(speech.recording("capital"))))
        try:
            ear.start()
            assert server._process is not None
            os.kill(server._process.pid, signal.SIGSTOP)
            ear.hear(pcm[:640])
            with pytest.raises(RecogniserLost):
                await ear.finish()
            monkeypatch.undo()
            for start in range(0, len(pcm), 640):
                ear.hear(pcm[start : start + 640])
            assert await ear.finish() == words_of("capital")
        finally:
            ear.close()
            server.close()

    asyncio.run(run())


def failing(tmp_path: Path, script: str) -> Voice:
    program = tmp_path / "flite"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Voice(str(program))


@pytest.mark.parametrize(
    "make,problem",
    [
        (lambda path: Voice(str(path / "flite")), "No such file or directory"),
        (lambda path: failing(path, "exit 3"), "exit code 3"),
        (lambda path: failing(path, "kill -9 $$"), "exit code -9"),
        (lambda path: failing(path, "echo no sound"), "wrote no WAV"),
        (lambda path: failing(path, "exec sleep 60"), "has not spoken within 0.3 s"),
    ],
    ids=["missing", "exit code", "killed", "garbage", "hung"],
)
def test_a_voice_that_fails_costs_the_turn_and_not_the_call(
    make: Callable[[Path], Voice], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "PATIENCE_S", 0.3 if "within" in problem else 10)

    async def run() -> None:
        broken = make(tmp_path)
        async with talk(broken) as host:
            await host.ask("capital")
            failure = await host.failed()
            assert failure.code == "speech_failed"
            assert problem in failure.message
            assert not host.all(ItemBegun)
            broken._program = "flite"
            monkeypatch.undo()
            await host.ask("capital", 2)
            await host.ended(1)

    asyncio.run(run())


def test_closing_ends_everything_wherever_it_is() -> None:
    async def run() -> None:
        for seconds in (0.0, 0.05, 0.3):
            async with talk(Voice()) as host:
                host.hear(read_packets(speech.recording("tell-story")))
                host.commit()
                await asyncio.sleep(seconds)

    asyncio.run(run())


def test_ten_minutes_cost_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is not kept, and a turn without an end is cut: here at 6 s, which are understood in one."""
    monkeypatch.setattr(endpointer, "LONGEST_MS", 6000)

    async def run() -> None:
        async with talk(turn_detection="none") as host:
            pid = await pid_of(host)
            host.hear(SILENCE * 600)
            assert host.told == []
            sizes = []
            for turn in range(1, 5):
                host.hear(long_speech.recording()[:340])
                await host.event(SAID, turn)
                sizes.append(resident_bytes(pid))
                host.backend.notify(Cancelled(turn, 0))
            assert len(host.all(SpeechStopped)) >= 4
            assert sizes[-1] < sizes[1] + 4_000_000

    asyncio.run(run())


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
