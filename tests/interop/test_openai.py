"""The adapter "openai" in conversation with a server of its protocol that keeps the protocol's rules."""

import array
import asyncio
import base64
import math
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from interop import openai_server
from interop.backend_host import Host
from interop.openai_server import BYTES_PER_MS, KEY, Call, Faults, Realtime, Say, Write, tone

from edge.backend.base import (
    BackendContext,
    Cancelled,
    Cleared,
    ClientEvent,
    Failed,
    Interrupted,
    ItemBegun,
    ItemEnded,
    ItemFrames,
    ResponseRequested,
    SpeechStarted,
    SpeechStopped,
    Truncated,
)
from edge.backend.openai import OpenAiBackend
from edge.errors import UsageError
from edge.voice.frame import FRAME_MS

MANUAL = {"audio": {"input": {"turn_detection": None}}}
CODEC_MS = (
    2 * FRAME_MS
)  # what an item is longer than its audio: the last frame is filled, and the codec looks ahead


@asynccontextmanager
async def talking(
    key: str, session: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[Realtime, Host]]:
    async with openai_server.running() as realtime:
        chosen = {"url": realtime.url, "model": "gpt-realtime", "api_key_file": key, "timeout_s": 10}
        chosen["session"] = MANUAL if session is None else session
        async with Host.of(OpenAiBackend, {**chosen, **settings}) as host:
            yield realtime, host


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    return str(file)


def loudness(pcm: bytes) -> float:
    samples = array.array("h", pcm)
    return math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))


def test_a_turn(key: str) -> None:
    """Speech arrives as it was said, is answered, and the answer is heard from its first word to its last."""

    async def scenario() -> None:
        async with talking(key, {"instructions": "be brief"}, turns="caller") as (realtime, host):
            host.say(tone(1500))
            await host.ended(1)
            await host.event("response.done")
            (session,) = realtime.sessions
            assert session.session["instructions"] == "be brief"
            assert 1500 <= len(session.heard) // BYTES_PER_MS <= 1500 + CODEC_MS
            assert loudness(bytes(session.heard)) == pytest.approx(loudness(tone(1500)), rel=0.2)
            assert 1000 <= len(host.frames(1)) * FRAME_MS <= 1000 + CODEC_MS
            assert loudness(host.pcm(1)[: 1000 * BYTES_PER_MS]) == pytest.approx(
                loudness(tone(1000)), rel=0.2
            )
            assert [frame.seq for frame in host.frames(1)] == list(range(len(host.frames(1))))
            assert host.backend.said.frames == len(host.frames(1))
            assert not session.errors
            assert not host.all(Failed)

    asyncio.run(scenario())


