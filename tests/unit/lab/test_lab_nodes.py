"""What a node of the lab is told: a file that a node accepts, with a neighbor for every session of the topology."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bgp.params import NAIVE
from bgp.policy import PolicyParams
from edge.config import NodeConfig, parse_config
from edge.config.fleet_file import parse_fleet
from edge.lab.nodes import TIME_FACTOR, FleetOptions, fleet_file, node_config, server_id, toml_text
from edge.lab.parts import Protection, Role, Software
from edge.lab.topologies import balanced_topology, default_topology, fleet_topology, matrix_topology
from edge.lab.topology import Topology, decode, encode

USUAL = FleetOptions()


def configured(directory: Path, topology: Topology, name: str, options: FleetOptions = USUAL) -> NodeConfig:
    """What the node reads in its file."""
    files = directory / "cert.pem", directory / "key.pem"
    document = node_config(topology, name, 7, directory, *files, options)
    return parse_config(toml_text(document), directory)


@pytest.mark.parametrize("speaker", ["exabgp", "bird"])
@pytest.mark.parametrize(
    "topology",
    [default_topology(), fleet_topology(damping=True, bfd=True), matrix_topology()],
    ids=["default", "fleet", "matrix"],
)
def test_a_node_accepts_its_file(tmp_path: Path, topology: Topology, speaker: str) -> None:
    for name in topology.names(Role.EDGE):
        options = FleetOptions(speaker="bird" if speaker == "bird" else "exabgp")
        config = configured(tmp_path, topology, name, options)
        assert config.bgp is not None
        assert config.bgp.speaker == speaker
        assert config.bgp.local_as == topology.node(name).asn


def test_behind_a_balancer_a_node_has_one_address_and_says_there_whether_it_is_ready(tmp_path: Path) -> None:
    topology = balanced_topology()
    config = configured(tmp_path, topology, "e2")
    assert config.bgp is None
    assert config.cid.profile == "aws-nlb"
    assert config.service.addresses == config.unicast.addresses == (str(topology.addresses("e2").v4),)
    assert config.unicast.name == "198.51.100.1"
    assert config.metrics.listen is not None
    assert config.metrics.listen.host == config.service.addresses[0]
    fleet = parse_fleet(toml_text(fleet_file(topology)))
    assert [bytes(node.server_id) for node in fleet.nodes] == [server_id(number) for number in (1, 2, 3)]
    assert fleet.nodes[1].addresses == config.unicast.addresses


def test_a_neighbor_for_every_upstream_and_reflector_and_family(tmp_path: Path) -> None:
    topology = fleet_topology()
    config = configured(tmp_path, topology, "e1")
    assert config.bgp is not None
    assert [
        (one.role, one.address, one.local_address, one.peer_as, one.hops) for one in config.bgp.neighbors
    ] == [
        ("upstream", "203.0.113.10", "203.0.113.11", 64501, 1),
        ("upstream", "2001:db8:21::1", "2001:db8:21::2", 64501, 1),
        ("upstream", "203.0.113.20", "203.0.113.21", 64502, 1),
        ("upstream", "2001:db8:22::1", "2001:db8:22::2", 64502, 1),
        ("fleet", "203.0.113.101", "203.0.113.11", 64600, 4),
        ("fleet", "2001:db8:31::2", "2001:db8:21::2", 64600, 4),
        ("fleet", "203.0.113.111", "203.0.113.11", 64600, 4),
        ("fleet", "2001:db8:32::2", "2001:db8:21::2", 64600, 4),
    ]
    assert config.unicast.addresses == ("203.0.113.11", "2001:db8:21::2")
    assert config.node.site == "t1"


def test_a_node_is_another_one_on_the_sessions_with_each_reflector(tmp_path: Path) -> None:
    """BIRD drops what comes back to the router ID that sent it, and two edges of one ID would be one."""
    topology = default_topology()
    known_as: dict[str, set[str | None]] = {}
    for name in topology.names(Role.EDGE):
        bgp = configured(tmp_path, topology, name).bgp
        assert bgp is not None
        for one in bgp.neighbors:
            if one.role == "fleet":
                known_as.setdefault(one.address, set()).add(one.router_id)
    assert all(len(ids) == 3 for ids in known_as.values())
    first, second = (known_as[str(topology.addresses(reflector).v4)] for reflector in ("rr1", "rr2"))
    assert not first & second


def test_secrets_are_in_files_and_only_where_there_are_some(tmp_path: Path) -> None:
    topology = default_topology()
    config = configured(tmp_path, topology, "e1")
    assert config.bgp is not None
    secrets = {one.role: Path(one.md5_file or "") for one in config.bgp.neighbors}
    assert secrets["upstream"].read_text() == "between-neighbours"
    assert secrets["fleet"].read_text() == "within-the-fleet"
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets.values())

    document = encode(topology.with_bgp("t1-e1", md5=None, gtsm=False))
    del document["fleet"]
    open_to_all = decode(document)
    assert open_to_all.fleet == Protection()
    bgp = configured(tmp_path, open_to_all, "e1").bgp
    assert bgp is not None
    assert {(one.md5_file, one.hops) for one in bgp.neighbors} == {(None, None)}


def test_bfd_is_spoken_by_whoever_has_a_router_that_does(tmp_path: Path) -> None:
    topology = fleet_topology(bfd=True)
    assert topology.node("t2").software is Software.FRR
    speaking = {name for name in topology.names(Role.EDGE) if _bfd(tmp_path, topology, name)}
    assert speaking == {"e1", "e2", "e3", "e4"}  # each has one of t1 and t3
    assert not _bfd(tmp_path, fleet_topology(), "e1")


def _bfd(directory: Path, topology: Topology, name: str) -> bool:
    bgp = configured(directory, topology, name).bgp
    assert bgp is not None
    return bgp.bfd is not None


def test_how_upstreams_are_supposed_to_count(tmp_path: Path) -> None:
    def supposed(options: FleetOptions) -> list[str]:
        bgp = configured(tmp_path, fleet_topology(), "e1", options).bgp
        assert bgp is not None
        return [one.damping for one in bgp.neighbors if one.role == "upstream"]

    assert supposed(FleetOptions()) == ["cisco"] * 4
    assert supposed(FleetOptions(damping="off")) == ["off"] * 4
    assert supposed(FleetOptions(damping={"t2": "ripe580"})) == ["off", "off", "ripe580", "ripe580"]


def test_times_are_short_and_another_policy_is_a_matter_of_numbers(tmp_path: Path) -> None:
    ours = configured(tmp_path, default_topology(), "e1").policy
    assert ours.withdraw_hold_s == pytest.approx(PolicyParams().withdraw_hold_s * TIME_FACTOR)
    naive = configured(
        tmp_path, default_topology(), "e1", FleetOptions(policy=msgspec.to_builtins(NAIVE))
    ).policy
    assert (naive.guard, naive.withdraw_hold_s) == ("off", 0.0)


def test_without_flite_a_node_offers_what_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    voice = configured(tmp_path, default_topology(), "e1").voice
    assert (voice.backend, voice.backends) == ("echo", ("echo", "story"))
