"""Releases brought to booted nodes over ssh, while people talk and others call: by `edgectl upgrade` from the controller."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from bed import wheelhouse
from bed.plan import CLIENT, SERVICE, SERVICE_NAME
from operator_desk import Desk
from test_fleet import PROGRAMS, announced_by_all
from waiting import until

from edge import __version__

pytestmark = [pytest.mark.needs(*PROGRAMS), pytest.mark.timeout(1800)]

NEXT, UNRUNNABLE = "0.1.1", "0.1.2"
TALKERS = 30
UPGRADE_S = 900.0
"""Three nodes, each of which installs and starts; a minute each where nothing else runs."""


class Talk:
    """People who talk all the while, as a daemon at the client; it writes a line a second."""

    def __init__(self, fleet: Desk) -> None:
        self._bed = fleet.bed
        ca = str(fleet.vault / "chain.pem")
        load = ("edgectl", "load", SERVICE_NAME, "--ca", ca, "--calls", str(TALKERS), "--ramp", "6")
        self._log: Path = fleet.bed.spawn(CLIENT, "talkers", *load, "--hold", "3600", "-o", "json")

    def __enter__(self) -> Talk:
        until(lambda: sum(self.last().get("up", {}).values()) == TALKERS, "all of them talk")
        return self

    def __exit__(self, *_: object) -> None:
        self._bed.stop("talkers")

    def last(self) -> dict[str, Any]:
        lines = [line for line in self._log.read_text().splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else {}


class Probing:
    """One call after the other to the anycast address, from the client; those that failed."""

    def __init__(self, fleet: Desk) -> None:
        self._fleet = fleet
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.made = 0
        self.failed: list[str] = []

    def _run(self) -> None:
        call = ("call", SERVICE_NAME, "--ca", str(self._fleet.vault / "chain.pem"))
        while not self._over.is_set():
            done = self._fleet.bed.edgectl(*call, place=CLIENT)
            self.made += 1
            if done.returncode != 0:
                self.failed.append(done.stdout + done.stderr)

    def __enter__(self) -> Probing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def spoil(house: Path, broken: Path) -> None:
    """A release that can be installed and says its version, but whose node raises before it serves."""
    broken.mkdir()
    lock = (house / "requirements.txt").read_text()
    for wheel in house.glob("*.whl"):
        if not wheel.name.startswith("anycast_edge-"):
            (broken / wheel.name).hardlink_to(wheel)
            continue
        with zipfile.ZipFile(wheel) as good, zipfile.ZipFile(broken / wheel.name, "w") as bad:
            for name in good.namelist():
                is_node = name == "edge/node/node.py"
                bad.writestr(name, b"raise SystemExit('it is broken')\n" if is_node else good.read(name))
        before, after = (
            hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, broken / wheel.name)
        )
        lock = lock.replace(before, after)
    (broken / "requirements.txt").write_text(lock)


def upgrade(fleet: Desk, *argv: str, **how: Any) -> Any:
    return fleet.of_fleet("upgrade", *argv, *careful(fleet), "-o", "json", timeout=UPGRADE_S, **how)


def careful(fleet: Desk) -> tuple[str, ...]:
    trust = ("--ca", str(fleet.vault / "chain.pem"), "--server-name", SERVICE_NAME)
    return ("--yes", "--soak", "5s", *trust)


def test_a_rolling_upgrade_loses_nothing(fleet: Desk) -> None:
    house = wheelhouse.publish(fleet.bed.home, NEXT)
    with Talk(fleet) as talk, Probing(fleet) as probing:
        done = upgrade(fleet, NEXT, "--wheelhouse", str(house))
        seen = talk.last()
    document = json.loads(done.stdout)
    assert document["state"] == "done"
    assert {node["state"] for node in document["nodes"]} == {"done"}
    assert {status["version"] for status in fleet.status().values()} == {NEXT}
    assert announced_by_all(fleet)
    assert sum(seen["up"].values()) == sum(seen["established"].values()) == TALKERS, seen
    assert (seen["failed"], seen["lost"]) == (0, 0), seen
    assert probing.made > 3
    assert probing.failed == []


def test_the_playbook_goes_back_and_not_back_and_forth(fleet: Desk) -> None:
    """From the inventory's release to the one before, node by node; whoever runs it again changes nothing."""
    before = fleet.status()
    assert {status["version"] for status in before.values()} == {NEXT}
    trust = ["--ca", str(fleet.vault / "chain.pem"), "--server-name", SERVICE_NAME]
    told = {"edgectl": ["edgectl", "--fleet", str(fleet.fleet_file)], "probe_arguments": trust}
    options = ("-e", json.dumps(told))
    with fleet.edited(f'version = "{__version__}"', f'version = "{NEXT}"'):
        with Talk(fleet) as talk:
            fleet.play("rollback.yml", "rollback.yml", *options)
            seen = talk.last()
        back = fleet.status()
        again = fleet.play("rollback.yml", "rollback.yml again", *options)
    assert (seen["failed"], seen["lost"]) == (0, 0), seen
    assert {status["version"] for status in back.values()} == {__version__}
    assert all(back[name]["started_at"] > before[name]["started_at"] for name in back)
    assert set(again.changed().values()) == {0}, again.said
    assert f"runs {__version__}, and stays with it" in again.words
    # With the inventory of today it is asked to go on from the old release to the one that it was brought back from.
    refused = fleet.play("rollback.yml", "rollback.yml refused", *options, exit_code=2)
    assert f"before it {NEXT}, which is no way back" in refused.words
    assert {one["started_at"] for one in fleet.status().values()} == {
        one["started_at"] for one in back.values()
    }
    until(lambda: announced_by_all(fleet), "the router has three next hops again")


def test_a_release_that_does_not_run_stops_at_the_first_node(fleet: Desk) -> None:
    """Its supervisor leaves at once. The node stays out, the others are not touched, and rollback brings it back."""
    before = fleet.status()
    versions = {status["version"] for status in before.values()}
    house = wheelhouse.publish(fleet.bed.home, UNRUNNABLE)
    broken = house.parent / f"{UNRUNNABLE}-broken"
    spoil(house, broken)
    done = upgrade(fleet, UNRUNNABLE, "--wheelhouse", str(broken), exit_code=1)
    document = json.loads(done.stdout)
    assert document["state"] == "failed"
    first, *others = document["nodes"]
    assert (first["state"], [node["state"] for node in others]) == ("failed", ["untouched"] * len(others))
    # One of them has no process: the command says so with its exit code.
    told = json.loads(fleet.of_fleet("status", "-o", "json", exit_code=3).stdout)
    found = {node["name"]: node["status"] for node in told["nodes"]}
    for node in others:
        status = found[node["name"]]
        assert status["started_at"] == before[node["name"]]["started_at"]
        assert status["operation"]["state"] == "failed"
        assert f"{first['name']} at {first['step']}" in status["operation"]["reason"]
    assert [len(fleet.bed.next_hops(service.network)) for service in SERVICE] == [len(others)] * 2
    fleet.of_fleet("rollback", *careful(fleet), timeout=UPGRADE_S)
    after = fleet.status()
    assert {status["version"] for status in after.values()} == versions
    until(lambda: announced_by_all(fleet), "the router has three next hops again")
