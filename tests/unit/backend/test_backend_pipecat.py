"""The parts of the adapter "pipecat" alone: where items begin and end, and what it makes of nonsense."""

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.backend.base import (
    BackendReply,
    Cancelled,
    ClientEvent,
    Committed,
    Control,
    Failed,
    Interrupted,
    ItemBegun,
    ItemEnded,
    ItemFrames,
)
from edge.backend.dialect import Fault
from edge.backend.pipecat import frames, messages
from edge.backend.pipecat.conversation import Conversation

SPEECH = frames.Audio(bytes(960), 24_000)
STOPPED = frames.Message(json.dumps({"label": "rtvi-ai", "type": "bot-stopped-speaking"}))
FRAMES: list[frames.Frame] = [
    SPEECH,
    frames.Audio(bytes(640), 16_000),
    frames.Text("hello"),
    frames.Transcription("hi", "caller", "now"),
    frames.Interruption(),
    STOPPED,
    frames.Message(json.dumps({"label": "rtvi-ai", "type": "bot-tts-text", "data": {"text": "a"}})),
    frames.Message(json.dumps({"label": "rtvi-ai", "type": "error", "data": {"error": "oops"}})),
    frames.Message(json.dumps({"own": "thing"})),
]


def conversation() -> Conversation:
    return Conversation(
        sample_rate=16_000,
        rtvi=False,
        gap_ms=500,
        silence_ms=800,
        timeout_s=10.0,
        bitrate=24_000,
        first_item=1,
    )


def told(made: Conversation, *said: frames.Frame) -> list[BackendReply]:
    return [reply for frame in said for reply in made.receive(frames.encode(frame))]


def marks(replies: list[BackendReply]) -> list[BackendReply]:
    return [reply for reply in replies if not isinstance(reply, ItemFrames | Control)]


def sent(made: Conversation) -> list[frames.Frame | None]:
    taken = []
    while made.outgoing:
        message = made.outgoing.take()
        assert isinstance(message, bytes)
        taken.append(frames.decode(message))
    return taken


@given(
    st.one_of(
        st.builds(frames.Audio, st.binary(max_size=50), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
        st.builds(frames.Text, st.text()),
        st.builds(frames.Transcription, st.text(), st.text(), st.text()),
        st.builds(frames.Message, st.text()),
        st.just(frames.Interruption()),
    )
)
def test_a_frame_comes_back_as_it_went(frame: frames.Frame) -> None:
    assert frames.decode(frames.encode(frame)) == frame


def test_an_item_ends_with_the_bots_message() -> None:
    made = conversation()
    assert marks(told(made, SPEECH, SPEECH, STOPPED, STOPPED, SPEECH)) == [
        ItemBegun(1),
        ItemEnded(1),
        ItemBegun(2),
    ]


def test_an_item_ends_with_a_gap() -> None:
    made = conversation()
    assert made.patience_s is None
    told(made, SPEECH)
    assert made.patience_s == 0.5
    assert marks(list(made.handle_silence())) == [ItemEnded(1)]
    assert made.patience_s is None


def test_another_rate_is_another_item() -> None:
    replies = marks(told(conversation(), SPEECH, frames.Audio(bytes(640), 16_000)))
    assert replies == [ItemBegun(1), ItemEnded(1), ItemBegun(2)]


def test_an_interruption_of_ours_hushes_until_it_comes_back() -> None:
    made = conversation()
    told(made, SPEECH)
    list(made.notify(Cancelled(1, 10)))
    assert sent(made) == [frames.Interruption()]
    assert not told(made, SPEECH, SPEECH)
    assert not told(made, frames.Interruption())
    assert marks(told(made, SPEECH)) == [ItemBegun(2)]


def test_a_pipeline_that_swallows_an_interruption_is_heard_again_after_a_gap() -> None:
    made = conversation()
    told(made, SPEECH)
    list(made.notify(Cancelled(1, 10)))
    assert made.patience_s == 0.5
    assert not list(made.handle_silence())
    assert marks(told(made, SPEECH)) == [ItemBegun(2)]


def test_an_interruption_of_the_pipelines_is_not_answered_by_one() -> None:
    made = conversation()
    assert told(made, SPEECH, frames.Interruption())[-1] == Interrupted()
    list(made.notify(Cancelled(1, 10)))
    assert not sent(made)


def test_an_utterance_is_followed_by_silence_and_owed_an_answer() -> None:
    made = conversation()
    list(made.notify(Committed(1)))
    assert sent(made) == [frames.Audio(bytes(16_000 * 2 * 800 // 1000), 16_000)]
    assert made.patience_s == 10.0
    (reply,) = made.handle_silence()
    assert isinstance(reply, Failed)
    assert made.patience_s is None


@pytest.mark.parametrize(
    "audio,hint",
    [
        (frames.Audio(b"RIFF" + bytes(100), 16_000), "add_wav_header"),
        (frames.Audio(bytes(100), 44_100), "44100 Hz"),
        (frames.Audio(bytes(100), 16_000, 2), "2 channels"),
    ],
)
def test_audio_that_nobody_could_listen_to(audio: frames.Audio, hint: str) -> None:
    with pytest.raises(Fault, match=hint):
        told(conversation(), audio)


def test_text_is_no_frame() -> None:
    with pytest.raises(Fault, match="ProtobufFrameSerializer"):
        list(conversation().receive("{}"))


TYPED = {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}


@pytest.mark.parametrize(
    "event,kind,data",
    [
        (
            {"type": "conversation.item.create", "item": {"type": "message", **TYPED}},
            "send-text",
            {"content": "hi"},
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "rtvi", "message": {"type": "dtmf"}}},
            "dtmf",
            None,
        ),
        (
            {"type": "session.update", "session": {"a": 1}},
            "client-message",
            {"t": "session.update", "d": {"type": "session.update", "session": {"a": 1}}},
        ),
    ],
)
def test_events_of_the_caller_are_messages(event: dict[str, Any], kind: str, data: Any) -> None:
    made = conversation()
    list(made.notify(ClientEvent(event)))
    (frame,) = sent(made)
    assert isinstance(frame, frames.Message)
    message = json.loads(frame.data)
    assert (message["label"], message["type"], message["id"]) == ("rtvi-ai", kind, "edge-1")
    assert message.get("data") == data


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\x00"])
def test_a_message_that_is_no_json(text: str) -> None:
    with pytest.raises(Fault, match="no JSON"):
        messages.decode(text)


def test_ten_thousand_broken_frames() -> None:
    """Each is understood or a `Fault`; never another exception, never a reply that cannot be sent on."""
    dice = random.Random(4)
    faults = 0
    made = conversation()
    for _ in range(10_000):
        data = bytearray(frames.encode(dice.choice(FRAMES)))
        match dice.randrange(4):
            case 0:
                for _ in range(dice.randint(1, 4)):
                    if data:
                        data[dice.randrange(len(data))] = dice.randrange(256)
            case 1:
                del data[dice.randrange(len(data) + 1) :]
            case 2:
                data = bytearray(dice.randbytes(dice.randrange(60)))
            case _:
                pass
        try:
            replies = list(made.receive(bytes(data)))
        except Fault:
            faults += 1
            replies = list(made.closed())
        for reply in replies:
            if isinstance(reply, Control):
                msgspec.json.encode(reply.event)
        made.outgoing.clear()
    assert 1000 < faults < 9000
