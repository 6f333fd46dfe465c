"""What an operator types at nodes of a standing lab, from outside and inside, as root and without any privilege."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.needs("bird")

LAB = f"operator-{os.getpid()}"
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def operator(caller: Any) -> Iterator[Any]:
    """A caller with a lab whose e1 announces."""
    up = caller.edgectl("lab", "up", "--name", LAB)
    assert up.returncode == 0, up.stderr
    try:
        until(caller, state="announced")
        yield caller
    finally:
        down = caller.edgectl("lab", "down", "--name", LAB)
        assert down.returncode == 0, down.stderr


def until(caller: Any, state: str) -> Any:
    """What e1 explains once it is in ``state``."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        asked = caller.edgectl("explain", "e1", "--lab", LAB, "-o", "json")
        if asked.returncode == 0 and json.loads(asked.stdout)["state"] == state:
            return json.loads(asked.stdout)
        assert time.monotonic() < deadline, asked.stdout + asked.stderr
        time.sleep(0.2)


def test_out_for_a_while_and_back_by_itself(operator: Any) -> None:
    """Once only: a second withdrawal in so short a time would have to wait for the damping ledger."""
    done = operator.edgectl(
        "withdraw", "e1", "--lab", LAB, "--force", "--for", "3s", "--reason", "a new disk"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("e1 is held, withdrawn by ")
    assert until(operator, state="held")["hold"]["reason"] == "a new disk"
    assert until(operator, state="announced")["hold"] is None


def test_kept_in_and_let_go(operator: Any) -> None:
    done = operator.edgectl("announce", "e1", "--lab", LAB, "--hold")
    assert done.stdout.startswith("e1 is announced, kept announced by "), done.stderr
    done = operator.edgectl("undrain", "e1", "--lab", LAB)
    assert done.stdout == "e1 is announced, no hold\n", done.stderr


def test_an_explanation_can_be_read(operator: Any) -> None:
    done = operator.edgectl("explain", "e1", "--lab", LAB)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("e1 has been ANNOUNCED for ")
    assert "WHAT WOULD CHANGE IT" in done.stdout


def test_sessions_and_routes_are_those_of_the_topology(operator: Any) -> None:
    document = json.loads(operator.edgectl("bgp", "peers", "e1", "--lab", LAB, "-o", "json").stdout)
    upstream = [peer for peer in document["peers"] if peer["role"] == "upstream"]
    assert upstream
    assert {peer["state"] for peer in upstream} == {"up"}
    routes = json.loads(operator.edgectl("bgp", "routes", "e1", "--lab", LAB, "-o", "json").stdout)
    told = {(route["neighbor"], route["prefix"]) for route in routes["announced"]}
    assert {neighbor for neighbor, _ in told} >= {peer["address"] for peer in upstream}
    assert "198.51.100.0/24" in {prefix for _, prefix in told}


def test_inside_the_lab_a_name_is_enough(operator: Any) -> None:
    inside = ("lab", "exec", "--name", LAB, "c1", sys.executable, "-P", "-m", "edge.cli")
    done = operator.edgectl(*inside, "explain", "e1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("e1 has been ANNOUNCED for ")


def test_the_doctor_finds_a_node_well_that_others_answer(operator: Any) -> None:
    """Over links and routers: what it says of reach and MTU is of the network, and not of loopback."""
    inside = ("lab", "exec", "--name", LAB, "e1", sys.executable, "-P", "-m", "edge.cli")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        done = operator.edgectl(*inside, "doctor", "/run/lab/e1/admin.sock", "-o", "json")
        assert done.returncode in (0, 1), done.stderr
        findings = json.loads(done.stdout)["findings"]
        failed = [finding for finding in findings if finding["verdict"] == "fail"]
        if not failed:
            break
        assert time.monotonic() < deadline, failed  # the other nodes may not be up yet
        time.sleep(0.2)
    assert done.returncode == 0
    found = [(finding["check"], finding["verdict"], finding["found"]) for finding in findings]
    reach = [text for check, verdict, text in found if (check, verdict) == ("reach", "ok")]
    assert (
        sum("answered to it, over the network" in text for text in reach) == 2
    )  # from each family's address
    assert sum((check, verdict) == ("MTU", "ok") for check, verdict, _ in found) >= 2
    assert ("unicast addresses", "ok") in {(check, verdict) for check, verdict, _ in found}


def test_a_node_that_is_not_there(operator: Any) -> None:
    done = operator.edgectl("explain", "t1", "--lab", LAB)
    assert done.returncode == 2
    assert f"no node 't1': lab '{LAB}' has e1, " in done.stderr


def test_a_node_that_was_killed(operator: Any) -> None:
    """The last of these tests: it does not come back."""
    status = json.loads(operator.edgectl("lab", "status", "--name", LAB, "-o", "json").stdout)
    (node,) = [
        process for process in status["processes"] if (process["node"], process["name"]) == ("e1", "node")
    ]
    killed = operator.edgectl("lab", "exec", "--name", LAB, "e1", "sh", "-c", f"kill -KILL {node['pid']}")
    assert killed.returncode == 0, killed.stderr
    deadline = time.monotonic() + PATIENCE_S
    while (done := operator.edgectl("explain", "e1", "--lab", LAB)).returncode != 5:
        assert time.monotonic() < deadline, done.stdout
        time.sleep(0.2)
    assert "no node is running here" in done.stderr
