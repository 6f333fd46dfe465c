"""The contract between our modules and `edgectl inventory` refuses what a module must not say."""

import copy

import pytest
from jsonschema import Draft202012Validator

from terraform import contract

NODE = {
    "name": "ams-1",
    "provider": "hosts",
    "site": "ams",
    "server_id": "00000000000000a1",
    "unicast_v4": "192.0.2.11",
    "unicast_v6": "2001:db8::11",
    "ssh_host": "ams-1.example",
    "ssh_user": "ops",
    "bgp": {
        "router_id": "192.0.2.11",
        "local_as": 64601,
        "multihop": 2,
        "peers": [{"address": "2001:db8::1", "as": 64496, "family": "ipv6", "md5_secret_ref": "bgp_md5"}],
    },
}


def test_the_schema_is_one():
    Draft202012Validator.check_schema(contract.SCHEMA)


def test_a_whole_node_fits_and_so_does_one_without_what_it_may_lack():
    assert contract.objections({"ams-1": NODE}) == []
    assert contract.objections({"ams-1": NODE | {"unicast_v6": None, "bgp": None}}) == []


@pytest.mark.parametrize(
    "path, value",
    [
        ("name", "Ams_1-"),
        ("provider", "equinix"),
        ("server_id", "00000000000000A1"),
        ("server_id", "a1"),
        ("unicast_v4", "192.0.2.11/24"),
        ("unicast_v4", None),
        ("unicast_v6", "192.0.2.11"),
        ("ssh_host", ""),
        ("ssh_user", "root; rm"),
        ("bgp.router_id", "2001:db8::1"),
        ("bgp.local_as", 0),
        ("bgp.multihop", 0),
        ("bgp.peers", []),
        ("bgp.peers.0.family", "inet"),
        ("bgp.peers.0.address", "router"),
        ("bgp.peers.0.md5_secret_ref", "Tr0ub4dor+3"),
        ("bgp.peers.0.md5_password", "Tr0ub4dor+3"),
        ("password", "Tr0ub4dor+3"),
    ],
)
def test_what_does_not_fit_is_objected_to(path, value):
    node = copy.deepcopy(NODE)
    *way, last = path.split(".")
    place = node
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[last] = value
    assert contract.objections({"ams-1": node}), f"{path} = {value!r}"


@pytest.mark.parametrize("key", NODE)
def test_every_key_is_there(key):
    assert contract.objections({"ams-1": {name: NODE[name] for name in NODE if name != key}})
