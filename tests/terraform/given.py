"""Values that each module and each example works with; tests change one thing in them."""

from __future__ import annotations

from typing import Any

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfA9mG0examplekeyofnobody ops@example"
ANOTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfA9mG0examplekeyofanother ops@example"
OFFICE = ["192.0.2.0/24", "2001:db8:f::/48"]


def _node(letter: str, **more: Any) -> dict[str, Any]:
    return {"site": f"site-{letter}", "server_id": f"00000000000000{letter}1", **more}


def _host(letter: str, last: int) -> dict[str, Any]:
    bgp = {
        "local_as": 64601,
        "peers": [{"address": "198.51.100.1", "as": 64496, "md5_secret_ref": "bgp_md5"}],
    }
    return _node(letter, unicast_v4=f"198.51.100.{last}", unicast_v6=f"2001:db8:{letter}::1", bgp=bgp)


def _contract(letter: str) -> dict[str, Any]:
    node = _node(letter, name=f"{letter}-1", provider="hosts", unicast_v4="192.0.2.9", unicast_v6=None)
    return {f"{letter}-1": node | {"ssh_host": "192.0.2.9", "ssh_user": "ops", "bgp": None}}


def _zone(letter: str, prefix: str, address: str) -> dict[str, Any]:
    server_id = f"00000000000000{letter}1"
    return {"id": f"subnet-{letter}", "prefix": prefix, "address": address, "server_id": server_id}


GIVEN: dict[str, dict[str, Any]] = {
    "modules/hosts": {"nodes": {"a-1": _host("a", 11), "b-1": _host("b", 12)}},
    "modules/fleet": {"parts": [_contract("a"), _contract("b")]},
    "modules/cloud-init": {"hostname": "a-1", "ssh_user": "ops", "ssh_public_keys": [KEY]},
    "modules/vultr-node": {
        "nodes": {"a-1": _node("a", region="ams"), "b-1": _node("b", region="ewr", plan="vc2-4c-8gb")},
        "bgp": {"local_as": 64601, "peers_v6": ["2001:db8:ff::1"]},
        "ssh_public_keys": [KEY],
        "ssh_from": OFFICE,
        "monitoring_from": OFFICE,
        "forward_from": {"c-1 v4": "192.0.2.31/32", "c-1 v6": "2001:db8::31/128"},
    },
    "modules/cherry-node": {
        "nodes": {"a-1": _node("a", region="LT-Siauliai", plan="B1-4-4gb-80s-shared")},
        "project_id": 7,
        "ssh_public_keys": [KEY],
    },
    "modules/aws-node": {
        "nodes": {"a-1": _node("a", subnet_id="subnet-a"), "b-1": _node("b", subnet_id="subnet-b")},
        "vpc_id": "vpc-1",
        "ami": "ami-1",
        "nlb": {"subnet_ids": ["subnet-a", "subnet-b"], "health_from": ["198.51.100.0/27"]},
        "ssh_public_keys": [KEY],
        "ssh_from": ["192.0.2.0/24"],
    },
    "examples/lab": {},
    "examples/anycast-vultr": {"ssh_public_keys": [KEY], "office": OFFICE},
    "examples/mixed": {
        "ssh_public_keys": [KEY],
        "office": OFFICE,
        "cherry_project_id": 7,
        "local_as": 64601,
    },
    "examples/aws-nlb": {
        "vpc_id": "vpc-1",
        "ami": "ami-1",
        "subnets": {
            "a": _zone("a", "198.51.100.0/28", "198.51.100.11"),
            "b": _zone("b", "198.51.100.16/28", "198.51.100.21"),
        },
        "ssh_public_keys": [KEY],
        "office": ["192.0.2.0/24"],
    },
}

# The same modules with their other faces.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "hosts without BGP": ("modules/hosts", {"nodes": {"a-1": _node("a", unicast_v4="198.51.100.11")}}),
    "vultr without BGP, IPv4 alone": (
        "modules/vultr-node",
        {"bgp": None, "ipv6": False, "monitoring_from": [], "forward_from": {}},
    ),
    "cherry without BGP": ("modules/cherry-node", {"bgp": None}),
    "aws with an accelerator and IPv6": (
        "modules/aws-node",
        {"nlb": None, "ipv6": True, "global_accelerator": {"health_from": ["203.0.113.0/24"]}},
    ),
    "aws alone": ("modules/aws-node", {"nlb": None}),
}
