"""A caller of the lab talks with the demo agent and interrupts it, as a stranger plays it; and what must fail, fails."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from typing import Any

import pytest
from who import CALLERS

from edge.lab.scenarios import SCENARIOS

pytestmark = [
    pytest.mark.needs("bird", "flite"),
    pytest.mark.timeout(200),
    # Whom a conversation belongs to makes no difference to it: once is enough, as whoever may least.
    pytest.mark.parametrize("caller", [list(CALLERS)[-1]], indirect=True),
]

SCENARIO = "conversation"
PATIENCE_S = 150.0
CHECKS = {
    "words_wrong",
    "answers_right",
    "answer_ms",
    "interrupted_late_ms",
    "bytes_unaccounted",
    "saved_bytes",
    "wasted_ms",
    "cancel_ms",
    "truncated_off_ms",
    "last_words_off_ms",
    "migrated_ratio",
    "heard_after_withdrawal",
    "frames_missing",
    "frames_altered",
    "calls_lost",
    "withdrawn",
    "residue",
}
STILL_PASS = {
    "words_wrong",
    "answers_right",
    "bytes_unaccounted",
    "truncated_off_ms",
    "frames_missing",
    "residue",
}
"""What goes wrong must not look as if everything did. A call that has to connect again goes on where it was."""


def play(caller: Any, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, bool]]:
    """How the command ended, and what became of each check."""
    out = caller.home / "-".join((SCENARIO, *options))
    command = (sys.executable, "-P", "-m", "edge.cli", "lab", "run", SCENARIO, "--out", str(out), *options)
    done = caller.run(*command, timeout=PATIENCE_S)
    sys.stdout.write(done.stderr)
    report = json.loads((out / "report.json").read_text())
    return done, {check["name"]: check["passed"] for check in report["checks"]}


def test_a_caller_is_understood_answered_and_interrupts_while_routes_are_lost(caller: Any) -> None:
    done, passed = play(caller)
    assert passed == dict.fromkeys(CHECKS, True)
    assert (done.returncode, done.stdout.strip()) == (0, f"lab {SCENARIO}: PASS")
    with wave.open(str(caller.home / SCENARIO / "caller.wav")) as heard:
        assert heard.getnframes() / heard.getframerate() > 15.0


@pytest.mark.long
@pytest.mark.parametrize("fault", SCENARIOS[SCENARIO].faults)
def test_what_must_fail_fails_by_its_check(caller: Any, fault: str) -> None:
    done, passed = play(caller, "--fault", fault)
    assert (done.returncode, done.stdout.strip()) == (1, f"lab {SCENARIO}: FAIL")
    assert not passed[SCENARIOS[SCENARIO].faults[fault]]
    assert {name for name, ok in passed.items() if ok} >= STILL_PASS
