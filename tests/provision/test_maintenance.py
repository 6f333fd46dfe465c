"""What is done to a fleet that serves: a new certificate, another configuration, a node that goes and comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import secrecy
from bed import controller
from bed.plan import CLIENT, SERVICE_NAME
from operator_desk import Desk
from test_fleet import NAMES, PROGRAMS, announced_by_all
from test_upgrade import UPGRADE_S, Talk, careful
from waiting import until

pytestmark = [pytest.mark.needs(*PROGRAMS), pytest.mark.timeout(1800)]


def started(fleet: Desk) -> dict[str, float]:
    return {name: status["started_at"] for name, status in fleet.status().items()}


def shown(fleet: Desk) -> dict[str, str]:
    """Which certificate new callers of each node are shown."""
    return {name: status["credentials"]["certificate"]["hash"] for name, status in fleet.status().items()}


def call(fleet: Desk) -> None:
    """From the client, who trusts nothing but the certificate that the controller has now."""
    done = fleet.bed.edgectl("call", SERVICE_NAME, "--ca", str(fleet.vault / "chain.pem"), place=CLIENT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_certificate_is_renewed_while_people_talk(fleet: Desk) -> None:
    """Nothing is restarted and nobody is cut off; who calls from then on is shown the new one; and it is done once."""
    before, running = shown(fleet), started(fleet)
    with Talk(fleet) as talk:
        controller.certify(fleet.vault)
        fleet.secrets.extend(secrecy.fragments(fleet.vault / "key.pem"))
        with secrecy.ProcessWatch(fleet.secrets) as watch:
            played = fleet.play("certificates.yml", "certificates.yml")
        after = shown(fleet)
        call(fleet)
        seen = talk.last()
    assert watch.seen == set()
    assert played.changed() == dict.fromkeys(NAMES, 2), played.said  # the files, and the workers
    assert set(after.values()).isdisjoint(before.values())
    assert len(set(after.values())) == 1
    assert started(fleet) == running
    assert (seen["failed"], seen["lost"]) == (0, 0), seen
    assert fleet.play("certificates.yml", "certificates.yml again").changed() == dict.fromkeys(NAMES, 0)
    for node in NAMES:
        assert secrecy.on_node(fleet.bed, node, fleet.secrets) == (set(), set())


def test_a_key_that_is_of_another_certificate_is_not_taken(fleet: Desk, tmp_path: Path) -> None:
    """The first node refuses it, with what it has in place; the others are not asked."""
    before = shown(fleet)
    good = (fleet.vault / "key.pem").read_bytes()
    controller.certify(tmp_path)
    try:
        (fleet.vault / "key.pem").write_bytes((tmp_path / "key.pem").read_bytes())
        done = fleet.play("certificates.yml", "certificates.yml wrong", exit_code=2)
    finally:
        (fleet.vault / "key.pem").write_bytes(good)
    assert set(done.hosts) == {min(NAMES)}
    assert shown(fleet) == before
    assert fleet.play("certificates.yml", "certificates.yml right").changed() == dict.fromkeys(NAMES, 0)


def test_a_node_renews_its_certificate_itself(fleet: Desk) -> None:
    """As the hook of a certificate authority's client does: on the node, with no controller."""
    before = shown(fleet)
    good = {name: (fleet.vault / name).read_bytes() for name in ("chain.pem", "key.pem")}
    hook = "sudo -n sh -c 'edge-release tls && edgectl node reload --deadline 1s --wait'"
    until(lambda: len(fleet.status()["ams-1"]["generations"]) == 1, "the workers of before have left", 120)
    try:
        controller.certify(fleet.vault)
        pem = "".join((fleet.vault / name).read_text() for name in good)
        done = fleet.bed.ssh("ams-1", hook, stdin=pem)
    finally:
        for name, data in good.items():
            (fleet.vault / name).write_bytes(data)
    assert done.returncode == 0, done.stdout + done.stderr
    after = shown(fleet)
    assert {name for name in NAMES if after[name] != before[name]} == {"ams-1"}
    assert fleet.play("certificates.yml", "certificates.yml back").changed() == {
        name: 2 if name == "ams-1" else 0 for name in NAMES
    }
    assert shown(fleet) == before


