"""When the caller speaks, when its turn is over, and when it interrupts: decisions of 20 ms each."""

import msgspec
import pytest

from edge.backend.base import BackendContext, settings_of
from edge.backend.demo.captions import StableWords
from edge.backend.demo.endpointer import LONGEST_MS, ONSET_FRAMES, Endpointer, NoiseFloor
from edge.backend.demo.floor import BARGE_IN_MS, ECHO_GUARD_S, Floor
from edge.backend.demo.settings import DemoSettings, updated
from edge.errors import UsageError


def course(endpointer: Endpointer, voices: str) -> list[tuple[int, str]]:
    """What happens at which of the frames; an x has a voice."""
    changes = [(index, endpointer.hear(voice == "x")) for index, voice in enumerate(voices)]
    return [(index, change) for index, change in changes if change is not None]


def test_speech_begins_with_a_few_voices_and_ends_with_silence() -> None:
    endpointer = Endpointer(silence_ms=600)
    assert course(endpointer, "." * 20 + "x" * 50 + "." * 29) == [(20 + ONSET_FRAMES - 1, "started")]
    assert endpointer.speaking
    assert (endpointer.silent_ms, endpointer.voice_ms) == (580, 1000)
    assert course(endpointer, "." * 100) == [(0, "stopped")]
    assert not endpointer.speaking


def test_clicks_begin_nothing() -> None:
    assert course(Endpointer(600), "xxxx......" * 50) == []


def test_a_pause_within_a_turn_does_not_end_it() -> None:
    assert course(Endpointer(600), ("x" * 30 + "." * 29) * 10) == [(ONSET_FRAMES - 1, "started")]


def test_without_a_limit_only_the_longest_turn_ends() -> None:
    changes = course(Endpointer(None), "x" * 10 + "." * (LONGEST_MS // 20))
    assert changes == [(ONSET_FRAMES - 1, "started"), (LONGEST_MS // 20 - 1, "stopped")]


def test_nobody_speaks_longer_than_the_longest_turn() -> None:
    """Whatever is taken for a voice, what a turn holds stays bounded, and the next one begins."""
    changes = course(Endpointer(600), "x" * (2 * LONGEST_MS // 20 + 20))
    assert [change for _, change in changes] == ["started", "stopped", "started", "stopped", "started"]


def test_an_end_by_hand_leaves_nothing_for_the_next_turn() -> None:
    endpointer = Endpointer(600)
    course(endpointer, "x" * 20)
    endpointer.end()
    assert course(endpointer, "x" * (ONSET_FRAMES - 1) + ".") == []


def test_steady_noise_is_not_speech_however_loud() -> None:
    floor = NoiseFloor()
    assert not any([floor.is_below(-20.0 + index % 3) for index in range(500)][1:])


def test_speech_over_noise_is_speech_and_whispers_are_not() -> None:
    floor = NoiseFloor()
    speech = [-20.0, -24.0, -18.0, -40.0] * 100
    heard = [floor.is_below(level) for level in speech]
    assert heard[4:] == [True, True, True, False] * 99
    assert not any(map(NoiseFloor().is_below, [-51.0, -90.0, -55.0] * 10))


def interruption(floor: Floor, voices: str, now: float) -> int | None:
    """The index of the frame that interrupts."""
    for index, voice in enumerate(voices):
        if floor.hear(voice == "x", now + index * 0.02):
            return index
    return None


def test_a_voice_over_the_agents_interrupts_after_a_quarter_of_a_second() -> None:
    floor = Floor()
    floor.give(5000, now=10.0)
    first = -(-BARGE_IN_MS // 20) - 1
    assert interruption(floor, "x" * 50, now=11.0) == first
    floor.leave()
    assert interruption(floor, "x" * 50, now=12.0) is None


@pytest.mark.parametrize(
    "voices", ["x" * 12 + "." * 20, "x." * 100, "." * 100], ids=["cough", "crackle", "silence"]
)
def test_less_does_not(voices: str) -> None:
    floor = Floor()
    floor.give(60_000, now=10.0)
    assert interruption(floor, voices, now=11.0) is None


def test_its_own_echo_does_not_when_it_begins() -> None:
    floor = Floor()
    floor.give(1000, now=10.0)
    assert interruption(floor, "x" * int(ECHO_GUARD_S / 0.02), now=10.0) is None
    assert interruption(floor, "x" * 12, now=10.3) is None
    # More of the same speech is no new beginning.
    floor.give(1000, now=10.6)
    assert interruption(floor, "x" * 13, now=10.6) is not None


def test_the_floor_is_taken_for_as_long_as_speech_plays() -> None:
    """It is given away faster than it plays."""
    floor = Floor()
    assert not floor.is_taken(10.0)
    for _ in range(10):
        floor.give(500, now=10.0)
    assert floor.is_taken(14.9)
    assert not floor.is_taken(15.0)
    assert interruption(floor, "x" * 50, now=20.0) is None
    floor.give(500, now=30.0)
    assert floor.is_taken(30.4)
    assert not floor.is_taken(30.5)


def test_captions_show_a_word_when_it_is_there_twice_and_never_take_it_back() -> None:
    stable = StableWords()
    steps = [
        "what",
        "what is",
        "what is the",
        "what is a cap",
        "what is the capital",
        "what is the capital of",
    ]
    assert [stable.more(words) for words in steps] == ["", "what", " is", "", "", " the capital"]
    assert stable.more("") == ""


@pytest.mark.parametrize(
    "session,expected",
    [
        ({"instructions": "be kind"}, DemoSettings(silence_ms=900)),
        ({"audio": {"input": {"turn_detection": None}}}, DemoSettings("none", 900)),
        ({"audio": {"input": {"turn_detection": {}}}}, DemoSettings(silence_ms=900)),
        (
            {"audio": {"input": {"turn_detection": {"silence_duration_ms": 300}}}},
            DemoSettings(silence_ms=300),
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}},
            DemoSettings(silence_ms=900, barge_in=False),
        ),
    ],
)
def test_a_caller_can_change_how_turns_are_taken(session: dict[str, object], expected: DemoSettings) -> None:
    assert updated(DemoSettings(silence_ms=900), session) == expected


@pytest.mark.parametrize(
    "detection", [5, {"type": "semantic_vad"}, {"silence_duration_ms": 10}, {"silence_duration_ms": "long"}]
)
def test_nonsense_of_a_caller_is_refused_by_name(detection: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.audio\.input\.turn_detection"):
        updated(DemoSettings(), {"audio": {"input": {"turn_detection": detection}}})


@pytest.mark.parametrize(
    "table", [{"silence": 5}, {"silence_ms": 1}, {"barge_in": "no"}, {"turn_detection": "vad"}]
)
def test_nonsense_in_the_nodes_file_is_refused_by_name(table: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(table))):
        settings_of(BackendContext("call-1", table), DemoSettings)
