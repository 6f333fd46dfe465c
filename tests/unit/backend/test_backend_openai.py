"""The parts of the adapter "openai" alone: names, sessions, times, and what it makes of nonsense."""

import base64
import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.backend.base import (
    BackendReply,
    Cancelled,
    Control,
    Failed,
    Interrupted,
    ItemBegun,
    ItemEnded,
    ItemFrames,
    SpeechStarted,
)
from edge.backend.dialect import Fault, Outbox
from edge.backend.openai.conversation import Conversation
from edge.backend.openai.ids import REMEMBERED, Names, UnknownNameError
from edge.backend.openai.requests import Purpose, purpose_of
from edge.backend.openai.session import TurnDetection, merge, turn_detection
from edge.backend.openai.uplink import Uplink
from edge.backend.opus import Encoder
from edge.voice.frame import FRAME_MS, Frame

PCM = base64.b64encode(bytes(9600)).decode()
PLACE = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
MESSAGE = {"id": "i1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
SPOKEN: list[dict[str, Any]] = [
    {"type": "session.created", "session": {"audio": {"input": {"turn_detection": None}}}},
    {"type": "input_audio_buffer.speech_started", "audio_start_ms": 20, "item_id": "u1"},
    {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 900, "item_id": "u1"},
    {"type": "input_audio_buffer.committed", "item_id": "u1"},
    {"type": "conversation.item.added", "item": {"id": "u1", "type": "message", "status": "completed"}},
    {"type": "response.created", "response": {"id": "r1", "status": "in_progress"}},
    {"type": "response.output_item.added", "response_id": "r1", "item": MESSAGE},
    {"type": "response.output_audio_transcript.delta", **PLACE, "delta": "hello"},
    {"type": "response.output_audio.delta", **PLACE, "delta": PCM},
    {"type": "response.output_audio.delta", **PLACE, "delta": PCM},
    {"type": "response.function_call_arguments.done", "item_id": "f1", "arguments": "{}", "call_id": "c1"},
    {"type": "response.output_item.done", "response_id": "r1", "item": MESSAGE},
    {"type": "error", "error": {"type": "server_error", "message": "oops", "code": None}},
    {"type": "rate_limits.updated", "rate_limits": []},
    {"type": "response.done", "response": {"id": "r1", "status": "completed", "output": [MESSAGE]}},
]


def conversation(**changed: Any) -> Conversation:
    settings: dict[str, Any] = {
        "session": {},
        "caller_session": True,
        "create_response": True,
        "timeout_s": 10.0,
        "bitrate": 24_000,
        "first_item": 1,
    }
    made = Conversation(**{**settings, **changed})
    made.opened()
    return made


def told(made: Conversation, events: Iterable[dict[str, Any]]) -> list[BackendReply]:
    return [reply for event in events for reply in made.receive(json.dumps(event))]


def sent(made: Conversation) -> Iterator[dict[str, Any]]:
    while made.outgoing:
        yield json.loads(made.outgoing.take())


def frames(count: int, utterance: int = 1) -> list[Frame]:
    packets = Encoder(24_000).encode(bytes(count * FRAME_MS * 48))
    return [Frame(utterance, seq, seq * FRAME_MS, packet) for seq, packet in enumerate(packets)]


# --- names ---------------------------------------------------------------------------------------------

NAMES = st.one_of(
    st.from_regex(r"(item|resp)_[0-9]{1,3}", fullmatch=True),
    st.from_regex(r"(x_)*(item|resp)_[0-9]{1,3}", fullmatch=True),
    st.text(min_size=1, max_size=20),
)


@given(known=st.lists(st.tuples(NAMES, NAMES), max_size=5), name=NAMES)
def test_a_name_comes_back_as_it_went(known: list[tuple[str, str]], name: str) -> None:
    """Whatever a backend calls its items, ours included, no name means two things."""
    names = Names()
    items = {f"a{item}" for item, _ in known}
    for number, item in enumerate(sorted(items), 1):
        names.add(number, item, f"b{item}")
    for theirs in {name, *items}:
        event = {"item_id": theirs, "response": {"input": [{"id": theirs}, 3], "id": None}}
        ours = names.for_caller(event)
        assert names.for_backend(ours) == event
    seen = {names.for_caller({"item_id": each})["item_id"] for each in {name, *items}}
    assert len(seen) == len({name, *items})


def test_a_name_of_ours_that_is_nothing_of_theirs_is_refused() -> None:
    names = Names()
    names.add(1, "abc", "def")
    with pytest.raises(UnknownNameError, match="item_2"):
        names.for_backend({"item_id": "item_2"})
    names.clear()
    with pytest.raises(UnknownNameError, match="resp_1"):
        names.for_backend({"response_id": "resp_1"})


def test_old_names_are_forgotten() -> None:
    names = Names()
    for number in range(1, 3 * REMEMBERED):
        names.add(number, f"i{number}", f"r{number}")
    assert len(names._ours) <= 2 * REMEMBERED
    assert names.for_backend({"item_id": f"item_{number}"}) == {"item_id": f"i{number}"}


def test_only_names_are_changed() -> None:
    names = Names()
    names.add(1, "hello", "there")
    event = {"type": "x", "delta": "hello", "item": {"content": [{"id": "hello"}]}, "call_id": "there"}
    assert names.for_caller(event) == event


def test_an_event_id_says_what_an_error_means() -> None:
    made = conversation()
    (update,) = sent(made)
    assert purpose_of(update["event_id"]) is Purpose.SESSION
    assert [purpose_of(value) for value in (None, 3, "mine", "edge_", "edge_lie_1")] == [None] * 5


# --- the session ---------------------------------------------------------------------------------------


def test_sessions_are_merged_table_by_table() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merge(base, {"a": {"b": None}, "e": 4}) == {"a": {"b": None, "c": 2}, "d": 3, "e": 4}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


@pytest.mark.parametrize(
    "session,expected",
    [
        ({}, TurnDetection()),
        ({"audio": 3}, TurnDetection()),
        ({"audio": {"input": {"turn_detection": None}}}, None),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}, TurnDetection()),
        (
            {"audio": {"input": {"turn_detection": {"create_response": False, "silence_duration_ms": 90}}}},
            TurnDetection(creates_response=False, silence_ms=90),
        ),
        (
            {"audio": {"input": {"turn_detection": {"silence_duration_ms": "x"}}}},
            TurnDetection(silence_ms=500),
        ),
    ],
)
def test_turn_detection_as_a_session_says(session: dict[str, Any], expected: TurnDetection | None) -> None:
    assert turn_detection(session, TurnDetection()) == expected


