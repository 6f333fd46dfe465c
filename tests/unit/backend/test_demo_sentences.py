"""Text and time: which words of a speech have been heard when it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.backend.demo.sentences import LONGEST, Sentence, Speech, split
from edge.voice import FRAME_MS

FIRST = Sentence("Ships ring bells.", frames=100, begins=10, ends=90)
SECOND = Sentence("Yes, they do.", frames=50, begins=5, ends=45)


def speech(*sentences: Sentence) -> Speech:
    made = Speech("story")
    for sentence in sentences:
        made.add(sentence)
    return made


@pytest.mark.parametrize(
    "text,parts",
    [
        ("", []),
        ("  One. ", ["One."]),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It is 07:05. Pi is 3.14.", ["It is 07:05.", "Pi is 3.14."]),
        ("a" * (LONGEST + 1), ["a" * LONGEST, "a"]),
        ("word " * 100, [("word " * 60).strip(), ("word " * 40).strip()]),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert split(text) == parts


@given(st.text(max_size=2000))
def test_splitting_loses_no_word_and_keeps_the_limit(text: str) -> None:
    parts = split(text)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(0 < len(part) <= LONGEST for part in parts)


@pytest.mark.parametrize(
    "frames,words",
    [
        (-5, ""),
        (0, ""),
        (10, ""),
        (10 + 80 * 5 // 17, ""),  # "Ships" is five letters and a space of seventeen
        (10 + 80 * 6 // 17 + 1, "Ships"),
        (10 + 80 * 11 // 17 + 1, "Ships ring"),
        (89, "Ships ring"),
        (90, "Ships ring bells."),
        (1000, "Ships ring bells."),
    ],
)
def test_a_word_counts_when_it_is_over(frames: int, words: str) -> None:
    assert FIRST.heard(frames) == words


def test_a_comma_takes_time() -> None:
    with_comma, without = (Sentence(text, 100, 0, 100) for text in ("Yes, they do.", "Yesx they do."))
    assert with_comma.heard(40) == ""
    assert without.heard(40) == "Yesx"


@given(st.text(alphabet="ab,. ", max_size=60), st.integers(0, 100), st.integers(0, 100))
def test_more_time_is_never_fewer_words(text: str, first: int, second: int) -> None:
    sentence = Sentence(text, 100, 20, 80)
    early, late = sorted((first, second))
    assert sentence.heard(late).split()[: len(sentence.heard(early).split())] == sentence.heard(early).split()
    assert sentence.heard(100) == text


def test_a_speech_that_was_not_cut_is_all_there() -> None:
    assert speech(FIRST, SECOND).text() == "Ships ring bells. Yes, they do."
    assert speech(FIRST, SECOND).heard_ms == 150 * FRAME_MS
    assert (speech().text(), speech().heard_ms) == ("", 0)


@pytest.mark.parametrize(
    "played_ms,words",
    [
        (0, ""),
        (89 * FRAME_MS + 19, "Ships ring"),
        (90 * FRAME_MS, "Ships ring bells."),
        (105 * FRAME_MS, "Ships ring bells."),
        (130 * FRAME_MS, "Ships ring bells. Yes,"),
        (145 * FRAME_MS, "Ships ring bells. Yes, they do."),
        (10_000_000, "Ships ring bells. Yes, they do."),
    ],
)
def test_it_is_cut_to_the_frame(played_ms: int, words: str) -> None:
    cut = speech(FIRST, SECOND)
    cut.truncate(played_ms)
    assert cut.text() == words
    assert cut.heard_ms == min(played_ms, 3000) // FRAME_MS * FRAME_MS


def test_what_is_added_behind_a_cut_was_not_heard() -> None:
    """Synthesis runs ahead: the sentence in hand arrives after the caller has stopped listening."""
    cut = speech(FIRST)
    cut.truncate(100 * FRAME_MS)
    cut.add(SECOND)
    assert cut.text() == FIRST.text
    cut.truncate(5000)
    assert cut.text() == FIRST.text, "a cut is never taken back"
