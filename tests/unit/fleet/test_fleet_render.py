"""What is made of the fleet reads back as what the fleet says, and does not change for nothing."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.config import parse_config
from edge.config.fleet_file import check_membership, parse_fleet
from edge.fleet import Fleet
from edge.fleet import parse_fleet as fleet_of
from edge.fleet.inventory import dynamic, host_variables, static
from edge.fleet.render import config_hash, members_toml, node_toml
from edge.fleet.targets import targets_json


def test_a_rendered_configuration_is_the_one_that_was_checked(fleet: Fleet) -> None:
    for node in fleet.nodes:
        assert parse_config(node_toml(fleet, node), Path("/etc/edge")) == node.config


def test_every_node_is_a_member_of_what_it_is_told(fleet: Fleet) -> None:
    members = parse_fleet(members_toml(fleet))
    for node in fleet.nodes:
        check_membership(members, node.config)
    assert members.nodes[0].url == "https://ams-1.edge.example"


def test_behind_each_key_stands_where_it_comes_from(fleet: Fleet) -> None:
    lines = {line.partition(" = ")[0]: line for line in node_toml(fleet, fleet.node("ams-2")).splitlines()}
    assert lines["local_as"].endswith("# defaults")
    assert lines["peer_as"].endswith("# sites.ams")
    assert lines["med"].endswith("# nodes.config")
    assert lines["router_id"].endswith("# nodes.addresses")
    assert lines["certificate"].endswith("# secrets.certificate")


def test_lines_that_move_in_the_fleet_file_change_no_configuration(
    base: str, fleet: Fleet, read: Callable[[str], Fleet]
) -> None:
    """A hash that changes means that something is to be done."""
    policy = "[defaults.policy]\nmin_announcing = 1\n"
    moved = read("# a word\n\n" + base.replace(policy, "") + policy)
    for node in fleet.nodes:
        assert node_toml(moved, moved.node(node.name)) == node_toml(fleet, node)
    assert members_toml(moved) == members_toml(fleet)


def test_the_hash_is_the_beginning_of_sha256() -> None:
    assert config_hash("é") == hashlib.sha256("é".encode()).hexdigest()[:12]


# The Ansible inventory


def test_both_forms_of_the_inventory_say_the_same(fleet: Fleet) -> None:
    edge = static(fleet)["all"]["children"]["edge"]
    script = dynamic(fleet)
    assert edge["hosts"] == script["_meta"]["hostvars"]
    assert list(edge["hosts"]) == script["edge"]["hosts"] == ["ams-1", "ams-2", "fra-1"]
    assert edge["vars"] == script["edge"]["vars"]
    assert {group: list(inner["hosts"]) for group, inner in edge["children"].items()} == {
        group: script[group]["hosts"] for group in script["edge"]["children"]
    }
    assert script["site_ams"]["hosts"] == ["ams-1", "ams-2"]


def test_a_host_has_what_the_role_needs(fleet: Fleet) -> None:
    node = fleet.node("ams-2")
    variables = host_variables(fleet, node)
    assert variables["ansible_host"] == "ams-2.mgmt.example"
    assert "ansible_user" not in variables
    assert variables["edge_node_toml"] == node_toml(fleet, node)
    assert variables["edge_service_addresses"] == ["192.0.2.1", "2001:db8:1::1"]
    assert variables["edge_bgp_speaker"] == "exabgp"
    assert dynamic(fleet)["edge"]["vars"]["edge_secret_files"] == {
        "key_ring": "/srv/secrets/ring.toml",
        "certificate": "/srv/secrets/chain.pem",
        "private_key": "/srv/secrets/key.pem",
        "bgp_md5": "/srv/secrets/bgp-md5.key",
    }


def test_a_node_with_its_own_certificate_gets_it(base: str, read: Callable[[str], Fleet]) -> None:
    fleet = read(base + '[nodes.secrets]\ncertificate = "fra/chain.pem"\n')
    files = {node.name: host_variables(fleet, node).get("edge_secret_files") for node in fleet.nodes}
    assert files["ams-1"] is None
    assert files["fra-1"]["certificate"] == "/srv/fra/chain.pem"
    assert files["fra-1"]["private_key"] == "/srv/secrets/key.pem"


def test_secrets_are_sealed_where_that_is_wanted(base: str, read: Callable[[str], Fleet]) -> None:
    """Then what the node reads is what the role has as a credential, and Ansible is told so."""
    for fleet, sealed in (
        (read(base), False),
        (read(base.replace("[secrets]\n", "[secrets]\nsealed = true\n")), True),
    ):
        tls = tomllib.loads(node_toml(fleet, fleet.nodes[0]))["tls"]
        assert {path.startswith("/run/credentials/edge.service/") for path in tls.values()} == {sealed}
        assert dynamic(fleet)["edge"]["vars"]["edge_sealed"] is sealed


def test_a_host_has_what_its_unit_must_be_allowed(base: str, read: Callable[[str], Fleet]) -> None:
    more = (
        '[[nodes.config.source_routes]]\nsource = "203.0.113.11"\ngateway = "203.0.113.1"\ntable = 101\n'
        "[nodes.config.bgp.bfd]\n"
    )
    fleet = read(base + more)
    last, first = (host_variables(fleet, fleet.node(name)) for name in ("fra-1", "ams-1"))
    assert last["edge_source_routes"] == [{"source": "203.0.113.11", "gateway": "203.0.113.1", "table": 101}]
    assert (first["edge_source_routes"], first["edge_bfd"], last["edge_bfd"]) == ([], False, True)


def test_what_looks_like_a_template_is_text_to_ansible(base: str, read: Callable[[str], Fleet]) -> None:
    """As an agent's instructions may."""
    settings = '[nodes.config.voice]\nbackend = "demo"\n[nodes.config.backends.demo]\ngreeting = "Hello {{ name }}"\n'
    fleet = read(base + settings)
    text = host_variables(fleet, fleet.node("fra-1"))["edge_node_toml"]
    assert text == f"{{% raw %}}{node_toml(fleet, fleet.node('fra-1'))}{{% endraw %}}"
    assert "raw" not in host_variables(fleet, fleet.node("ams-1"))["edge_node_toml"]


