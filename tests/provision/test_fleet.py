"""From Terraform to a fleet that is announced, on booted machines, and what must be true of it then."""

from __future__ import annotations

import json
import time
import tomllib

import pytest
import secrecy
from bed.plan import CLIENT, CONTROLLER, NODES, SERVICE, SERVICE_NAME
from operator_desk import Desk
from waiting import until

from edge.lab.rib import session_name

PROGRAMS = (
    "mmdebstrap",
    "dpkg-scanpackages",
    "systemd-nspawn",
    "bird",
    "nft",
    "ip",
    "ssh",
    "curl",
    "terraform",
    "ansible-playbook",
)
# The first of them waits for an image, wheels, and three machines that install.
pytestmark = [pytest.mark.needs(*PROGRAMS), pytest.mark.timeout(1800)]

NAMES = {node.name for node in NODES}
SESSIONS = {session_name(node.name, version) for node in NODES for version in ("v4", "v6")}
NEXT_HOPS = [{str(node.addresses[family]) for node in NODES} for family in (0, 1)]
LIMIT_S = 600.0  # what we promise for two cores
CALLS = 30  # if each is equally likely to be any of three nodes', one gets none in a run of 60000


def announced_by_all(fleet: Desk) -> bool:
    hops = [fleet.bed.next_hops(service.network) for service in SERVICE]
    return hops == NEXT_HOPS


def test_every_node_announces_to_its_router(fleet: Desk) -> None:
    """The router says so, over sessions with a key; not only they."""
    assert fleet.bed.sessions() == dict.fromkeys(SESSIONS, "Established")
    assert announced_by_all(fleet)


def test_one_of_them_speaks_with_bird(fleet: Desk) -> None:
    """As a child of the node, in its unit with what that may do. Debian's own service is not there to speak beside it."""
    for node in sorted(NAMES):
        there = fleet.bed.run(node, "pgrep", "--euid", "edge", "--exact", "bird").returncode == 0
        assert there == (node == "fra-1")
    shown = fleet.bed.run(
        "fra-1", "systemctl", "show", "--property=LoadState,ActiveState", "bird.service"
    ).stdout
    assert set(shown.split()) == {"LoadState=masked", "ActiveState=inactive"}
    allowed = fleet.bed.run(
        "fra-1", "systemctl", "show", "--property=CapabilityBoundingSet", "edge.service"
    ).stdout
    assert allowed.strip() == "CapabilityBoundingSet=cap_net_bind_service"


def test_what_nodes_know_of_their_router_is_what_terraform_says(fleet: Desk) -> None:
    """But for the damping that it has not; see `Desk.prepare`."""
    rendered = []
    for file in (fleet.bare_file, fleet.fleet_file):
        told = fleet.edgectl("--fleet", str(file), "inventory", "-o", "ansible").stdout
        hosts = json.loads(told)["all"]["children"]["edge"]["hosts"]
        rendered.append({name: tomllib.loads(host["edge_node_toml"]) for name, host in hosts.items()})
    bare, used = rendered
    assert set(bare) == NAMES
    for config in used.values():
        assert len(config["bgp"]["neighbors"]) == 2
        assert {neighbor.pop("damping") for neighbor in config["bgp"]["neighbors"]} == {"off"}
    assert used == bare


def test_status_says_that_all_are_ready(fleet: Desk) -> None:
    table = fleet.of_fleet("status").stdout
    assert "3 nodes at 3 sites, 3 announce" in table
    told = fleet.status()
    assert set(told) == NAMES
    assert {status["state"] for status in told.values()} == {"announced"}
    assert not any(status["config"]["changed_on_disk"] for status in told.values())


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_callers_of_the_anycast_address_are_answered_by_every_node(fleet: Desk, family: str) -> None:
    """And their calls get there, and back from the address that they called."""
    ca = ["--ca", str(fleet.vault / "chain.pem")]
    load = [
        "load",
        SERVICE_NAME,
        family,
        *ca,
        "--calls",
        str(CALLS),
        "--ramp",
        "6",
        "--hold",
        "2",
        "-o",
        "json",
    ]
    done = fleet.bed.edgectl(*load, place=CLIENT)
    assert done.returncode == 0, done.stdout + done.stderr
    total = json.loads(done.stdout.splitlines()[-1])
    assert set(total["established"]) == NAMES
    assert (sum(total["established"].values()), total["failed"], total["lost"]) == (CALLS, 0, 0)


