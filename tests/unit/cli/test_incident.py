"""The note that `edgectl explain` prints, in each state a node can be in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.cli.incident import note
from edge.runtime.documents import NodeExplanation


def told(document: dict[str, Any], width: int = 80) -> str:
    return note(msgspec.convert(document, NodeExplanation), width).plain


WITHDRAWN = """\
e1 has been WITHDRAWN for 3 min 12 s: overloaded for 60.2 s (limit 60 s):
  pressure 1.08 (high from 0.85), 34.0% of newcomers refused; 2 others announce
  (needs 2), the others can take 31 calls (needs more than 1.1 x 24 = 26.4)
New callers land elsewhere; calls that are up are left alone.
Told by e1 of site ams at 2026-11-21 07:31:02 +0000.

WHAT HOLDS IT THERE
  - not announced: calm for 20 s (needs 2 min)

WHAT WOULD CHANGE IT
  → announced, in 6 min 48 s if all goes on as it is:
    ✗ calm for 20 s (needs 2 min)
    ✗ its hold goes on for 6 min 48 s
    ✓ 312 self-probes in a row passed (needs 3)
  → fenced       ✗ 0 self-probes in a row failed (limit 3)

NUMBERS
  pressure      0.51, by calls (cpu 0.33, calls 0.51)
  admission     accepting, 1.4% of newcomers refused
  load          12 of 24 calls
  self-probes   312 in a row passed
  BGP sessions  1 of 2 up; down: 2001:db8:21::1

OTHER NODES  2 announce, with room for 31 calls, the last move 3 min 12 s ago
  NODE          STATE      FOR         LOAD       CLAIM  SEEN BY
  203.0.113.21  announced  4 min 20 s  40% of 24  no     203.0.113.101,
                                                         203.0.113.102

DAMPING LEDGER  nearest to its budget: 198.51.100.0/24 with 203.0.113.10
  NEIGHBOR      PREFIX           PENALTY  BUDGET  PROFILE
  203.0.113.10  198.51.100.0/24  1380     1500    cisco

LAST DECISIONS
  2026-11-20 06:31:02  starting → announced: 3 self-probes in a row passed
      (needs 3)
  07:27:49  depreferred → withdrawn: overloaded for 60.2 s (limit 60 s):
      pressure 1.08 (high from 0.85), 34.0% of newcomers refused; 2 others
      announce (needs 2), the others can take 31 calls (needs more than 1.1 x 24
      = 26.4)
"""


def test_the_whole_note(explanation: dict[str, Any]) -> None:
    assert told(explanation) == WITHDRAWN


def test_it_is_as_wide_as_the_terminal_but_not_unreadably_so(explanation: dict[str, Any]) -> None:
    assert max(map(len, told(explanation, 90).splitlines())) in range(81, 91)
    assert max(map(len, told(explanation, 500).splitlines())) <= 100


@pytest.mark.parametrize(
    "change,says",
    [
        ({"state": "announced", "announced": True}, "New callers come here."),
        (
            {"state": "depreferred", "announced": True, "deprefer": True},
            "It is announced as the last resort: new callers come from where there is no\nother way.",
        ),
        (
            {"state": "withdrawn", "announced": True},
            "It is announced all the same, for its policy only observes.",
        ),
        ({"state": "fenced"}, "New callers land elsewhere; calls that are up are left alone."),
        ({"bgp": None, "announced": True}, "It speaks to no router ([bgp] is not configured)"),
    ],
)
def test_what_it_means_for_callers(explanation: dict[str, Any], change: dict[str, Any], says: str) -> None:
    text = told(explanation | change)
    assert says in text
    assert text.startswith(f"e1 has been {(explanation | change)['state'].upper()} for 3 min 12 s: ")


def test_who_holds_it(explanation: dict[str, Any]) -> None:
    hold = {
        "kind": "withdraw",
        "who": "alice",
        "reason": "a new disk",
        "since": explanation["time"] - 60,
        "until": None,
    }
    text = told(explanation | {"state": "held", "hold": hold})
    assert (
        "Operator's hold (edgectl announce ends it): withdrawn by alice since 07:30:02,\n"
        "  until told otherwise: a new disk\n"
    ) in text
    pin = hold | {"kind": "announce", "until": explanation["time"] + 86400.0}
    text = " ".join(told(explanation | {"hold": pin}).split())
    assert "kept announced by alice since 07:30:02, until 2026-11-22 07:31:02 (1 d from now)" in text


def test_no_promise_of_a_time_where_waiting_does_not_help(explanation: dict[str, Any]) -> None:
    way = explanation["explanation"]["ways"][1]
    way["conditions"][0]["left_s"] = None
    assert "→ announced, once all of this is so:" in told(explanation)


def test_what_is_wanted_and_refused_comes_first(explanation: dict[str, Any]) -> None:
    announced = explanation["explanation"]["ways"][1]
    wanted = announced | {"target": "depreferred", "conditions": announced["conditions"][::-1]}
    explanation["explanation"]["ways"].append(wanted)
    lines = told(explanation).splitlines()
    ways = [line.split()[1].rstrip(",") for line in lines if line.startswith("  → ")]
    assert ways == ["depreferred", "announced", "fenced"]


def test_a_view_that_cannot_be_relied_on_shows_no_sums(explanation: dict[str, Any]) -> None:
    explanation["view"]["problem"] = "both reflectors are down"
    text = told(explanation)
    assert "OTHER NODES  not known reliably: both reflectors are down\n" in text
    assert "with room for" not in text
    explanation["view"]["nodes"] = []
    assert "SEEN BY" not in told(explanation)


def test_what_has_no_limit_and_what_is_over_it(explanation: dict[str, Any]) -> None:
    explanation["view"]["others"]["settled_s"] = None
    (entry,) = explanation["ledger"]["entries"]
    over = entry | {"neighbor": "2001:db8:21::1", "penalty": 2710.0, "suppressed_likely": True}
    explanation["ledger"]["entries"] = [entry | {"budget": None}, over]
    text = told(explanation, 100)
    assert "with room for 31 calls\n" in text
    assert "198.51.100.0/24  1380     -       cisco\n" in text
    assert "198.51.100.0/24  2710     1500    cisco    suppressed, probably\n" in text
    explanation["ledger"] = {"penalty": 0.0, "budget": None, "where": "", "entries": []}
    assert "DAMPING LEDGER  no neighbor is known to count changes\n" in told(explanation)


def test_failing_probes_and_what_was_only_observed(explanation: dict[str, Any]) -> None:
    explanation["probe"] = {"passed": 0, "failed": 4, "problem": "198.51.100.1: no answer within 0.75 s"}
    explanation["decisions"][1]["carried_out"] = False
    text = told(explanation)
    assert "self-probes   4 in a row failed: 198.51.100.1: no answer within 0.75 s\n" in text
    assert "depreferred → withdrawn (not carried out): " in text


def test_before_the_first_decision(explanation: dict[str, Any]) -> None:
    text = told(explanation | {"state": "starting", "reason": "", "decisions": [], "since_s": 0.4})
    assert text.startswith("e1 has been STARTING for 0.4 s.\nNew callers land elsewhere")
    assert text.endswith("LAST DECISIONS  none yet\n")


def test_words_of_others_do_nothing_to_the_terminal(explanation: dict[str, Any]) -> None:
    explanation["reason"] = "\x1b[2Jgone\r\x9b31m"
    explanation["view"]["problem"] = "told so\x07"
    text = told(explanation)
    assert not any(sign in text for sign in "\x1b\r\x9b\x07")
    assert "?[2Jgone??31m" in text
