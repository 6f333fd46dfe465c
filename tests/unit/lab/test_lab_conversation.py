"""What is judged of a conversation: a wrong reckoning here would pass, or fail, whatever was said."""

from __future__ import annotations

import msgspec
import pytest

from edge.backend.demo.sentences import Sentence
from edge.client.summary import Account, CallSummary, LegSummary, Said, SessionSummary, Timing
from edge.lab.scenarios.conversation_verdict import LIMITS, Script, Withdrawal, checks, in_words
from edge.voice import LedgerCount

STORY = [Sentence("Once there was a cat.", 100, 10, 90), Sentence("It slept all day.", 320, 10, 300)]
SCRIPT = Script(["What is the capital?", "Tell me a story.", "What did you say?"], STORY)
WITHDRAWN = Withdrawal(2, 120)
UP = LedgerCount(200, 9000, "up")
ACCOUNT = Account(
    item=2,
    played_ms=8000,
    heard_ms=8003,
    generated_bytes=50_000,
    wire_bytes=30_000,
    wasted_bytes=3000,
    saved_bytes=20_000,
    cancel_ms=25.0,
    received_bytes=30_000,
    wasted_ms=1000,
    allowed_ms=1200,
)
REMEMBERED = "Once there was a cat. It slept all day."
SESSION = SessionSummary(
    session_id="s",
    uplink_ms=500,
    downlink_ms=None,
    sent=UP,
    heard_by_edge=UP,
    said_by_edge=LedgerCount(900, 60_000, "down"),
    received=LedgerCount(700, 40_000, "down, but for the rest of an answer"),
    received_late=0,
    speaking=False,
    underruns=0,
    underrun_ms=0,
    barge_ins=(ACCOUNT,),
    turns=tuple(
        Timing(item=item, backend_ms=300.0, wire_ms=300.0, played_ms=310.0 + item, edge_added_ms=0.0)
        for item in (1, 2, 3)
    ),
    transcripts=(
        Said(who="caller", text="what is the capital"),
        Said(who="edge", text="The capital of France is Paris.", item=1),
        Said(who="caller", text="tell me a story"),
        Said(who="edge", text=REMEMBERED, item=2),
        Said(who="caller", text="what did you say"),
        Said(who="edge", text=f"I said: {REMEMBERED}", item=3),
    ),
)
LEG = LegSummary(
    session_id="s",
    node="e1",
    carrier="quic",
    path="203.0.113.11:443",
    handshake_ms=57.0,
    early_data=False,
    resumed=False,
    migrated=True,
    migration_ms=160.0,
    rtt_ms=52.0,
    ended=None,
)


def call(session: SessionSummary = SESSION) -> CallSummary:
    return CallSummary(
        ending="hung_up",
        reason="",
        duration_s=30.0,
        first_audio_ms=300.0,
        utterances=3,
        legs=(LEG,),
        sessions=(session,),
    )


def values(summary: CallSummary | None, withdrawal: Withdrawal = WITHDRAWN) -> dict[str, float | None]:
    return {check.name: check.value for check in checks(summary, SCRIPT, withdrawal, routes=2)}


def interrupted(**changes: object) -> CallSummary:
    account = msgspec.structs.replace(ACCOUNT, **changes)
    return call(msgspec.structs.replace(SESSION, barge_ins=(account,)))


def told(*changes: tuple[int, str]) -> CallSummary:
    transcripts = list(SESSION.transcripts)
    for at, text in changes:
        transcripts[at] = msgspec.structs.replace(transcripts[at], text=text)
    return call(msgspec.structs.replace(SESSION, transcripts=tuple(transcripts)))


def test_what_went_well_passes_with_its_numbers() -> None:
    assert [check.name for check in checks(call(), SCRIPT, WITHDRAWN, routes=2) if not check.passed] == []
    assert values(call()) == {
        "words_wrong": 0,
        "answers_right": 3,
        "answer_ms": 313.0,
        "interrupted_late_ms": 3.0,
        "bytes_unaccounted": 0,
        "saved_bytes": 20_000,
        "wasted_ms": 1000,
        "cancel_ms": 25.0,
        "truncated_off_ms": 3,
        "last_words_off_ms": 3,
        "migrated_ratio": 1.0,
        "heard_after_withdrawal": 80,
        "frames_missing": 0,
        "frames_altered": 0,
        "calls_lost": 0,
        "withdrawn": 2,
    }
    assert in_words(call()).startswith(
        "answered after 311, 312, 313 ms; of 200 frames up 0 are declared lost"
    )


def test_without_a_summary_nothing_was_measured() -> None:
    assert values(None, Withdrawal()) == {
        **dict.fromkeys((name for name, *_ in LIMITS), None),
        "withdrawn": 0,
    }


def test_a_call_without_an_interruption_or_with_two_says_nothing_of_one() -> None:
    for accounts in ((), (ACCOUNT, ACCOUNT)):
        found = values(call(msgspec.structs.replace(SESSION, barge_ins=accounts)))
        assert found["wasted_ms"] is found["answers_right"] is found["last_words_off_ms"] is None
        assert found["words_wrong"] == 0


@pytest.mark.parametrize(
    "understood, wrong",
    [
        ("what is the capital", 0),
        ("what is a capital", 1),
        ("what is capital", 1),
        ("what is the the capital", 1),
        ("", 4),
    ],
)
def test_wrong_words_are_counted_whatever_their_number(understood: str, wrong: int) -> None:
    assert values(told((0, understood)))["words_wrong"] == wrong


def test_an_answer_that_repeats_what_was_not_heard_is_wrong() -> None:
    assert values(told((5, "I said: Once there was a cat.")))["answers_right"] == 2
    assert values(told((3, "Something else."), (5, "I said: Something else.")))["answers_right"] == 2


def test_last_words_are_as_far_off_as_their_nearest_moment() -> None:
    """The whole of the second sentence is over from 8.0 s on, to the end; its last word but one from about 7.2 s on."""
    assert values(interrupted(heard_ms=8400))["last_words_off_ms"] == 0
    assert values(interrupted(heard_ms=7900))["last_words_off_ms"] == 100
    assert values(told((3, "It was never said.")))["last_words_off_ms"] is None


def test_the_caller_and_not_the_edge_says_what_was_heard() -> None:
    assert values(interrupted(played_ms=7900))["truncated_off_ms"] == 103
    assert values(interrupted(heard_ms=None))["truncated_off_ms"] is None


def test_bytes_that_nobody_accounts_for_are_seen() -> None:
    assert values(interrupted(saved_bytes=19_999))["bytes_unaccounted"] == 1
