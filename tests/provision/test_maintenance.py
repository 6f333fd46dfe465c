"""What is done to a fleet that serves: a new certificate, another configuration, a node that goes and comes back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import secrecy
from bed import controller
from bed.plan import CLIENT, NODES, ROUTER, SERVICE, SERVICE_NAME
from bed.router import CONTROL
from operator_desk import Desk
from test_fleet import NAMES, NEXT_HOPS, PROGRAMS, announced_by_all
from test_upgrade import UPGRADE_S, Talk, careful
from waiting import until

pytestmark = [pytest.mark.needs(*PROGRAMS), pytest.mark.timeout(1800)]


NYC = NODES[2]


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


def test_two_nodes_leave_by_one_command_and_three_do_not(fleet: Desk) -> None:
    """Over ssh; each has said yes before any is told, and the last announcer is never one of them."""
    two, last = ["ams-1", "fra-1"], NYC.addresses
    refused = fleet.of_fleet("withdraw", *sorted(NAMES), "--reason", "all of them", exit_code=6)
    assert "--force" in refused.stderr
    assert announced_by_all(fleet)
    fleet.of_fleet("withdraw", *two, "--reason", "two of them")
    try:
        until(
            lambda: [fleet.bed.next_hops(one.network) for one in SERVICE] == [{str(one)} for one in last],
            "the router has only the third left",
        )
        fleet.of_fleet("drain", "nyc-1", "--reason", "the last", exit_code=6)
        call(fleet)
    finally:
        fleet.of_fleet("announce", *two)
    until(lambda: announced_by_all(fleet), "the router has three next hops again")


# --- what a node may be asked for besides ---------------------------------------------------------------------

SEALED = ("[secrets]\n", "[secrets]\nsealed = true\n")
WATCHED = (
    'description = "New York"\n',
    f"""description = "New York"

[sites.nyc.defaults.bgp.bfd]
interval_ms = 100
multiplier = 3

[[sites.nyc.defaults.source_routes]]
source = "{NYC.v4.ip}"
gateway = "{NYC.router_v4}"
table = 101
""",
)
UNPLUGGED_S = 3.0  # by BFD a third of a second, and by the hold time 9 s
EXPOSED = re.compile(r"Overall exposure level for edge.service: (\d+\.\d+)")


def upgraded(fleet: Desk, node: str, phase: str, *shown: str) -> None:
    """By the playbook, that one alone, to what the fleet file says now; ``shown``: to who asks a caller for it."""
    probe = ["--ca", str(fleet.vault / "chain.pem"), "--server-name", SERVICE_NAME, *shown]
    told = {"edgectl": ["edgectl", "--fleet", str(fleet.fleet_file)], "probe_arguments": probe}
    options = (*fleet.release_options(), "--limit", node, "-e", json.dumps(told))
    fleet.play("upgrade.yml", phase, *options)
    until(lambda: announced_by_all(fleet), "the router has three next hops again")


def in_the_clear(fleet: Desk, node: str) -> list[str]:
    """Files under /etc in which the certificate's key can be read, by root."""
    word = secrecy.fragments(fleet.vault / "key.pem")[0]
    found = fleet.bed.run(node, "grep", "-rlF", "--file=-", "/etc", stdin=word)
    return found.stdout.splitlines()


def watched_by_router(fleet: Desk) -> dict[str, str]:
    """The state of each of its BFD sessions, by the neighbor's address."""
    told = fleet.bed.run(ROUTER, "birdc", "-s", str(CONTROL), "show", "bfd", "sessions", check=True).stdout
    rows = (line.split() for line in told.splitlines())
    return {row[0]: row[2] for row in rows if len(row) > 2 and row[2] in ("Up", "Down", "Init")}


def is_hardened(fleet: Desk, node: str) -> bool:
    told = fleet.bed.run(node, "systemd-analyze", "security", "--no-pager", "edge.service").stdout
    found = EXPOSED.search(told)
    assert found, told
    return float(found[1]) <= 1.5


