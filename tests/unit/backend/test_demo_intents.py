"""What the demo agent says to what it understands: the table, row by row."""

import re
from datetime import UTC, datetime

import pytest

from edge.backend.demo import sentences, story
from edge.backend.demo.intents import CAPITALS, GREETING, TABLE, Answer, answer

NOW = datetime(2026, 11, 21, 7, 5, tzinfo=UTC)


def say(words: str, heard: str = "") -> Answer:
    return answer(words, now=NOW, heard=heard)


@pytest.mark.parametrize(
    "words,intent,text",
    [
        ("", "nothing", "I did not catch that. Please say it again."),
        ("what is the capital of france", "capital", "The capital of France is Paris."),
        ("uh what's the capital city of japan please", "capital", "The capital of Japan is Tokyo."),
        ("what is the capital of atlantis", "capital", "I do not know the capital of atlantis."),
        ("repeat after me the train is late", "repeat", "the train is late."),
        ("please stay after me hello", "repeat", "hello."),
        ("what time is it", "time", "It is 07:05."),
        ("what is the date", "date", "Today is Saturday, November 21."),
        ("what is the day to day", "date", "Today is Saturday, November 21."),
        ("how many days are there in a week", "week", "A week has seven days."),
        ("who are you", "name", "I am the demo agent of this edge."),
        ("thank you", "thanks", "You are welcome."),
        ("thanks a lot", "thanks", "You are welcome."),
        ("that is all good bye", "goodbye", "Goodbye. It was good to talk to you."),
        ("hello there", "greeting", "Hello. What would you like to know?"),
        ("good morning how are you", "mood", "I am fine, thank you."),
        ("the weather is bad", "echo", "You said: the weather is bad."),
        # Words inside of others are not found.
        ("the history of stopwatches", "echo", "You said: the history of stopwatches."),
    ],
)
def test_an_answer(words: str, intent: str, text: str) -> None:
    got = say(words)
    assert (got.intent, got.text) == (intent, text)


def test_case_and_punctuation_do_not_matter() -> None:
    assert say("What is the CAPITAL, of France?!").text == "The capital of France is Paris."


def test_its_last_words_are_those_that_were_heard() -> None:
    for question in (
        "what was the last thing you said",
        "what did you say last",
        "what did you just stay",
        "what were you saying",
        "say that again",
    ):
        assert say(question, heard="On a small rock").text == "I said: On a small rock"
    assert say("what did you say").text == "I said: nothing yet."


def test_words_are_no_templates() -> None:
    assert say("{time}").text == "You said: time."
    assert say("what did you say", heard="{time} %s {0}").text == "I said: {time} %s {0}"


def test_only_what_is_the_same_every_time_is_worth_keeping() -> None:
    assert {
        words: say(words).fixed
        for words in (
            "tell me a story",
            "hello",
            "what time is it",
            "so what",
            "capital of france",
            "capital of x",
        )
    } == {
        "tell me a story": True,
        "hello": True,
        "what time is it": False,
        "so what": False,
        "capital of france": False,
        "capital of x": False,
    }
    assert GREETING.fixed


def test_every_row_can_be_reached() -> None:
    """A row behind a wider one would never be read."""
    asked = {
        say(words).intent
        for words in [
            "",
            "what did you say",
            "repeat after me x",
            "capital of italy",
            "a story",
            "what time",
            "what day",
            "days in a week",
            "legs of a spider",
            "how far is the moon",
            "speed of light",
            "who are you",
            "help",
            "how does this work",
            "how are you",
            "thanks",
            "please stop",
            "goodbye",
            "hi",
            "anything else",
        ]
    }
    assert asked == {name for name, *_ in TABLE}


def test_the_story_is_long_and_speakable() -> None:
    text = say("please tell me a story").text
    assert text == " ".join(story.TEXT.split())
    # The voice says fewer than 200 words a minute.
    assert len(text.split()) > 200
    assert max(map(len, sentences.split(text))) < 150
    assert not re.search(r"[^a-zA-Z,.' ]", text)


def test_capitals_are_words_that_a_recogniser_writes() -> None:
    assert all(re.fullmatch("[a-z]+", place) for place in CAPITALS)
