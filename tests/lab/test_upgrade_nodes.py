"""Upgrades of real nodes, by a process that is killed, interrupted, or meets a release that does not run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rollout_rig import (
    BROKEN,
    NEW,
    NEWEST,
    OLD,
    PATIENCE_S,
    ROOT,
    RigNode,
    rig_fleet,
    until_announced,
    wheelhouse,
)

from edge.errors import EdgeError
from edge.fleet.carry_out import carry_out
from edge.fleet.crew import Crew, Files
from edge.fleet.leases import Leases
from edge.fleet.operate import Goal, survey
from edge.fleet.operation import Kind
from edge.fleet.plan import Terms, raise_worst
from edge.fleet.planning import Start
from edge.fleet.render import config_hash
from edge.fleet.rollout import Rollout

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


async def configured(fleet: list[RigNode], texts: dict[str, str]) -> Rollout:
    """Each node gets its text as `edgectl config apply` does it; raises what speaks against that."""
    ways = {node.name: node.way() for node in fleet}
    leases = Leases(ways, who="alice", what="a test", timeout_s=30.0)
    files = {name: Files(text, "") for name, text in texts.items()}
    crew = Crew(ways, leases, who="alice", timeout_s=30.0, files=files)
    goal = Goal(kind=Kind.CONFIG, hashes={name: config_hash(text) for name, text in texts.items()})
    start, terms = Start("op-0000000c", "alice", time.time(), 1), Terms(deadline_s=30.0, soak_s=0.5)
    async with leases.held():
        await leases.take_all(ways)
        found = await survey(crew, [node.member for node in fleet], goal, start, terms)
        raise_worst(found.against)
        rollout = Rollout(found.plan, terms, found.fleet)
        await carry_out(rollout, crew, tell=lambda _: None, poll_s=0.3)
    return rollout


def test_a_configuration_reaches_the_node_that_lacks_it_alone(fleet: list[RigNode]) -> None:
    first, second = fleet
    texts = {node.name: (node.directory / "node.toml").read_text() for node in fleet}
    started_at = [node.status()["started_at"] for node in fleet]
    texts["n2"] += "# another one\n"
    rollout = asyncio.run(configured(fleet, texts))
    assert rollout.failure is None
    assert second.status()["config"]["hash"] == config_hash(texts["n2"])
    assert second.status()["state"] == "announced"
    assert second.status()["started_at"] > started_at[1]
    assert first.status()["started_at"] == started_at[0]


def test_a_configuration_that_is_not_taken_touches_nobody(fleet: list[RigNode]) -> None:
    texts = {node.name: (node.directory / "node.toml").read_text() for node in fleet}
    before = [node.status()["started_at"] for node in fleet]
    with pytest.raises(EdgeError, match=r"n1: node\.toml is not taken.*hartbeat"):
        asyncio.run(configured(fleet, texts | {"n1": texts["n1"] + "[hartbeat]\n"}))
    assert [node.status()["started_at"] for node in fleet] == before
    assert [node.status()["lease"] for node in fleet] == [None, None]


# --- the command itself ---------------------------------------------------------------------------------------

FLEET = """
[fleet]
name = "rig"
version = "{version}"
[access]
transport = "unix"
socket = "{directory}/{{name}}/admin.sock"
[secrets]
key_ring = "ring.toml"
certificate = "cert.pem"
private_key = "key.pem"
[defaults.service]
addresses = ["127.0.0.1"]
manage_addresses = false
[sites.here]
"""
NODE = """
[[nodes]]
name = "{name}"
site = "here"
server_id = "{number:016x}"
addresses = ["127.0.0.{number}"]
announce = false
config.service.port = {port}
"""


def fleet_file(nodes: list[RigNode], version: str) -> Path:
    directory = nodes[0].directory.parent
    text = FLEET.format(version=version, directory=directory)
    for number, node in enumerate(nodes, 2):
        port = re.search(r"^port = (\d+)$", (node.directory / "node.toml").read_text(), re.MULTILINE)
        assert port is not None
        text += NODE.format(name=node.name, number=number, port=port[1])
    (directory / "fleet.toml").write_text(text)
    return directory / "fleet.toml"


def edgectl(file: Path, *argv: object, node: RigNode | None = None) -> subprocess.CompletedProcess[str]:
    """``node``: on whose machine programs are run, for there is but one here."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EDGECTL_FLEET": str(file)}
    if node is not None:
        programs = file.parent / "bin"
        programs.mkdir(exist_ok=True)
        rig = ROOT / "tests/rollout_rig.py"
        sudo = f'#!/bin/sh\nshift 2\nPYTHONPATH={ROOT}/tests:{ROOT} exec {sys.executable} {rig} {node.directory} "$@"\n'
        (programs / "sudo").write_text(sudo)
        (programs / "sudo").chmod(0o755)
        environment["PATH"] = f"{programs}:{environment['PATH']}"
    command = [sys.executable, "-m", "edge.cli", *map(str, argv)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=UPGRADE_S, stdin=subprocess.DEVNULL
    )


def test_the_last_one_is_known_by_the_fleet_where_nodes_see_nobody(fleet: list[RigNode]) -> None:
    file = fleet_file(fleet, OLD)
    done = edgectl(file, "drain", "n2", "--reason", "a new disk")
    assert done.returncode == 0, done.stderr
    try:
        done = edgectl(file, "drain", "n1")
        assert done.returncode == 6
        assert "n1 would leave the service without any node that announces" in done.stderr
        done = edgectl(file, "withdraw", "n1")
        assert done.returncode == 6
    finally:
        assert edgectl(file, "undrain", "n2").returncode == 0
        until_announced(fleet[1])


def test_the_command_and_a_call_to_the_node(fleet: list[RigNode]) -> None:
    """Of a fleet of one, for all nodes of this machine share its programs."""
    node, version = fleet[0], "0.4.0"
    was = node.status()["version"]
    file = fleet_file([node], version)
    house = wheelhouse(file.parent / "house", version)
    upgrade = ("upgrade", "--wheelhouse", house, "--soak", "1s", "--insecure")
    asked = edgectl(file, *upgrade, "--force", node=node)
    assert asked.returncode == 2
    assert "say --yes" in asked.stderr
    refused = edgectl(file, *upgrade, "--yes", node=node)
    assert refused.returncode == 6, refused.stderr
    planned = edgectl(file, *upgrade, "--force", "--dry-run", "-o", "json", node=node)
    assert planned.returncode == 0, planned.stderr
    document = json.loads(planned.stdout)
    assert (document["kind"], document["state"]) == ("FleetChange", "planned")
    assert node.status()["operation"] != document["id"]
    done = edgectl(file, *upgrade, "--force", "--yes", "-o", "json", node=node)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["state"] == "done"
    assert document["nodes"] == [
        {"name": "n1", "from": was, "to": version, "state": "done", "step": "", "diff": ""}
    ]
    assert "n1: call\n" in done.stderr
    assert_all_run([node], version)
    again = edgectl(file, *upgrade, "--force", "--yes", node=node)
    assert again.stdout == "nothing to do: every node is as it is to be\n"
    done = edgectl(file, "rollback", "--force", "--yes", "--soak", "1s", "--insecure", node=node)
    assert done.returncode == 0, done.stderr
    assert_all_run([node], was)