# --- the caller's speech -------------------------------------------------------------------------------


def test_speech_is_sent_in_tenths_of_a_second() -> None:
    outgoing = Outbox()
    uplink = Uplink(outgoing)
    uplink.hear(frames(12))
    assert len(outgoing) == 2
    assert uplink.commit()
    sizes = [len(base64.b64decode(json.loads(outgoing.take())["audio"])) // 48 for _ in range(len(outgoing))]
    assert sizes == [100, 100, 40]
    assert not uplink.commit(), "there is nothing more of it"


def test_times_are_those_of_the_utterance() -> None:
    """The backend counts since it was dialled, and its second utterance begins where the first one ended."""
    uplink = Uplink(Outbox())
    uplink.hear(frames(10))
    assert uplink.in_utterance_ms(140) == 140
    uplink.fall_silent(700)
    uplink.hear(frames(10, utterance=2))
    assert uplink.in_utterance_ms(900 + 60) == 60
    assert uplink.in_utterance_ms(100) == 0
    assert uplink.in_utterance_ms(10**15) == 200
    uplink.reset()
    uplink.hear(frames(10, utterance=2))
    assert uplink.in_utterance_ms(60) == 60


# --- what the backend says -----------------------------------------------------------------------------


def test_speech_in_one_message_is_said_in_slices() -> None:
    """However much a message brings, little is encoded at once, and what was cancelled meanwhile is not."""
    made = conversation()
    told(made, SPOKEN[:7])
    long = base64.b64encode(bytes(48 * 10_000)).decode()
    replies = made.receive(json.dumps({"type": "response.output_audio.delta", **PLACE, "delta": long}))
    assert next(replies) == ItemBegun(1)
    first = next(replies)
    assert isinstance(first, ItemFrames)
    assert len(first.frames) == 10
    list(made.notify(Cancelled(1, 100)))
    assert not list(replies)


def test_a_cancelled_item_is_cut_by_what_was_received() -> None:
    made = conversation()
    told(made, SPOKEN[:10])
    list(sent(made))
    list(made.notify(Cancelled(1, 5000)))
    cancel, truncate = sent(made)
    assert (cancel["type"], cancel["response_id"]) == ("response.cancel", "r1")
    assert (truncate["item_id"], truncate["audio_end_ms"]) == ("i1", 400)
    assert not [
        reply for reply in told(made, SPOKEN[10:]) if isinstance(reply, ItemFrames | ItemEnded | Failed)
    ]


def test_turn_detection_without_interruptions() -> None:
    """A backend that is told not to be interrupted goes on, and so does its speech."""
    session = {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}}
    made = conversation(session=session)
    replies = told(made, [SPOKEN[1]])
    assert replies == [SpeechStarted(0)]
    assert Interrupted() in told(conversation(), [SPOKEN[1]])


