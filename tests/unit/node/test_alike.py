"""Hashes of what nodes must have alike: equal where they may differ, different where they must not."""

from __future__ import annotations

from pathlib import Path

from node_rig import CONFIG

from edge.config import NodeConfig, parse_config
from edge.config.fleet_file import parse_fleet
from edge.node.alike import alike
from edge.runtime.metric_table import ALIKE

NODE = """
[[nodes]]
name = "{name}"
site = "here"
server_id = "00000000000000{name}"
addresses = ["198.51.100.{last}"]
"""
ONE, TWO = NODE.format(name="a1", last=1), NODE.format(name="a2", last=2)


def config(text: str = CONFIG) -> NodeConfig:
    return parse_config(text.replace("PORT", "4433"), Path("/nowhere"))


def test_names_of_nodes_make_no_difference() -> None:
    other = config(CONFIG.replace('"unit"', '"other"').replace("127.0.0.2", "127.0.0.3"))
    assert alike(config(), None) == alike(other, None)


def test_another_service_address_or_port_does() -> None:
    base = alike(config(), None)["service"]
    assert (
        alike(config(CONFIG.replace('addresses = ["127.0.0.1"]', 'addresses = ["127.0.0.9"]')), None) != base
    )
    assert alike(config(CONFIG.replace("PORT", "4434")), None)["service"] != base


def test_the_order_of_members_makes_no_difference_and_who_is_missing_does() -> None:
    both = alike(config(), parse_fleet(ONE + TWO))
    assert set(both) == set(ALIKE)
    assert alike(config(), parse_fleet(TWO + ONE)) == both
    assert alike(config(), parse_fleet(ONE))["members"] != both["members"]


def test_without_a_file_of_members_there_is_nothing_to_compare() -> None:
    assert set(alike(config(), None)) == {"service"}
