"""edgectl keys: the fleet's ring is made and changed, never lost and never shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli.keys import keys
from edge.config.key_file import read_ring
from edge.errors import RefusedError, UsageError


def run(*arguments: object) -> str:
    result = CliRunner().invoke(keys, [*map(str, arguments)], catch_exceptions=False, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.stdout


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    file = tmp_path / "fleet.toml"
    run("new", file)
    return file


def test_a_rotation_step_by_step(ring: Path) -> None:
    assert ring.stat().st_mode & 0o777 == 0o600
    first = read_ring(ring)
    run("add", ring)
    run("use", ring, 1)
    run("drop", ring, 0)
    last = read_ring(ring)
    assert ([one.number for one in first], [one.number for one in last]) == ([0], [1])
    assert (first.version, last.version) == (1, 4)
    assert first.issuing.secret != last.issuing.secret


def test_what_is_shown_tells_rings_apart_and_no_secret(ring: Path, tmp_path: Path) -> None:
    run("add", ring)
    table, told = run("show", ring), json.loads(run("show", ring, "-o", "json"))
    prints = [one.fingerprint for one in read_ring(ring)]
    assert [row["fingerprint"] for row in told["generations"]] == prints
    assert [row["used"] for row in told["generations"]] == [True, False]
    assert all(print_ in table for print_ in prints)
    secrets = [line.split('"')[1] for line in ring.read_text().splitlines() if line.startswith("secret")]
    assert len(secrets) == 2
    assert not any(secret in table + json.dumps(told) for secret in secrets)


def test_a_ring_that_is_there_is_not_replaced(ring: Path) -> None:
    before = ring.read_text()
    with pytest.raises(RefusedError, match="is there already"):
        run("new", ring)
    assert ring.read_text() == before


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("use", 3), "no generation 3"),
        (("drop", 0), "0 is in use; use another one first"),
        (("drop", 5), "there is no 5"),
    ],
)
def test_what_cannot_be_changes_nothing(ring: Path, arguments: tuple[str, int], says: str) -> None:
    before = ring.read_text()
    with pytest.raises(UsageError, match=says) as raised:
        run(arguments[0], ring, arguments[1])
    assert str(raised.value).startswith(f"{ring}: ")
    assert ring.read_text() == before


def test_no_ring_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory; make a ring with 'edgectl keys new'"):
        run("show", tmp_path / "none")
    with pytest.raises(UsageError, match="No such file or directory"):
        run("new", tmp_path / "none" / "ring")


def test_a_link_to_the_ring_stays_one(ring: Path, tmp_path: Path) -> None:
    """Nodes that read what it leads to, a shared volume, would not see the change."""
    link = tmp_path / "link"
    link.symlink_to(ring)
    run("add", link)
    assert link.is_symlink()
    assert read_ring(ring).version == 2
