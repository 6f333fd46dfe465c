"""The fleet file: who is in it, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import load_members, parse_config
from edge.config.fleet_file import parse_fleet
from edge.errors import ConfigError

ONE = """\
[[nodes]]
name = "e1"
site = "ams"
server_id = "0000000000000001"
addresses = ["203.0.113.2", "2001:db8:21::2"]
"""
TWO = """\
[[nodes]]
name = "e2"
site = "fra"
server_id = "0000000000000002"
addresses = ["203.0.113.6"]
"""


def test_a_fleet_of_two() -> None:
    one, two = parse_fleet(ONE + TWO).nodes
    assert one.url is None
    assert (one.name, bytes(two.server_id), two.addresses) == ("e1", b"\0" * 7 + b"\2", ("203.0.113.6",))


@pytest.mark.parametrize("url", ["https://e2.example", "https://[2001:db8::1]:4433"])
def test_a_url_is_a_host_and_perhaps_a_port(url: str) -> None:
    assert parse_fleet(TWO + f'url = "{url}"\n').nodes[0].url == url


@pytest.mark.parametrize(
    "text, where, says",
    [
        ("x", "$", "not TOML"),
        ("", "$.nodes", "missing"),
        (ONE + TWO.replace("e2", "e1"), "$.nodes[1].name", "e1 is that of nodes[0], too"),
        (ONE + TWO.replace("0002", "0001"), "$.nodes[1].server_id", "that of nodes[0]"),
        (ONE + TWO.replace("113.6", "113.2"), "$.nodes[1].addresses", "203.0.113.2 is that of nodes[0]"),
        (TWO.replace('6"]', '6", "203.0.113.7"]'), "$.nodes[0].addresses", "of one family"),
        (TWO + 'url = "http://e2.example"\n', "$.nodes[0].url", "is not like https://NAME:PORT"),
        (TWO + 'url = "https://e2.example/voice"\n', "$.nodes[0].url", "is not like https://NAME:PORT"),
        (TWO + 'url = "https://e2.example:port"\n', "$.nodes[0].url", "is not like https://NAME:PORT"),
        (TWO + "weight = 1\n", "$.nodes[0].weight", "unknown key"),
        (TWO.replace("203.0.113.6", "here"), "$.nodes[0].addresses[0]", "no IP address"),
    ],
)
def test_what_no_fleet_can_be(text: str, where: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_fleet(text)
    assert raised.value.where == where
    assert says in raised.value.problem


NODE = """\
[node]
name = "e1"
site = "ams"
server_id = "0000000000000001"
[service]
addresses = ["198.51.100.1"]
[unicast]
addresses = ["2001:db8:21::2", "203.0.113.2"]
[tls]
certificate = "c"
private_key = "k"
[fleet]
file = "fleet.toml"
"""


@pytest.mark.parametrize(
    "fleet, says",
    [
        (TWO, "e1 is not among them"),
        (ONE.replace("0001", "0009"), "e1 has server_id 0000000000000009 here and 0000000000000001"),
        (ONE.replace("113.2", "113.3"), "e1 has other addresses here"),
    ],
)
def test_a_node_must_be_what_the_fleet_takes_it_for(tmp_path: Path, fleet: str, says: str) -> None:
    config = parse_config(NODE, tmp_path)
    with pytest.raises(ConfigError, match=r"^\$\.fleet\.file: .*No such file"):
        load_members(config)
    (tmp_path / "fleet.toml").write_text(ONE + TWO)
    loaded = load_members(config)
    assert loaded is not None
    assert len(loaded.nodes) == 2
    (tmp_path / "fleet.toml").write_text(fleet)
    with pytest.raises(ConfigError) as raised:
        load_members(config)
    assert str(raised.value).startswith(f"$.fleet.file: {tmp_path / 'fleet.toml'}: $.nodes: ")
    assert says in str(raised.value)