def apply(fleet: Desk, *argv: str) -> dict[str, Any]:
    done = fleet.of_fleet("config", "apply", *careful(fleet), "-o", "json", *argv, timeout=UPGRADE_S)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def outcomes(document: dict[str, Any]) -> dict[str, str]:
    return {node["name"]: node["state"] for node in document["nodes"]}


LEAVES_SOONER = (
    "[sites.fra.defaults.bgp]\n",
    "[sites.fra.defaults.shutdown]\ngrace_s = 2.5\n\n[sites.fra.defaults.bgp]\n",
)


def test_a_configuration_is_applied_where_it_changes_something(fleet: Desk) -> None:
    """One node is drained, gets it, is restarted and taken back, while people talk; and then it gets the old one again."""
    before, running = fleet.status(), started(fleet)
    only_fra = {"ams-1": "unchanged", "fra-1": "done", "nyc-1": "unchanged"}
    with Talk(fleet) as talk:
        with fleet.edited(*LEAVES_SOONER):
            planned = apply(fleet, "--dry-run")
            (change,) = (node["diff"] for node in planned["nodes"] if node["state"] == "planned")
            assert "+grace_s = 2.5" in change
            assert started(fleet) == running
            done = apply(fleet)
            during = fleet.status()
            assert apply(fleet)["state"] == "unchanged"
        seen = talk.last()
    assert (done["state"], outcomes(done)) == ("done", only_fra)
    assert {name for name in NAMES if during[name]["started_at"] != running[name]} == {"fra-1"}
    assert during["fra-1"]["config"]["hash"] != before["fra-1"]["config"]["hash"]
    assert not during["fra-1"]["config"]["changed_on_disk"]
    assert (seen["failed"], seen["lost"]) == (0, 0), seen
    assert outcomes(apply(fleet)) == only_fra
    assert fleet.status()["fra-1"]["config"]["hash"] == before["fra-1"]["config"]["hash"]
    until(lambda: announced_by_all(fleet), "the router has three next hops again")


def members(fleet: Desk, node: str) -> set[str]:
    text = fleet.bed.run(node, "cat", "/etc/edge/members.toml", check=True).stdout
    return {name for name in NAMES if f'"{name}"' in text}


def test_a_node_leaves_the_fleet_and_comes_back(fleet: Desk) -> None:
    """The others are told while they serve, and go on; with what they are told they find nothing wrong."""
    terraformed = fleet.bed.home / "edge_nodes.json"
    whole, running = terraformed.read_text(), started(fleet)
    others = NAMES - {"nyc-1"}
    fleet.of_fleet("drain", "nyc-1", "--wait", "--reason", "it goes")
    try:
        nodes = json.loads(whole)
        del nodes["nyc-1"]
        terraformed.write_text(json.dumps(nodes))
        done = apply(fleet)
        assert outcomes(done) == dict.fromkeys(others, "done")
        assert {node: members(fleet, node) for node in others} == dict.fromkeys(others, others)
        told = fleet.status()
        assert {name: (one["started_at"], one["problems"]) for name, one in told.items()} == {
            name: (running[name], []) for name in others
        }
        call(fleet)
    finally:
        terraformed.write_text(whole)
        fleet.inventory()
        played = fleet.play("site.yml", "site.yml with one more", *fleet.release_options())
        fleet.of_fleet("undrain", "nyc-1")
        fleet.wait_ready()
    assert played.changed() == {**dict.fromkeys(others, 1), "nyc-1": 0}, played.said
    assert {node: members(fleet, node) for node in NAMES} == dict.fromkeys(NAMES, NAMES)
    assert started(fleet) == running
    until(lambda: announced_by_all(fleet), "the router has three next hops again")