def test_what_reaches_the_caller(key: str) -> None:
    """Transcripts under our names, what the edge says itself only wrapped, all else as it came."""

    async def scenario() -> None:
        session = {"audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}}
        async with talking(key, session) as (_, host):
            host.say(tone(300))
            done = await host.event("response.done")
            assert done["response"]["id"] == "resp_1"
            assert done["response"]["usage"] == {"total_tokens": 7}
            assert [item["id"] for item in done["response"]["output"]] == ["item_1"]
            words = host.events("response.output_audio_transcript.delta")
            assert [(word["item_id"], word["response_id"], word["delta"]) for word in words] == [
                ("item_1", "resp_1", "hello "),
                ("item_1", "resp_1", "there "),
            ]
            (whole,) = host.events("response.output_audio_transcript.done")
            assert whole["transcript"] == "hello there"
            assert host.told.index(ItemBegun(1)) < min(
                index
                for index, reply in enumerate(host.told)
                if getattr(reply, "event", {}).get("type") == words[0]["type"]
            )
            (understood,) = host.events("conversation.item.input_audio_transcription.completed")
            assert understood["transcript"].endswith("ms of tone")
            assert host.events("session.created")
            assert host.events("session.updated")
            assert host.events("rate_limits.updated")
            assert not host.events("response.output_audio.delta")
            named = [
                reply for reply in host.told if getattr(reply, "event", {}).get("type") == "response.done"
            ]
            assert not named, "unwrapped it would end our item 1 for the caller"

    asyncio.run(scenario())


def test_barge_in_cuts_the_transcript_where_the_caller_heard_it(key: str) -> None:
    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            realtime.script = lambda _: [Say("a long story", 20_000)]
            realtime.pace_s = 0.02
            host.say(tone(300))
            await host.until(lambda: len(host.frames(1)) > 100)
            host.backend.notify(Cancelled(1, 1234))
            count = len(host.frames(1))
            (session,) = realtime.sessions
            await host.event("response.done")
            await host.until(lambda: any("truncated_at_ms" in item for item in session.items.values()))
            (story,) = [item for item in session.items.values() if item.get("role") == "assistant"]
            assert story["truncated_at_ms"] == 1234
            assert story["status"] == "incomplete"
            assert len(host.frames(1)) == count
            assert ItemEnded(1) not in host.told
            assert not session.errors
            # And the next turn is as if nothing had been.
            realtime.script = lambda _: [Say("yes", 400)]
            host.say(tone(300))
            await host.ended(2)

    asyncio.run(scenario())


@pytest.mark.parametrize("heard_ms,cut_at_ms", [(0, 0), (500, 500), (1001, None), (60_000, None)])
def test_an_answer_that_is_complete_is_cut_and_not_cancelled(
    heard_ms: int, cut_at_ms: int | None, key: str
) -> None:
    """It came faster than it was played. What was heard to its end is left as it is."""

    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            host.say(tone(300))
            await host.event("response.done")
            await host.ended(1)
            host.backend.notify(Cancelled(1, heard_ms))
            host.backend.notify(ClientEvent({"type": "conversation.item.retrieve", "item_id": "item_1"}))
            story = (await host.event("conversation.item.retrieved"))["item"]
            assert story.get("truncated_at_ms") == cut_at_ms
            assert story["id"] == "item_1"
            (session,) = realtime.sessions
            assert not session.errors
            assert "response.cancel" not in [event["type"] for event in session.received]

    asyncio.run(scenario())


def test_a_caller_may_cut_but_not_behind_the_end(key: str) -> None:
    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            realtime.pace_s = 0.05
            host.say(tone(300))
            await host.until(lambda: bool(host.frames(1)))
            host.backend.notify(Truncated(1, 99_000))  # while it is still being said
            await host.event("response.done")
            (session,) = realtime.sessions
            assert not session.errors
            (cut,) = [event for event in session.received if event["type"] == "conversation.item.truncate"]
            assert 0 < cut["audio_end_ms"] < 1000

    asyncio.run(scenario())


def test_the_next_answer_waits_until_the_cancelled_one_has_ended(key: str) -> None:
    """A ``response.create`` right behind a ``response.cancel`` would be refused."""

    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            realtime.script = lambda _: [Say("a long story", 20_000)]
            realtime.pace_s = 0.02
            host.say(tone(300))
            await host.until(lambda: bool(host.frames(1)))
            host.say(tone(300))  # the backend is still speaking, and nobody has cancelled it
            await host.until(lambda: len(host.frames(1)) > 50)
            realtime.script = lambda _: [Say("yes", 400)]
            host.backend.notify(Cancelled(1, 400))
            await host.ended(2)
            assert not realtime.sessions[0].errors
            assert not host.all(Failed)

    asyncio.run(scenario())


def test_commit_and_request_are_one_question(key: str) -> None:
    """A client of the original says both; it gets one answer."""

    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            host.say(tone(300))
            host.backend.notify(ResponseRequested({"type": "response.create"}))
            await host.event("response.done")
            await asyncio.sleep(0.1)
            assert len(host.all(ItemBegun)) == 1
            assert not realtime.sessions[0].errors

    asyncio.run(scenario())


def test_the_caller_asks_where_the_node_says_so(key: str) -> None:
    async def scenario() -> None:
        async with talking(key, create_response=False) as (realtime, host):
            host.say(tone(300))
            await host.until(lambda: bool(realtime.sessions) and len(realtime.sessions[0].received) > 3)
            await asyncio.sleep(0.1)
            assert not host.all(ItemBegun)
            asked = {"type": "response.create", "event_id": "mine", "response": {"instructions": "sing"}}
            host.backend.notify(ResponseRequested(asked))
            await host.ended(1)
            assert realtime.sessions[0].received[-1]["response"] == {"instructions": "sing"}

    asyncio.run(scenario())


def test_a_tool_call_and_its_result(key: str) -> None:
    """The call reaches the caller with its name, the result the backend, and the answer speaks of it."""

    def script(session: openai_server.Session) -> list[openai_server.Output]:
        results = [item for item in session.items.values() if item["type"] == "function_call_output"]
        if results:
            return [Say(f"it is {results[0]['output']}", 600)]
        return [Say("let me look", 400), Call("weather", {"city": "Oslo"})]

    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            realtime.script = script
            host.say(tone(300))
            call = await host.event("response.function_call_arguments.done")
            assert (call["name"], call["arguments"]) == ("weather", '{"city": "Oslo"}')
            assert call["response_id"] == "resp_1"
            assert not call["item_id"].startswith("item_1")
            await host.event("response.done")
            deltas = host.events("response.function_call_arguments.delta")
            assert "".join(delta["delta"] for delta in deltas) == call["arguments"]
            result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
            host.backend.notify(
                ClientEvent(
                    {"type": "conversation.item.create", "previous_item_id": "item_1", "item": result}
                )
            )
            host.backend.notify(ResponseRequested({"type": "response.create"}))
            await host.ended(2)
            (said,) = host.events("response.output_audio_transcript.done")[1:]
            assert (said["transcript"], said["item_id"]) == ("it is sunny", "item_2")
            assert not realtime.sessions[0].errors

    asyncio.run(scenario())


def test_what_is_only_written_is_no_item_of_ours(key: str) -> None:
    """Beside an answer that is spoken, as an application asks for a summary."""

    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            realtime.script = lambda _: [Write("a summary")]
            host.backend.notify(
                ResponseRequested({"type": "response.create", "response": {"conversation": "none"}})
            )
            await host.event("response.done")
            (text,) = host.events("response.output_text.done")
            assert text["text"] == "a summary"
            assert not host.all(ItemBegun)

    asyncio.run(scenario())


def test_the_backend_finds_the_turns(key: str) -> None:
    """With its turn detection on, an utterance that just ends is followed by the silence that it listens for."""

    async def scenario() -> None:
        async with talking(key, {}) as (realtime, host):
            host.say(tone(1000))
            await host.ended(1)
            (started,) = host.all(SpeechStarted)
            (stopped,) = host.all(SpeechStopped)
            assert started.at_ms == 0
            assert 1000 <= stopped.at_ms <= 1000 + 500 + CODEC_MS
            # A second utterance's times are its own.
            host.say(bytes(1000 * BYTES_PER_MS) + tone(1000))
            await host.ended(2)
            started = host.all(SpeechStarted)[1]
            assert started.at_ms == pytest.approx(1000 - openai_server.PREFIX_MS, abs=3 * FRAME_MS)
            assert not realtime.sessions[0].errors

    asyncio.run(scenario())


def test_the_backend_hears_the_caller_interrupt(key: str) -> None:
    """It stops by itself, the host is told at once, and the transcript is cut where the caller stopped listening."""

    async def scenario() -> None:
        async with talking(key, {}) as (realtime, host):
            realtime.script = lambda _: [Say("a long story", 60_000)]
            host.say(tone(500))
            await host.until(lambda: bool(host.frames(1)))
            host.pulling.clear()  # the caller's ring is full
            await asyncio.sleep(0.2)
            count = len(host.frames(1))
            host.say(tone(1000), commit=False)
            await host.first(Interrupted, 2)
            assert len(host.frames(1)) == count
            host.backend.notify(Cancelled(1, 700))
            host.pulling.set()
            (session,) = realtime.sessions
            await host.until(lambda: any("truncated_at_ms" in item for item in session.items.values()))
            (story,) = [item for item in session.items.values() if item.get("role") == "assistant"]
            assert story["truncated_at_ms"] == 700
            assert len(host.frames(1)) <= count + 1000 // FRAME_MS
            assert ItemEnded(1) not in host.told
            assert not host.all(Failed)

    asyncio.run(scenario())


def test_frames_that_were_lost_are_filled_in(key: str) -> None:
    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            host.say(tone(2000), lost=range(30, 33))
            await host.ended(1)
            heard = bytes(realtime.sessions[0].heard)
            assert 2000 <= len(heard) // BYTES_PER_MS <= 2000 + CODEC_MS
            hole = heard[30 * FRAME_MS * BYTES_PER_MS : 33 * FRAME_MS * BYTES_PER_MS]
            assert loudness(hole) > loudness(tone(60)) / 4

    asyncio.run(scenario())


def test_an_utterance_taken_back_is_not_answered(key: str) -> None:
    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            host.backend.notify(Cleared(host.say(tone(250), commit=False)))
            host.say(tone(500))
            await host.ended(1)
            (session,) = realtime.sessions
            kinds = [event["type"] for event in session.received]
            assert kinds.index("input_audio_buffer.clear") < kinds.index("input_audio_buffer.commit")
            assert not session.errors

    asyncio.run(scenario())


def test_an_utterance_of_which_nothing_came_ends_its_turn(key: str) -> None:
    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            host.say(b"")
            assert (await host.event("error"))["error"]["code"] == "nothing_heard"
            host.say(tone(20))  # shorter than the backend takes
            await host.ended(1)
            assert not realtime.sessions[0].errors

    asyncio.run(scenario())


def test_settings_of_the_caller(key: str) -> None:
    """They reach the backend, survive a reconnect, and cannot change what the adapter translates."""

    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            await host.event("session.created")
            theirs = {"instructions": "rhyme", "audio": {"output": {"format": {"type": "audio/pcmu"}}}}
            host.backend.notify(ClientEvent({"type": "session.update", "session": theirs}))
            await host.until(lambda: realtime.sessions[0].session.get("instructions") == "rhyme")
            bad = {"voice": "x"}
            host.backend.notify(ClientEvent({"type": "session.update", "session": bad}))
            assert (await host.event("error"))["error"]["code"] == "unknown_parameter"
            assert not host.all(Failed)
            host.backend.notify(ClientEvent({"type": "session.update", "session": {"voice": None}}))
            realtime.faults = Faults(crash=True)
            host.say(tone(300))
            assert (await host.failed()).code == "backend_lost"
            realtime.faults = Faults()
            host.say(tone(300))
            await host.ended(2)
            assert realtime.sessions[1].session["instructions"] == "rhyme"
            assert realtime.sessions[1].session["audio"]["output"]["format"]["type"] == "audio/pcm"

    asyncio.run(scenario())


def test_a_caller_may_be_kept_from_the_session(key: str) -> None:
    async def scenario() -> None:
        async with talking(key, caller_session=False) as (realtime, host):
            host.backend.notify(ClientEvent({"type": "session.update", "session": {"instructions": "rhyme"}}))
            assert (await host.event("error"))["error"]["code"] == "session_fixed"
            host.say(tone(300))
            await host.ended(1)
            assert "instructions" not in realtime.sessions[0].session

    asyncio.run(scenario())


def test_errors_about_a_callers_event_are_the_callers(key: str) -> None:
    """With its own name for the event. The turn goes on."""

    async def scenario() -> None:
        async with talking(key) as (_, host):
            unknown = {"type": "conversation.item.delete", "item_id": "item_9", "event_id": "mine"}
            host.backend.notify(ClientEvent(unknown))
            ours = (await host.event("error"))["error"]
            assert (ours["code"], ours["event_id"]) == ("unknown_item", "mine")
            theirs = {"type": "conversation.item.delete", "item_id": "nothing", "event_id": "yours"}
            host.backend.notify(ClientEvent(theirs))
            error = (await host.event("error", 2))["error"]
            assert (error["code"], error["event_id"]) == ("item_not_found", "yours")
            host.say(tone(300))
            await host.ended(1)
            assert not host.all(Failed)

    asyncio.run(scenario())


def test_an_event_too_deep_to_be_sent_is_the_callers_error(key: str) -> None:
    async def scenario() -> None:
        async with talking(key) as (_, host):
            deep: Any = {}
            for _ in range(5000):
                deep = {"a": deep}
            for event in ({"type": "conversation.item.create", "item": deep}, {"type": "session.update"}):
                host.backend.notify(ClientEvent({**event, "session": deep}))
            assert (await host.event("error", 2))["error"]["code"] == "event_too_deep"
            host.say(tone(300))
            await host.ended(1)

    asyncio.run(scenario())


GARBAGE: dict[str, tuple[Faults, str]] = {
    "no JSON": (Faults(message="{{{"), "backend_protocol"),
    "no event": (Faults(message="[1, 2]"), "backend_protocol"),
    "a bottomless event": (Faults(message="[" * 100_000), "backend_protocol"),
    "bytes": (Faults(message=b"\x00\x01"), "backend_protocol"),
    "20 MB": (Faults(message='{"type":"' + "x" * 20_000_000 + '"}'), "backend_protocol"),
    "no base64": (Faults(delta={"delta": "this is no base64"}), "backend_protocol"),
    "another item": (Faults(delta={"item_id": "item_1"}), "backend_protocol"),
    "another response": (Faults(delta={"response_id": "resp_1"}), "backend_protocol"),
    "no item": (Faults(delta={"item_id": None}), "backend_protocol"),
    "crash": (Faults(crash=True), "backend_lost"),
    "silent": (Faults(silent=True), "backend_timeout"),
    "slow": (Faults(slow_s=5), "backend_timeout"),
    "mute": (Faults(mute=True), "backend_timeout"),
    "failed": (Faults(fail=True), "backend_error"),
}


@pytest.mark.parametrize("fault", GARBAGE)
def test_whatever_the_backend_does_the_turn_ends_and_the_next_is_answered(fault: str, key: str) -> None:
    faults, code = GARBAGE[fault]

    async def scenario() -> None:
        async with talking(key, timeout_s=1) as (realtime, host):
            realtime.faults = faults
            host.say(tone(300))
            failed = await host.failed()
            assert (failed.code, len(failed.message) < 400) == (code, True)
            begun, ended = len(host.all(ItemBegun)), len(host.all(ItemEnded))
            assert begun == ended, "an item that nobody ends blocks the caller's ears"
            realtime.faults = Faults()
            host.say(tone(300))
            await host.ended(begun + 1)
            assert len(host.all(Failed)) == 1

    asyncio.run(scenario())


def test_a_backend_that_cannot_be_reached_or_refuses(key: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("sk-stolen")

    async def scenario() -> None:
        async with talking(key, api_key_file=str(wrong)) as (_, host):
            assert (await host.failed()).code == "backend_unauthorized"
        async with talking(key, model="gpt-9") as (_, host):
            failed = await host.failed()
            assert failed.code == "backend_refused"
            assert "gpt-9" in failed.message
        async with talking(key, {**MANUAL, "voice": "nobody"}) as (_, host):
            failed = await host.failed()
            assert (failed.code, "session.voice" in failed.message) == ("backend_refused", True)
        async with talking(key, url="ws://127.0.0.1:9/") as (_, host):
            assert (await host.failed()).code == "backend_unreachable"
            # Every turn is a new attempt, and a failure of its own.
            host.say(tone(100))
            assert (await host.failed(2)).code == "backend_unreachable"

    asyncio.run(scenario())


def test_a_backend_that_reads_nothing_is_given_up(key: str) -> None:
    async def scenario() -> None:
        async with talking(key, timeout_s=1) as (realtime, host):
            realtime.faults = Faults(deaf=True)
            host.say(tone(2000), commit=False)
            await host.failed()
            speech = host.encode(tone(10_000))
            for _ in range(20):
                host.hear(speech)
            assert host.backend._dialect.outgoing.size < 3 * 1024 * 1024  # type: ignore[attr-defined]

    asyncio.run(scenario())


def test_a_host_that_does_not_pull_stops_the_backend(key: str) -> None:
    """Five minutes of speech at once: what is not pulled is not read, and memory stays where it is."""

    async def scenario() -> None:
        async with talking(key) as (realtime, host):
            realtime.script = lambda _: [Say("a very long story", 300_000)]
            await host.event("session.created")
            host.pulling.clear()
            host.say(tone(300))
            (session,) = realtime.sessions
            sent = -1
            while sum(session._audio.values()) != sent:
                sent = sum(session._audio.values())
                await asyncio.sleep(0.5)
            assert 0 < sent // BYTES_PER_MS < 250_000
            tracemalloc.start()
            await asyncio.sleep(0.2)
            assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
            tracemalloc.stop()
            host.pulling.set()
            await host.ended(1)
            assert len(host.frames(1)) * FRAME_MS >= 300_000

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://example.com"},
        {"url": "ws://"},
        {"timeout_s": 0},
        {"api_key_file": "/nonexistent"},
        {"api_key_file": "key"},
        {"voices": 3},
    ],
    ids=str,
)
def test_settings_that_cannot_be_right(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"url|timeout_s|api_key_file|voices"):
        OpenAiBackend(BackendContext("call-1", settings=wrong))


def test_the_key_goes_nowhere_else(key: str) -> None:
    """Not into what a caller is told, whatever goes wrong."""

    async def scenario() -> None:
        async with talking(key, url="ws://127.0.0.1:9/") as (_, host):
            await host.failed()
            assert KEY not in repr(host.told)
            assert base64.b64encode(KEY.encode()).decode() not in repr(host.told)
            assert not host.all(ItemFrames)

    asyncio.run(scenario())
