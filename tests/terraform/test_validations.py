"""Each validation of each variable refuses what it is there for, and says which node, and what to write.

Values are checked before a provider is asked for anything, so the variables stand alone here: no provider, no init.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from terraform.given import GIVEN
from terraform.hcl import variables

pytestmark = pytest.mark.needs("terraform")

MISSING = object()
PASSWORD = "Tr0ub4dor+3"  # codespell:ignore
PRIVATE_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\n-----END OPENSSH PRIVATE KEY-----"

Change = tuple[tuple[str, Any], ...]

# What must pass, beside the values that modules are given everywhere.
ALSO: dict[str, Change] = {
    "modules/hosts": (
        ("nodes.a-1.unicast_v6", "2001:DB8:A:0::1"),
        ("nodes.a-1.ssh_host", "2001:db8::5"),
        ("nodes.a-1.bgp.local_as", 4200000001),
        ("nodes.a-1.bgp.router_id", "192.0.2.99"),
        ("nodes.a-1.bgp.peers.0.address", "2001:db8:0:1::1"),
    ),
    "modules/vultr-node": (
        ("ssh_from", ["0.0.0.0/0", "::/0", "2001:db8:1:2::/64", "192.0.2.9/32"]),
        ("bgp.local_as", 4200000001),
    ),
    "modules/cherry-node": (("bgp.local_as", 4200000001),),
    "modules/aws-node": (("ssh_from", ["0.0.0.0/0", "192.0.2.9/32"]),),
}

NODES: list[tuple[Change, str]] = [
    ((("nodes.a-1.site", "Amsterdam"),), "nodes: a-1 (Amsterdam): no name of a site"),
    ((("nodes.a-1.server_id", "a1"),), "nodes: a-1 (a1): no server ID; write 16 hex digits"),
    ((("nodes.a-1.server_id", "00000000000000A1"),), "a-1 (00000000000000A1): no server ID"),
]
TWICE: Change = (("nodes.b-1.server_id", "00000000000000a1"),)
CASES: dict[str, list[tuple[Change, str]]] = {
    "modules/hosts": [
        *NODES,
        (TWICE, "a-1 (00000000000000a1), b-1 (00000000000000a1): one server ID for several nodes"),
        ((("nodes.a-1.unicast_v4", "192.0.2.11/24"),), "a-1 (192.0.2.11/24): unicast_v4 is no IPv4 address"),
        ((("nodes.a-1.unicast_v4", "2001:db8::1"),), "a-1 (2001:db8::1): unicast_v4 is no IPv4 address"),
        ((("nodes.a-1.unicast_v6", "192.0.2.11"),), "a-1 (192.0.2.11): unicast_v6 is no IPv6 address"),
        (
            (("nodes.b-1.unicast_v4", "198.51.100.11"),),
            "b-1 (198.51.100.11): one unicast address for several",
        ),
        ((("nodes.a-1.bgp.peers.0.address", "router"),), "a-1 (router): a BGP peer's address is no address"),
        (
            (("nodes.a-1.unicast_v4", "198.51.100.011"),),
            "a-1 (198.51.100.011): unicast_v4 is no IPv4 address",
        ),
        ((("nodes.a-1.unicast_v6", "::ffff:192.0.2.11"),), "unicast_v6 is no IPv6 address"),
        (
            (("nodes.b-1.unicast_v6", "2001:DB8:a:0::1"),),
            "a-1 (2001:db8:a::1), b-1 (2001:DB8:a:0::1): one unicast_v6 for several",
        ),
        ((("nodes.a-1.bgp.router_id", "a-1"),), "a-1 (a-1): router_id is written like an IPv4 address"),
        ((("nodes.a-1.bgp.router_id", "2001:db8::1"),), "router_id is written like an IPv4 address"),
        ((("nodes.a-1.ssh_host", "-oProxyCommand=x"),), "a-1 (-oProxyCommand=x): ssh_host is no host"),
        ((("nodes.a-1.ssh_user", "-l root"),), "a-1 (-l root): ssh_user is no login name"),
        ((("ssh_user", "Ops"),), "ssh_user: Ops is no login name"),
        ((("nodes.a-1.bgp.peers.0.address", "198.51.100.01"),), "a-1 (198.51.100.01): a BGP peer's address"),
        ((("nodes.a-1.bgp.multihop", 1.5),), "a-1: bgp needs at least one peer, and a multihop of 1 to 255"),
        ((("nodes.a-1.bgp.peers.0.as", 0),), "an AS number is out of range"),
        ((("nodes.a-1.bgp.local_as", 4294967295),), "an AS number is out of range"),
        ((("nodes.a-1.bgp.peers", []),), "a-1: bgp needs at least one peer, and a multihop of 1 to 255"),
        ((("nodes.a-1.bgp.multihop", 256),), "a-1: bgp needs at least one peer, and a multihop of 1 to 255"),
        ((("nodes.a-1.bgp.peers.0.md5_secret_ref", PASSWORD),), "not the password"),
    ],
    "modules/fleet": [
        ((("parts.1.a-1", GIVEN["modules/fleet"]["parts"][0]["a-1"]),), "a-1: in several parts"),
        (
            (("parts.1.b-1.server_id", "00000000000000a1"),),
            "a-1 (00000000000000a1), b-1 (00000000000000a1): one server ID for several nodes",
        ),
    ],
    "modules/cloud-init": [
        ((("ssh_user", "root"),), "root is no login name"),
        ((("ssh_public_keys", []),), "there is none, so nobody could log in"),
        ((("ssh_public_keys", [PRIVATE_KEY]),), "one is no public key"),
    ],
    "modules/vultr-node": [
        *NODES,
        (TWICE, "one server ID for several nodes"),
        ((("bgp.local_as", 0),), "bgp: an AS number is out of range"),
        ((("bgp.peers_v4", ["router"]),), "bgp: a peer is none; peers_v4 are IPv4"),
        ((("bgp.peers_v6", ["192.0.2.1"]),), "bgp: a peer is none; peers_v4 are IPv4"),
        ((("bgp.peers_v4", []), ("bgp.peers_v6", [])), "bgp: there is no peer"),
        ((("bgp.md5_secret_ref", PASSWORD),), "bgp.md5_secret_ref: the name of a secret is meant"),
        ((("os_name", "CentOS 7 x64"),), "CentOS 7 x64 is no Debian"),
    ],
    "modules/cherry-node": [
        *NODES,
        ((("nodes.b-1", GIVEN["modules/cherry-node"]["nodes"]["a-1"]),), "one server ID for several nodes"),
        ((("bgp.local_as", 0),), "bgp.local_as: out of range"),
        ((("bgp.local_as", 64512.5),), "bgp.local_as: out of range"),
        ((("bgp.multihop", 0),), "bgp.multihop: 1 to 255 hops"),
        ((("bgp.multihop", 1.5),), "bgp.multihop: 1 to 255 hops"),
        ((("bgp.md5_secret_ref", PASSWORD),), "bgp.md5_secret_ref: the name of a secret is meant"),
        ((("image", "ubuntu_22_04"),), "ubuntu_22_04 is no Debian"),
    ],
    "modules/aws-node": [
        *NODES,
        (TWICE, "one server ID for several nodes"),
        ((("name", "edge_nodes"),), "edge_nodes is none that AWS takes everywhere"),
        ((("vpc_id", "subnet-a"),), "subnet-a is no VPC"),
        ((("ami", "debian-12"),), "debian-12 is no image"),
        ((("ipv6", True),), "AWS has no dual-stack balancer with a QUIC listener"),
        ((("nlb.subnet_ids", []),), "nlb.subnet_ids: there is none"),
        ((("nlb.health_from", []),), "nlb.health_from: give the prefixes of the balancer's subnets"),
        (
            (("nlb", None), ("global_accelerator", {"health_from": []})),
            "global_accelerator.health_from: give",
        ),
        ((("global_accelerator", {"health_from": ["192.0.2.0/24"]}),), "either this or nlb"),
    ],
}
for module in ("modules/vultr-node", "modules/aws-node"):
    CASES[module] += [
        (((variable, [prefix]),), f"{variable}: {prefix}: no prefix")
        for variable in ("ssh_from", "monitoring_from")
        # A cloud would answer with another spelling, or refuse it: each plan would then have something to do.
        for prefix in ("office", "192.0.2.7/24", "2001:DB8::/32")
    ]
    CASES[module].append(((("forward_from", {"c-1": "192.0.2.300/32"}),), "c-1 (192.0.2.300/32): no prefix"))
for module in ("hosts", "vultr-node", "cherry-node", "aws-node"):
    bad = GIVEN[f"modules/{module}"]["nodes"]["a-1"]
    CASES[f"modules/{module}"].append(
        ((("nodes.a-1", MISSING), ("nodes.A_1-", bad)), "A_1-: no name of a node")
    )

ALL = [(module, change, said) for module, cases in CASES.items() for change, said in cases]


def changed(values: dict[str, Any], change: Change) -> dict[str, Any]:
    """A copy with other values at these paths."""
    result = copy.deepcopy(values)
    for path, value in change:
        *way, last = path.split(".")
        place: Any = result
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        if value is MISSING:
            del place[last]
        else:
            place[last] = value
    return result


def with_variables_alone(terraform):
    for file in terraform.folder.iterdir():
        if file.name != "variables.tf":
            file.unlink()
    return terraform


@pytest.mark.parametrize("module", CASES)
def test_values_that_make_sense_pass(workspace, module):
    terraform = with_variables_alone(workspace(module))
    terraform.give(GIVEN[module])
    terraform.expect(0, "plan")
    terraform.give(changed(GIVEN[module], ALSO.get(module, ())))
    terraform.expect(0, "plan")


@pytest.mark.parametrize("module, change, said", ALL)
def test_a_value_that_makes_no_sense_is_refused(workspace, module, change, said):
    terraform = with_variables_alone(workspace(module))
    terraform.give(changed(GIVEN[module], change))
    refusal = terraform.expect(1, "plan").said
    assert "Invalid value for variable" in refusal
    assert said in refusal


@pytest.mark.parametrize("module", CASES)
def test_each_validation_has_a_case(module):
    """Each is told by the fixed words of its message; one without a case here is one that nobody has seen refuse."""
    messages = [
        validation["error_message"]
        for variable in variables(module).values()
        for validation in variable.get("validation", ())
    ]
    assert messages
    for message in messages:
        words = message.rpartition("}: ")[2] if "${join" in message else message.rpartition("} ")[2]
        assert [said for _change, said in CASES[module] if _shares_words(said, words)], message


def _shares_words(said: str, words: str) -> bool:
    """Whether nine letters in a row of the case are in the message's."""
    return any(said[start : start + 9] in words for start in range(len(said) - 8))
