"""A node behind an AWS Network Load Balancer: one address for everything, and what does not go with that."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import NodeConfig, parse_config
from edge.errors import ConfigError

BEHIND = """
[node]
name = "a"
site = "eu-central-1a"
server_id = "00000000000000a1"
[service]
addresses = ["192.0.2.11"]
manage_addresses = false
[unicast]
addresses = ["192.0.2.11"]
name = "voice.example"
[tls]
certificate = "chain.pem"
private_key = "key.pem"
[cid]
profile = "aws-nlb"
[fleet]
file = "fleet.toml"
[forward]
return_path = "ingress"
[quic]
preferred_address = false
[metrics]
listen = "192.0.2.11:9464"
"""


def parse(text: str) -> NodeConfig:
    return parse_config(text, Path("/etc/edge"))


def test_its_one_address_is_for_callers_nodes_and_health_checks() -> None:
    config = parse(BEHIND)
    assert config.service.addresses == config.unicast.addresses


@pytest.mark.parametrize(
    "old, new, where, says",
    [
        ('return_path = "ingress"', "", "$.forward.return_path", 'set "ingress"'),
        ("preferred_address = false", "", "$.quic.preferred_address", "192.0.2.11; set false"),
        ('name = "voice.example"', "", "$.unicast.name", "set the balancer's name"),
        (
            '[service]\naddresses = ["192.0.2.11"',
            '[service]\naddresses = ["192.0.2.11", "192.0.2.12"',
            "$.service.addresses",
            "at most one of each family",
        ),
        (
            '[service]\naddresses = ["192.0.2.11"',
            '[service]\naddresses = ["192.0.2.11", "192.0.2.11"',
            "$.service.addresses[1]",
            "one address has one purpose",
        ),
        (
            '[unicast]\naddresses = ["192.0.2.11"',
            '[unicast]\naddresses = ["192.0.2.11", "192.0.2.12"',
            "$.unicast.addresses",
            "at most one IPv4",
        ),
        ('profile = "aws-nlb"', "", "$.unicast.addresses[0]", "one address has one purpose"),
    ],
)
def test_what_does_not_go_with_it(old: str, new: str, where: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(BEHIND.replace(old, new))
    assert caught.value.where == where
    assert says in str(caught.value)


def test_with_a_public_address_beside_it_callers_may_move_there() -> None:
    text = BEHIND.replace('[unicast]\naddresses = ["192.0.2.11"]', '[unicast]\naddresses = ["198.51.100.7"]')
    text = text.replace("preferred_address = false", "").replace("192.0.2.11:9464", "198.51.100.7:9464")
    assert parse(text).quic.preferred_address
