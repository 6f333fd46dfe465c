"""Keys and fleet while the node runs: what changes is taken over, what is wrong is told and changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.config import NodeConfig, parse_config
from edge.config.key_file import write_ring
from edge.keys import KeyRing
from edge.node.shared_files import SharedFiles

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RING = KeyRing.new(bytes(range(32)), NOW)
FLEET = '[[nodes]]\nname = "e1"\nsite = "a"\nserver_id = "0000000000000001"\naddresses = ["203.0.113.2"]\n'
OTHER = FLEET.replace("e1", "e2").replace("0001", "0002").replace("113.2", "113.6")

NODE = """\
[node]
name = "e1"
site = "a"
server_id = "0000000000000001"
[service]
addresses = ["198.51.100.1"]
[unicast]
addresses = ["203.0.113.2"]
[tls]
certificate = "c"
private_key = "k"
[keys]
file = "keys.toml"
[fleet]
file = "fleet.toml"
[state]
directory = "state"
"""


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    write_ring(tmp_path / "keys.toml", RING)
    (tmp_path / "fleet.toml").write_text(FLEET)
    return parse_config(NODE, tmp_path)


def test_a_change_is_taken_over_once(config: NodeConfig, tmp_path: Path) -> None:
    changes: list[int] = []
    files = SharedFiles(config, lambda: changes.append(files.keys.version))
    files.look()
    assert changes == []
    write_ring(tmp_path / "keys.toml", RING.add(bytes(32), NOW))
    files.look()
    files.look()
    assert changes == [2]
    (tmp_path / "fleet.toml").write_text(FLEET + OTHER)
    files.look()
    assert changes == [2, 2]
    assert files.fleet is not None
    assert [node.name for node in files.fleet.nodes] == ["e1", "e2"]


@pytest.mark.parametrize("broken", ["half", "gone", "of another fleet"])
def test_a_bad_file_changes_nothing_until_it_is_mended(
    config: NodeConfig, tmp_path: Path, broken: str
) -> None:
    changes: list[None] = []
    files = SharedFiles(config, lambda: changes.append(None))
    name = "fleet.toml" if broken == "of another fleet" else "keys.toml"
    good = (tmp_path / name).read_text()
    match broken:
        case "half":
            (tmp_path / name).write_text(good[: len(good) // 2])
        case "gone":
            (tmp_path / name).unlink()
        case _:
            (tmp_path / name).write_text(OTHER)
    files.look()
    assert changes == []
    (problem,) = files.problems.values()
    assert str(tmp_path / name) in problem
    assert files.keys == RING
    (tmp_path / name).write_text(good + "\n")
    (tmp_path / name).chmod(0o600)
    files.look()
    assert files.problems == {}
    assert changes == [None]


def test_a_ring_that_everybody_could_read_is_taken_when_its_mode_is_mended(
    config: NodeConfig, tmp_path: Path
) -> None:
    """As the message says: chmod, which changes nothing but the mode."""
    files = SharedFiles(config, lambda: None)
    pushed = tmp_path / "keys.toml"
    pushed.unlink()
    write_ring(pushed, RING.add(bytes(32), NOW))
    pushed.chmod(0o644)
    files.look()
    assert files.keys.version == 1
    assert "chmod o=" in "".join(files.problems.values())
    pushed.chmod(0o640)
    files.look()
    assert (files.keys.version, files.problems) == (2, {})


def test_a_nodes_own_ring_that_is_gone_is_not_replaced_while_it_runs(tmp_path: Path) -> None:
    """Callers have what was made with it; another one would mean nothing to them."""
    config = parse_config(NODE.replace('[keys]\nfile = "keys.toml"\n', ""), tmp_path)
    (tmp_path / "fleet.toml").write_text(FLEET)
    files = SharedFiles(config, lambda: None)
    files.look()
    own, ring = tmp_path / "state" / "keys.toml", files.keys
    text = own.read_text()
    own.unlink()
    files.look()
    assert files.keys == ring
    assert not own.exists()
    assert str(own) in "".join(files.problems)
    own.write_text(text)
    own.chmod(0o600)
    files.look()
    assert (files.keys, files.problems) == (ring, {})