def test_a_call_is_accounted_for_frame_by_frame(fleet: Desk) -> None:
    call = ["call", SERVICE_NAME, "--ca", str(fleet.vault / "chain.pem")]
    done = fleet.bed.edgectl(*call, place=CLIENT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_took_less_than_ten_minutes(fleet: Desk) -> None:
    assert sum(fleet.phases.values()) < LIMIT_S, fleet.phases


def test_a_second_run_changes_nothing(fleet: Desk) -> None:
    before = {name: status["started_at"] for name, status in fleet.status().items()}
    again = fleet.play("site.yml", "site.yml again", *fleet.release_options())
    assert again.changed() == dict.fromkeys(NAMES, 0), again.said
    assert {name: status["started_at"] for name, status in fleet.status().items()} == before


def test_a_node_that_reboots_comes_back_announced_by_itself(fleet: Desk) -> None:
    began = time.time()
    with fleet.bed.reboots("fra-1"):
        fleet.bed.ssh("fra-1", "sudo systemctl reboot")
    fleet.wait_ready()
    assert fleet.status()["fra-1"]["started_at"] > began
    until(lambda: announced_by_all(fleet), "the router has three next hops again")


def test_a_node_whose_power_fails_is_left_and_comes_back(fleet: Desk) -> None:
    """The router gives it up by the hold time, 9 seconds: its kernel had no time to say goodbye."""
    lost = [hops - {str(NODES[2].addresses[family])} for family, hops in enumerate(NEXT_HOPS)]
    fleet.bed.power("nyc-1", on=False)
    until(
        lambda: [fleet.bed.next_hops(service.network) for service in SERVICE] == lost,
        "the router has given up the node without power",
    )
    with fleet.bed.reboots("nyc-1"):
        fleet.bed.power("nyc-1", on=True)
    fleet.wait_ready()
    until(lambda: announced_by_all(fleet), "the router has three next hops again")


def test_no_process_has_a_secret_among_its_arguments(fleet: Desk) -> None:
    """From before Terraform until all were ready, on the controller and on the nodes."""
    assert fleet.leaking == set()


@pytest.mark.parametrize("node", sorted(NAMES))
def test_no_secret_is_in_a_log_or_where_anybody_may_read(fleet: Desk, node: str) -> None:
    """The nodes have all of them; see that the search finds what is there."""
    assert secrecy.on_node(fleet.bed, node, fleet.secrets) == (set(), set())


def test_no_secret_is_in_what_an_operator_keeps_or_sees(fleet: Desk) -> None:
    """Terraform's state, the inventory, the fleet file, what Ansible said, and the consoles of the machines."""
    home = fleet.bed.home
    kept = [path for path in home.rglob("*") if path.is_file() and not path.is_relative_to(fleet.vault)]
    kept = [path for path in kept if path.suffix not in (".whl", ".tar")] + list(fleet.bed.logs.iterdir())
    assert any(path.name == "terraform.tfstate" for path in kept)
    texts = {str(path): path.read_text(errors="replace") for path in kept}
    texts |= {f"playbook {number}": played.said for number, played in enumerate(fleet.played)}
    assert [place for place, text in texts.items() if any(secret in text for secret in fleet.secrets)] == []


def test_the_search_for_secrets_finds_them(fleet: Desk) -> None:
    """A word is put where none belongs: in a file, in the journal, among a process's arguments."""
    word = "a-word-that-is-nowhere-else"
    planted = f"install -m 0644 /dev/null /var/tmp/planted; echo {word} | tee /var/tmp/planted | logger; umask 077; echo {word} >/etc/own"
    fleet.bed.run("ams-1", "sh", "-c", planted, check=True)
    fleet.bed.run("ams-1", "journalctl", "--sync", check=True)
    logs, readable = secrecy.on_node(fleet.bed, "ams-1", [word])
    assert "journal" in logs
    assert readable == {"/var/tmp/planted"}
    with secrecy.ProcessWatch([word]) as watch:
        fleet.bed.run(CONTROLLER, "sh", "-c", f": {word}; sleep 1", check=True)
    assert "sh" in watch.seen
