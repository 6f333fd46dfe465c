"""edgectl keys rotate: whatever it is stopped by, it can go on, and it takes no generation from nodes that use it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from edge.cli import keys as command
from edge.cli.rotation import Rotation
from edge.cli.where import Place
from edge.config.key_file import read_ring, write_ring
from edge.errors import EdgeError, RefusedError, UsageError
from edge.keys import KeyRing

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RING = KeyRing.new(bytes(range(32)), NOW)


class Node:
    """Uses the ring that is in its own copy of the file."""

    def __init__(self, copy: Path) -> None:
        self.copy = copy

    def ask(self, *_: object) -> dict[str, Any]:
        return {"keys": {"in_use": [read_ring(self.copy).version], "connections": {}}, "problems": []}


class Site:
    """The operator's file, two nodes with copies, and the program that copies it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "ring"
        self.nodes = [Node(directory / name) for name in ("e1", "e2")]
        self.mended = directory / "mended"
        for path in (self.file, *(node.copy for node in self.nodes)):
            write_ring(path, RING)
        copies = " && ".join(f"cp -p {self.file} {node.copy}" for node in self.nodes)
        self.push = f"test -e {self.mended} && {copies}"
        self.told: list[str] = []

    def rotate(self) -> KeyRing:
        rotation = Rotation(
            [(node.copy.name, cast(Place, node)) for node in self.nodes],
            save=lambda before, after: command._replace(self.file, before, after),
            push=self.push,
            timeout_s=0.1,
            tell=self.told.append,
        )
        return rotation.run(read_ring(self.file), lambda ring: ring.add(bytes(32), NOW))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_where_the_push_failed_it_goes_on(site: Site, steps: int) -> None:
    """Each step is in the operator's file before it is pushed: the next run has to push it."""
    added = RING.add(bytes(32), NOW)
    for ring in (added, added.use(1), added.use(1).drop(0))[:steps]:
        for path in (site.file, *(node.copy for node in site.nodes)):
            write_ring(path, ring)
    with pytest.raises(EdgeError, match="--push ended with 1; mend it and rotate again, to go on from here"):
        site.rotate()
    site.mended.touch()
    ring = site.rotate()
    assert [read_ring(node.copy) for node in site.nodes] == [ring, ring] == [read_ring(site.file)] * 2
    assert len(ring.generations) == 1
    assert ring.issuing.secret == bytes(32)


def test_an_old_copy_of_the_ring_goes_nowhere(site: Site) -> None:
    site.mended.touch()
    old = site.file.read_text()
    site.rotate()
    site.file.write_text(old)
    before = site.nodes[0].copy.read_text()
    with pytest.raises(UsageError, match="is version 1, an old copy: e1 uses version 4, e2 uses version 4"):
        site.rotate()
    assert (site.file.read_text(), site.nodes[0].copy.read_text()) == (old, before)


def test_of_two_who_change_a_ring_at_once_one_is_refused(site: Site) -> None:
    mine = read_ring(site.file)
    command._change(site.file, lambda ring: ring.add(bytes(32), NOW))
    theirs = site.file.read_text()
    with pytest.raises(RefusedError, match="somebody else has changed it meanwhile"):
        command._replace(site.file, mine, mine.add(bytes(range(1, 33)), NOW))
    assert site.file.read_text() == theirs