def test_our_own_upkeep_may_fail() -> None:
    """The answer was complete when we cancelled it: nobody needs to know."""
    made = conversation()
    told(made, SPOKEN[:10])
    list(sent(made))
    list(made.notify(Cancelled(1, 100)))
    for request in sent(made):
        error = {"message": "too late", "code": "x", "event_id": request["event_id"]}
        assert not told(made, [{"type": "error", "error": error}])


def test_a_backend_cannot_speak_for_the_edge() -> None:
    """An event that only an edge says is wrapped, whatever it holds."""
    for name in ("edge.session", "edge.turn", "output_audio_buffer.cleared"):
        (reply,) = told(conversation(), [{"type": name, "response_id": "resp_1"}])
        assert isinstance(reply, Control)
        assert reply.event["type"] == "edge.backend"


def test_what_cannot_be_passed_on_is_an_error_and_the_turn_goes_on() -> None:
    (reply,) = told(conversation(), [{"type": "new.event", "text": "x" * 100_000}])
    assert isinstance(reply, Control)
    assert reply.event["error"]["code"] == "backend_event"


def mutated(message: str, dice: random.Random) -> str:
    """Spoilt as a backend may spoil it: bytes, values, structure."""
    text = list(message)
    match dice.randrange(5):
        case 0:
            for _ in range(dice.randint(1, 5)):
                text[dice.randrange(len(text))] = chr(dice.choice([*range(32, 127), 0, 0x7FF, 0xFFFF]))
        case 1:
            del text[dice.randrange(len(text)) :]
        case 2:
            start = dice.randrange(len(text))
            text[start:start] = text[: dice.randrange(len(text))]
        case 3:
            return json.dumps(_changed(json.loads(message), dice))
        case _:
            return "".join(chr(dice.randrange(1, 0x500)) for _ in range(dice.randrange(50)))
    return "".join(text)


def _changed(value: Any, dice: random.Random) -> Any:
    odd = [None, -1, 2**70, 1.5, "", "x" * 300, [], {}, [[]], "resp_1", "item_1", "r1", "i1", True]
    if isinstance(value, dict) and value and dice.random() < 0.8:
        key = dice.choice(sorted(value))
        return {**value, key: _changed(value[key], dice)}
    return dice.choice(odd)


def test_ten_thousand_broken_messages() -> None:
    """Each is understood or a `Fault`; never another exception, never a reply that cannot be sent on."""
    dice = random.Random(4)
    faults = 0
    made = conversation()
    for _ in range(10_000):
        event = dice.choice(SPOKEN)
        message = json.dumps(event)
        try:
            replies = list(made.receive(message if dice.random() < 0.3 else mutated(message, dice)))
        except Fault:
            faults += 1
            replies = list(made.closed())
            made.opened()
        for reply in replies:
            if isinstance(reply, Control):
                assert len(msgspec.json.encode(reply.event)) < 64 * 1024
            if isinstance(reply, ItemBegun) and dice.random() < 0.1:
                list(made.notify(Cancelled(reply.item, dice.randrange(1000))))
        made.outgoing.clear()
    assert 1000 < faults < 9900
    assert len(made._speech._items) <= 64
    assert len(made._answers._announced) <= 1024


# --- on another node -----------------------------------------------------------------------------------


def test_another_backend_is_told_what_was_said_before() -> None:
    """Behind the session, in order, and of an answer that was interrupted only what was heard."""
    first = conversation()
    said = {"type": "response.output_audio_transcript.done", **PLACE, "transcript": "once there was a wall"}
    asked = {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "u1",
        "content_index": 0,
        "transcript": "tell me a story",
    }
    told(first, [*SPOKEN[:5], asked, *SPOKEN[5:10], said])
    first.notify(Cancelled(1, 200))
    second = conversation(handle=first.handle(), first_item=2)
    session, *items = sent(second)
    assert session["type"] == "session.update"
    assert [(item["item"]["role"], item["item"]["content"]) for item in items] == [
        ("user", [{"type": "input_text", "text": "tell me a story"}]),
        ("assistant", [{"type": "output_text", "text": "once there"}]),
    ]


def test_a_backend_that_hung_up_is_told_what_was_said_before_it_is_asked_again() -> None:
    made = conversation()
    told(made, [SPOKEN[0]])
    told(
        made,
        [
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": "u1",
                "content_index": 0,
                "transcript": "hello",
            }
        ],
    )
    list(sent(made))
    list(made.closed())
    made.opened()
    assert [event["type"] for event in sent(made)] == ["session.update", "conversation.item.create"]