def test_a_node_with_sealed_secrets_bfd_and_a_routing_table_of_its_own(fleet: Desk) -> None:
    """Nothing of them is there before, all of it while the fleet file says so, also after a boot, and nothing after that."""
    node, own = NYC.name, {str(address) for address in NYC.addresses}
    rule = f"from {NYC.v4.ip} lookup 101"
    certificate = shown(fleet)[node]
    with fleet.edited(*SEALED), fleet.edited(*WATCHED):
        upgraded(fleet, node, "upgrade.yml special")
        with fleet.bed.reboots(node):
            fleet.bed.ssh(node, "sudo systemctl reboot")
        fleet.wait_ready()
        assert in_the_clear(fleet, node) == []
        assert shown(fleet)[node] == certificate
        refused = fleet.play("certificates.yml", "certificates.yml sealed", "--limit", node, exit_code=2)
        assert "the playbook upgrade replaces it" in refused.words
        assert is_hardened(fleet, node)
        assert rule in " ".join(fleet.bed.run(node, "ip", "rule").stdout.split())
        assert str(NYC.router_v4) in fleet.bed.run(node, "ip", "route", "show", "table", "101").stdout
        until(
            lambda: {peer for peer, state in watched_by_router(fleet).items() if state == "Up"} == own,
            "the router hears BFD from it over both families",
        )
        call(fleet)
        fleet.bed.plug(node, connected=False)
        lost = [hops - own for hops in NEXT_HOPS]
        try:
            until(
                lambda: [fleet.bed.next_hops(service.network) for service in SERVICE] == lost,
                "the router has given it up by BFD",
                UNPLUGGED_S,
            )
        finally:
            fleet.bed.plug(node, connected=True)
        until(lambda: announced_by_all(fleet), "the router has three next hops again")
    upgraded(fleet, node, "upgrade.yml usual")
    assert in_the_clear(fleet, node) != []
    assert fleet.bed.run(node, "ls", "/etc/edge/credentials", check=True).stdout.split() == ["bgp-md5.key"]
    assert rule not in " ".join(fleet.bed.run(node, "ip", "rule").stdout.split())
    assert shown(fleet)[node] == certificate
    assert own.isdisjoint(peer for peer, state in watched_by_router(fleet).items() if state == "Up")


AUDIENCE = "voice.example"
TOKENS = (
    "[monitoring]\n",
    f"""[sites.ams.defaults.auth]
mode = "token"
audience = "{AUDIENCE}"

[monitoring]
""",
)


def token(fleet: Desk, kid: str) -> Path:
    """The nodes' keys of tokens are one of that name alone; a token that it has signed."""
    keys, file = fleet.vault / "tokens.jwks", fleet.bed.home / f"{kid}.token"
    keys.write_text(fleet.edgectl("token", "key", "--kid", kid).stdout)
    sign = ("token", "sign", "--key", str(keys), "--audience", AUDIENCE, "--expires", "1200")
    file.write_text(fleet.edgectl(*sign).stdout)
    return file


def called(fleet: Desk, *shown: str) -> int:
    """With that, a node that asks for a token, at its own address: the exit code; 6, not from this caller."""
    trust = ("--ca", str(fleet.vault / "chain.pem"), "--server-name", SERVICE_NAME)
    return fleet.bed.edgectl("call", str(NODES[0].v4.ip), *trust, *shown, place=CLIENT).returncode


def test_keys_of_tokens_are_replaced_while_a_node_serves(fleet: Desk) -> None:
    """It takes the new ones from new callers, and the old ones no more."""
    secret = ("[secrets]\n", '[secrets]\ntoken_keys = "secrets/tokens.jwks"\n')
    old = ("--token", f"@{token(fleet, 'first')}")
    with fleet.edited(*secret), fleet.edited(*TOKENS):
        upgraded(fleet, "ams-1", "upgrade.yml tokens", *old)
        running = started(fleet)
        assert (called(fleet, *old), called(fleet)) == (0, 6)
        new = ("--token", f"@{token(fleet, 'second')}")
        played = fleet.play("certificates.yml", "certificates.yml tokens", "--limit", "ams-1")
        assert played.changed() == {"ams-1": 2}, played.said
        assert (called(fleet, *new), called(fleet, *old)) == (0, 6)
        assert started(fleet) == running
    upgraded(fleet, "ams-1", "upgrade.yml no tokens")
