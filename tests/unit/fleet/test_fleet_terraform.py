"""Nodes that Terraform has made join those of the fleet file; what that says is stronger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ConfigError, EdgeError, UnreachableError
from edge.fleet import Fleet, load_fleet, read_fleet
from edge.fleet.terraform import parse_nodes, read_nodes


def output(name: str = "ams-3", **changes: Any) -> dict[str, Any]:
    """As the modules print it."""
    node = {
        "name": name,
        "provider": "vultr",
        "site": "ams",
        "server_id": "00000000000000a3",
        "unicast_v4": "198.51.100.13",
        "unicast_v6": "2001:db8:a1::13",
        "ssh_host": "198.51.100.13",
        "ssh_user": "root",
        "bgp": {
            "router_id": "198.51.100.13",
            "local_as": 64602,
            "multihop": 2,
            "peers": [
                {"address": "198.51.100.2", "as": 64515, "family": "ipv4", "md5_secret_ref": "bgp_md5"},
                {"address": "2001:db8:a1::2", "as": 64515, "family": "ipv6", "md5_secret_ref": "bgp_md5"},
            ],
        },
    }
    return {name: {**node, **changes}}


@pytest.fixture
def place(tmp_path: Path, base: str) -> Path:
    (tmp_path / "fleet.toml").write_text(base)
    return tmp_path


def joined(place: Path, nodes: dict[str, Any]) -> Fleet:
    (place / "nodes.json").write_text(json.dumps(nodes))
    return load_fleet(place / "fleet.toml", terraform=place / "nodes.json")


def problems_of(place: Path, nodes: dict[str, Any]) -> list[str]:
    (place / "nodes.json").write_text(json.dumps(nodes))
    _, problems = read_fleet(place / "fleet.toml", terraform=place / "nodes.json")
    return [str(problem).removeprefix(f"{place}/") for problem in problems if not problem.note]


def without_neighbors(place: Path) -> None:
    """What the fleet file says of a site's neighbors is stronger, so they have to come out."""
    file = place / "fleet.toml"
    start, _, rest = file.read_text().partition("[[sites.ams.defaults.bgp.neighbors]]")
    file.write_text(start + "[sites.fra" + rest.partition("[sites.fra")[2])


def test_a_node_that_only_terraform_knows_comes_last(place: Path) -> None:
    fleet = joined(place, output())
    assert fleet.names == ("ams-1", "ams-2", "fra-1", "ams-3")
    node = fleet.node("ams-3")
    assert (node.ssh, node.user) == ("198.51.100.13", "root")
    assert node.addresses == ("198.51.100.13", "2001:db8:a1::13")


def test_what_the_fleet_file_says_is_stronger(place: Path) -> None:
    """Of a node that both know, and of BGP its defaults, too."""
    nodes = output("ams-2", server_id="00000000000000ff", unicast_v4="198.51.100.99", ssh_host="x.example")
    node = joined(place, nodes).node("ams-2")
    assert bytes(node.server_id).hex() == "00000000000000a2"
    assert (node.addresses[0], node.ssh, node.user) == ("198.51.100.12", "ams-2.mgmt.example", "root")
    assert node.config.bgp is not None
    assert (node.config.bgp.local_as, node.config.bgp.neighbors[0].peer_as) == (64601, 64500)


def test_terraform_names_the_routers_where_the_fleet_file_does_not(place: Path) -> None:
    without_neighbors(place)
    nodes = {**output("ams-1", ssh_host="ams-1.mgmt.example"), **output("ams-2"), **output()}
    node = joined(place, nodes).node("ams-3")
    assert node.config.bgp is not None
    assert [(one.address, one.peer_as, one.local_address) for one in node.config.bgp.neighbors] == [
        ("198.51.100.2", 64515, "198.51.100.13"),
        ("2001:db8:a1::2", 64515, "2001:db8:a1::13"),
    ]
    assert node.config.bgp.neighbors[0].md5_file == "/run/credentials/edge.service/bgp-md5.key"


