"""Why a node says it stands where it does."""

from __future__ import annotations

from pathlib import Path

from bgp.ledger import Allowance, Move
from edge.config import parse_config
from edge.node.control import Control, Evidence

CONFIG = """
[node]
name = "e1"
site = "ams"
server_id = "00000000000000a1"
[service]
addresses = ["192.0.2.1"]
[unicast]
addresses = ["198.51.100.11"]
[tls]
certificate = "chain.pem"
private_key = "key.pem"
"""
EXPENSIVE = Allowance(dict.fromkeys(Move, 60.0), 1480.0, 1500.0, "203.0.113.10")


def test_a_node_that_the_ledger_keeps_from_its_first_announcement_says_so() -> None:
    control = Control(parse_config(CONFIG, Path()), 0.0)
    unproven = Evidence(probes_passed=0, allowance=EXPENSIVE)
    control.decide(unproven, 0.0)
    assert control.why(unproven, 0.0) == ""
    proven = Evidence(probes_passed=3, allowance=EXPENSIVE)
    control.decide(proven, 1.0)
    assert control.why(proven, 1.0).endswith("penalty 1480 of 1500 at 203.0.113.10")
    control.decide(Evidence(probes_passed=4), 2.0)
    assert control.why(Evidence(probes_passed=4), 2.0) == "4 self-probes in a row passed (needs 3)"