def test_nodes_of_this_machine_need_no_ssh(base: str, read: Callable[[str], Fleet]) -> None:
    fleet = read(base + '[access]\ntransport = "unix"\nsocket = "/run/{name}.sock"\nuser = "ops"\n')
    variables = host_variables(fleet, fleet.nodes[0])
    assert (variables["ansible_connection"], variables["ansible_user"]) == ("local", "ops")


# Prometheus


def test_prometheus_gets_one_group_a_node(fleet: Fleet) -> None:
    document = json.loads(targets_json(fleet))
    assert document[0] == {"targets": ["198.51.100.11:9464"], "labels": {"site": "ams", "node": "ams-1"}}
    assert len(document) == 3


def test_what_is_rendered_holds_no_secret_but_its_path(fleet: Fleet) -> None:
    text = msgspec.json.encode([static(fleet), dynamic(fleet)]).decode()
    assert tomllib.loads(node_toml(fleet, fleet.nodes[0]))["tls"]["private_key"] == "/etc/edge/tls/key.pem"
    assert "secret =" not in text


def test_what_the_fleet_file_is_called_makes_no_other_configuration(base: str) -> None:
    """Else a copy of it, applied in passing, would restart the whole fleet."""
    fleets = [fleet_of(base, Path(f"/srv/{name}"))[0] for name in ("fleet.toml", "copy of fleet.toml")]
    first, second = (fleet for fleet in fleets if fleet is not None)
    assert [node_toml(first, node) for node in first.nodes] == [
        node_toml(second, node) for node in second.nodes
    ]
    assert members_toml(first) == members_toml(second)