def test_a_node_without_bgp_announces_nothing(place: Path) -> None:
    without_neighbors(place)
    nodes = {**output("ams-1", ssh_host="ams-1.mgmt.example"), **output("ams-2"), **output(bgp=None)}
    fleet = joined(place, nodes)
    assert not fleet.node("ams-3").announce
    assert fleet.node("ams-3").config.bgp is None
    assert fleet.node("ams-1").announce


def test_the_file_that_the_fleet_file_names(place: Path, base: str) -> None:
    (place / "fleet.toml").write_text(
        base.replace('version = "0.1.0"', 'version = "0.1.0"\nterraform = "out.json"')
    )
    (place / "out.json").write_text(json.dumps({"edge_nodes": {"sensitive": False, "value": output()}}))
    assert "ams-3" in load_fleet(place / "fleet.toml").names


@pytest.mark.parametrize(
    "changes,where,says",
    [
        ({"site": "lon"}, "nodes.json: $.ams-3.site", "there is no site 'lon'"),
        ({"server_id": "00000000000000a1"}, "nodes.json: $.ams-3.server_id", "that of nodes[0] (ams-1)"),
        ({"unicast_v4": "198.51.100.11"}, "nodes.json: $.ams-3.unicast_v4", "that of nodes[0] (ams-1)"),
        ({"unicast_v4": None, "unicast_v6": None}, "nodes.json: $.ams-3.unicast_v4", "length >= 1"),
        ({"ssh_user": "-x"}, "nodes.json: $.ams-3.ssh_user", "no login name"),
    ],
)
def test_what_terraform_has_wrong_is_told_of_its_output(
    place: Path, changes: dict[str, Any], where: str, says: str
) -> None:
    found = problems_of(place, output(**changes))
    assert [line for line in found if line.startswith(f"{where}: ") and says in line], found


def test_a_peer_that_is_wrong_is_told_by_its_name_there(place: Path) -> None:
    without_neighbors(place)
    odd = output()["ams-3"]["bgp"]
    odd["peers"][1]["as"] = 0
    odd["peers"][0]["md5_secret_ref"] = "bgp_md5_vultr"
    found = problems_of(
        place, {**output("ams-1", ssh_host="ams-1.mgmt.example"), **output("ams-2"), **output(bgp=odd)}
    )
    assert any(line.startswith("nodes.json: $.ams-3.bgp.peers[1].as: expected int >= 1") for line in found), (
        found
    )
    assert any(
        "$.ams-3.bgp.peers[0].md5_secret_ref: is not the name of a secret" in line for line in found
    ), found


@pytest.mark.parametrize(
    "text,says",
    [
        ("Warning: no outputs", "is not JSON; make it with: terraform output -json edge_nodes"),
        ("[]", "is no output edge_nodes: Expected `object`, got `array`"),
        ('{"a": {"name": "a"}}', "missing required field `site` ($[...])"),
        ('{"a": {"name": "b", "site": "s", "server_id": "0"}}', "'b' is not its key in the output, 'a'"),
    ],
)
def test_what_is_no_output(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_nodes(text, "x.json")
    assert str(caught.value).startswith("x.json: ")
    assert says in str(caught.value)


def test_an_output_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="No such file or directory; make it with: terraform output"):
        read_nodes(tmp_path / "x.json")


def test_a_folder_on_a_machine_without_terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnreachableError, match="needs terraform"):
        read_nodes(tmp_path)


def test_terraform_that_has_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it printed on stderr is one line of ours."""
    program = tmp_path / "terraform"
    program.write_text('#!/bin/sh\nprintf "Error: no\\n\\noutput %s\\n" "$5" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(EdgeError, match=r"Error: no output edge_nodes; has it been applied\?$"):
        read_nodes(tmp_path)
