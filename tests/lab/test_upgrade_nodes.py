"""Upgrades of real nodes, by a process that is killed, interrupted, or meets a release that does not run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from rollout_rig import BROKEN, NEW, NEWEST, OLD, PATIENCE_S, ROOT, RigNode, rig_fleet, wheelhouse

COUNT = 2
UPGRADE_S = 600.0
"""Each node starts two processes of Python, one after the other, on a machine that may do ten other things."""

# Before what a step orders (whether it has been ordered is written down, but it has not), and behind it (the other way round).
CUTS = [
    ("drain", False),
    ("drain", True),
    ("gone", False),
    ("install", True),
    ("check", False),
    ("use", False),
    ("use", True),
    ("restart", False),
    ("restart", True),
    ("admit", True),
    ("verify", False),
    ("undrain", False),
    ("undrain", True),
    ("back", False),
    ("soak", False),
]

pytestmark = pytest.mark.timeout(3 * UPGRADE_S)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RigNode]]:
    with rig_fleet(tmp_path_factory.mktemp("fleet"), COUNT) as nodes:
        yield nodes


def driver(fleet: list[RigNode], version: str, *more: str) -> subprocess.Popen[str]:
    directory = fleet[0].directory.parent
    house = wheelhouse(directory / f"house-{version}", version)
    return subprocess.Popen(
        [
            *(sys.executable, ROOT / "tests/rollout_driver.py", directory, str(COUNT), version),
            *("--wheelhouse", house, *more),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
    )


def run(fleet: list[RigNode], version: str, *more: str) -> subprocess.CompletedProcess[str]:
    process = driver(fleet, version, *more)
    out, err = process.communicate(timeout=UPGRADE_S)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def until_free(fleet: list[RigNode]) -> None:
    """Whoever was killed has given nothing back."""
    deadline = time.monotonic() + PATIENCE_S
    while any(node.status()["lease"] for node in fleet):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def assert_all_run(fleet: list[RigNode], version: str) -> None:
    for node in fleet:
        status = node.status()
        assert status["version"] == version
        assert {worker["version"] for worker in status["workers"]} == {version}
        assert (status["state"], status["hold"], status["lease"]) == ("announced", None, None)
        assert status["operation"]["state"] == "done"
        assert node.current == version


def test_killed_at_every_step_and_resumed(fleet: list[RigNode]) -> None:
    first, second = fleet
    started_at = second.status()["started_at"]
    resume: list[str] = []
    for step, behind in CUTS:
        done = run(fleet, NEW, *resume, "--die", step, *(["--die-behind"] if behind else []))
        assert done.returncode == -signal.SIGKILL, (step, behind, done.stdout, done.stderr)
        until_free(fleet)
        operation = first.status()["operation"]
        assert operation["interrupted"], operation
        assert "upgrade --resume" in operation["advice"]
        untouched = second.status()
        assert (untouched["version"], untouched["hold"]) == (OLD, None)
        assert (untouched["started_at"], untouched["announced"]) == (started_at, True)
        resume = ["--resume"]
    done = run(fleet, NEW, "--resume")
    assert done.returncode == 0, done.stderr
    assert_all_run(fleet, NEW)


def test_a_release_that_does_not_run_is_left_at_one_node_and_taken_back(fleet: list[RigNode]) -> None:
    first, second = fleet
    before = {node.name: node.status() for node in fleet}
    was = before["n1"]["version"]
    done = run(fleet, BROKEN)
    assert done.returncode == 1
    assert "n1 at restart: edge.service: did not come up: this release is broken" in done.stderr
    untouched = second.status()
    assert untouched["started_at"] == before["n2"]["started_at"]
    assert (untouched["state"], untouched["hold"]) == ("announced", None)
    assert untouched["operation"]["state"] == "failed"
    assert "n1 at restart" in untouched["operation"]["reason"]
    assert not first.socket.exists()
    done = run(fleet, BROKEN, "--rollback")
    assert done.returncode == 0, done.stderr
    assert_all_run(fleet, was)
    assert second.status()["started_at"] == before["n2"]["started_at"]


def test_interrupted_while_another_waits_and_resumed(fleet: list[RigNode]) -> None:
    process = driver(fleet, NEWEST)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("n1: install"):
            break
    second = run(fleet, NEWEST, "--who", "bob")
    assert second.returncode == 6, second.stderr
    assert "n1: alice has the lease since" in second.stderr
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=UPGRADE_S)
    assert process.returncode == 130
    status = fleet[0].status()
    assert status["lease"] is None, "it gave it back"
    assert status["operation"]["interrupted"]
    refused = run(fleet, NEWEST)
    assert refused.returncode == 6, "an operation that was cut off is not forgotten"
    assert "upgrade --resume" in refused.stderr
    done = run(fleet, NEWEST, "--resume", "--who", "bob")
    assert done.returncode == 0, done.stderr
    assert_all_run(fleet, NEWEST)
