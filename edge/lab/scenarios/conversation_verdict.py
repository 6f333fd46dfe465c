"""What is judged of a conversation: the caller's summary, held against what was said and what was ordered. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edge.backend.demo.sentences import Sentence, Speech
from edge.client.summary import Account, CallSummary
from edge.lab.report import Check, Rule
from edge.lab.scenarios import counts
from edge.voice import DEFAULT_LEAD_MS, FRAME_MS, GROUP_MS

ANSWER = "The capital of France is Paris."
INTERRUPT_AT_S = 8.0
"""Of the story."""

# What processes take their time for has limits that two busy cores keep, too; what it takes is in the report.
LIMITS: Final[tuple[tuple[str, float, str, Rule], ...]] = (
    ("words_wrong", 0, "words", "equals"),
    ("answers_right", 3, "answers", "equals"),
    ("answer_ms", 20_000.0, "ms", "at_most"),  # 300, which the agent's recogniser takes
    ("interrupted_late_ms", 1000.0, "ms", "at_most"),
    ("bytes_unaccounted", 0, "bytes", "equals"),
    ("saved_bytes", 1, "bytes", "at_least"),
    ("wasted_ms", DEFAULT_LEAD_MS + 2 * GROUP_MS, "ms", "at_most"),
    ("cancel_ms", 500.0, "ms", "at_most"),  # half a round trip, which is 25
    ("truncated_off_ms", FRAME_MS, "ms", "at_most"),
    ("last_words_off_ms", FRAME_MS, "ms", "at_most"),
    ("migrated_ratio", 1.0, "ratio", "equals"),
    ("heard_after_withdrawal", 50, "frames", "at_least"),  # the last question has more
    ("frames_missing", 0, "frames", "equals"),
    ("frames_altered", 0, "calls", "equals"),
    ("calls_lost", 0, "calls", "equals"),
)


@dataclass(frozen=True, slots=True)
class Script:
    """What the caller says, in turn: a question, a request for a story, and what the last words were.

    ``story``: the sentences of that story, each with its moments.
    """

    said: Sequence[str]
    story: Sequence[Sentence]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """How many routes to the edge were taken away in the story, and what the edge had heard of the caller by then."""

    routes: int = 0
    frames_heard: int | None = None


def checks(call: CallSummary | None, script: Script, withdrawal: Withdrawal, *, routes: int) -> list[Check]:
    """Without a summary nothing was measured. ``routes``: how many there are to take away."""
    values: Mapping[str, float | None] = {} if call is None else _values(call, script, withdrawal)
    return [
        *(Check(name, values.get(name), limit, unit, rule) for name, limit, unit, rule in LIMITS),
        Check("withdrawn", withdrawal.routes, routes, "routes"),
    ]


def in_words(call: CallSummary) -> str:
    """What no check says: how long each answer took, and how much was lost and declared so."""
    waits = ", ".join("?" if turn.played_ms is None else f"{turn.played_ms:.0f}" for turn in call.turns)
    return (
        f"answered after {waits} ms; of {call.frames_sent} frames up {call.lost_up} are declared lost,"
        f" of {call.frames_received + call.lost_down} down {call.lost_down}"
    )


def _values(call: CallSummary, script: Script, withdrawal: Withdrawal) -> dict[str, float | None]:
    understood = [said.text for said in call.transcripts if said.who == "caller"]
    waits_ms = [turn.played_ms for turn in call.turns if turn.played_ms is not None]
    turns = len(script.said)
    before, after = withdrawal.frames_heard, call.frames_heard_by_edge
    return {
        "words_wrong": sum(map(_words_wrong, script.said, understood)) if len(understood) == turns else None,
        "answer_ms": max(waits_ms) if len(waits_ms) == turns else None,
        "migrated_ratio": float(call.last.migrated),
        "heard_after_withdrawal": None if before is None or after is None else after - before,
        "frames_missing": call.missing_up,
        "frames_altered": counts.altered([call]),
        "calls_lost": int(call.ending != "hung_up" or call.reconnects > 0),
        **(_of_interruption(call, call.barge_ins[0], script.story) if len(call.barge_ins) == 1 else {}),
    }


def _of_interruption(
    call: CallSummary, account: Account, story: Sequence[Sentence]
) -> dict[str, float | None]:
    # An item's words are told when all of it was said, and again when it was interrupted.
    words = {said.item: said.text for said in call.transcripts if said.who == "edge"}
    remembered = words.get(account.item, "")
    whole = " ".join(sentence.text for sentence in story)
    heard_ms = account.heard_ms
    return {
        "answers_right": sum(
            (
                words.get(account.item - 1) == ANSWER,
                bool(remembered) and whole.startswith(remembered),
                words.get(account.item + 1) == f"I said: {remembered}",
            )
        ),
        "bytes_unaccounted": account.generated_bytes - account.wire_bytes - account.saved_bytes,
        "saved_bytes": account.saved_bytes,
        "wasted_ms": account.wasted_ms,
        "cancel_ms": account.cancel_ms,
        "interrupted_late_ms": None if heard_ms is None else heard_ms - INTERRUPT_AT_S * 1000,
        "truncated_off_ms": None if heard_ms is None else abs(heard_ms - account.played_ms),
        "last_words_off_ms": None if heard_ms is None else _off_ms(remembered, heard_ms, story),
    }


def _words_wrong(said: str, understood: str) -> int:
    """How many words were understood otherwise, left out or made up."""
    steps = difflib.SequenceMatcher(None, _words(said), _words(understood), autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for step, i1, i2, j1, j2 in steps if step != "equal")


def _words(text: str) -> list[str]:
    return re.findall("[a-z']+", text.lower())


def _off_ms(words: str, heard_ms: int, story: Sequence[Sentence]) -> float | None:
    """How far ``heard_ms`` is from the nearest moment at which just these words were over; None if there is none."""
    length_ms = sum(sentence.frames for sentence in story) * FRAME_MS
    moments_ms = (at_ms for at_ms in range(0, length_ms + 1, FRAME_MS) if _over(story, at_ms) == words)
    return min((abs(heard_ms - at_ms) for at_ms in moments_ms), default=None)


def _over(story: Sequence[Sentence], at_ms: int) -> str:
    speech = Speech("story")
    for sentence in story:
        speech.add(sentence)
    speech.truncate(at_ms)
    return speech.text()
