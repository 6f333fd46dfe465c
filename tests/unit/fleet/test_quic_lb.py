"""The table for a load balancer, and whose a connection ID is: with connection IDs that nodes would issue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from edge.cid import encode
from edge.errors import UsageError
from edge.fleet import Fleet
from edge.fleet.quic_lb import owner, table
from edge.keys import KeyRing
from edge.quic import cid_configs

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RING = KeyRing.new(bytes(32), NOW).add(bytes([1] * 32), NOW).use(1)


@pytest.fixture
def behind_nlb(read: Callable[[str], Fleet]) -> Fleet:
    nodes = "".join(
        f'[[nodes]]\nname = "a-{number}"\nsite = "a"\nserver_id = "{number:016x}"\naddresses = ["192.0.2.{number}"]\n'
        f'[nodes.config.service]\naddresses = ["192.0.2.{number}"]\n'
        for number in (1, 2)
    )
    return read(
        '[fleet]\nname = "v"\nversion = "1"\n[secrets]\nkey_ring = "r"\ncertificate = "c"\nprivate_key = "k"\n'
        '[sites.a]\n[defaults.cid]\nprofile = "aws-nlb"\n[defaults.forward]\nreturn_path = "ingress"\n'
        '[defaults.quic]\npreferred_address = false\n[defaults.unicast]\nname = "voice.example"\n' + nodes
    )


def test_each_generation_is_a_configuration_and_one_is_issued(fleet: Fleet) -> None:
    first, second = table(fleet, RING, show_keys=False)
    assert [(one.config_id, one.issued) for one in (first, second)] == [(0, False), (1, True)]
    assert (first.server_id_length, first.nonce_length, first.cid_length, first.worker_octet) == (
        8,
        8,
        18,
        True,
    )
    assert (first.algorithm, first.first_octet_encodes_cid_length) == ("single-pass", True)
    assert first.cid_key is None
    assert first.key_fingerprint == RING.generations[0].fingerprint
    mappings = [
        (one.server_id, one.server_address) for one in first.server_id_mappings if one.node == "fra-1"
    ]
    assert mappings == [("00000000000000f1", "203.0.113.11"), ("00000000000000f1", "2001:db8:f1::11")]


def test_a_balancer_with_the_shown_key_reads_what_a_node_issues(fleet: Fleet) -> None:
    _, issued = table(fleet, RING, show_keys=True)
    (config,) = (config for config in cid_configs("edge", RING) if config.rotation == 1)
    assert issued.cid_key == (config.key or b"").hex() != ""


def test_the_owner_and_its_worker_are_found(fleet: Fleet) -> None:
    for config in cid_configs("edge", RING):
        cid = encode(config, bytes.fromhex("00000000000000f1"), bytes(8), 3)
        found = owner(fleet, RING, cid)
        assert found.node is fleet.node("fra-1")
        assert (found.decoded.worker, found.decoded.rotation) == (3, config.rotation)


def test_a_server_id_of_nobody_has_no_node(fleet: Fleet) -> None:
    cid = encode(cid_configs("edge", RING)[0], bytes(8), bytes(8))
    assert owner(fleet, RING, cid).node is None


@pytest.mark.parametrize("text", ["", "00", "e0" * 18, "ff" * 18, "51" + "00" * 17])
def test_what_is_none_of_ours_is_said_to_be_none(fleet: Fleet, text: str) -> None:
    with pytest.raises(UsageError, match="is no connection ID of this fleet and ring"):
        owner(fleet, RING, bytes.fromhex(text))


def test_behind_awss_balancer_there_is_one_configuration_without_a_key(behind_nlb: Fleet) -> None:
    (one,) = table(behind_nlb, RING, show_keys=True)
    assert (one.algorithm, one.cid_length, one.issued, one.cid_key) == ("plaintext", 16, True, None)
    (config,) = cid_configs("aws-nlb", RING)
    cid = encode(config, bytes.fromhex("0000000000000002"), bytes(6))
    assert owner(behind_nlb, RING, cid).node is behind_nlb.node("a-2")
