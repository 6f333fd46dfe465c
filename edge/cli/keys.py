"""edgectl keys"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING

import click

from edge.cli.choice import which_fleet
from edge.cli.layout import table
from edge.cli.moments import Number
from edge.cli.output import output_option, print_json
from edge.errors import EdgeError, RefusedError, UnreachableError, UsageError

if TYPE_CHECKING:
    from edge.keys import KeyRing

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def keys() -> None:
    """Make and change the fleet's key ring, the file that all nodes share.

    Connection IDs, stateless resets, tickets and tokens are all made with it. It is changed in three steps, each of which
    must have come to every node before the next: `add` a generation, `use` it, `drop` the one before. `rotate` does all
    three and waits for the nodes in between.
    """


@keys.command("new")
@_file
def new(file: Path) -> None:
    """Make a ring with one generation; a FILE that is there stays as it is."""
    from edge.keys import SECRET_BYTES, KeyRing

    if file.exists():
        raise RefusedError(f"{file}: is there already; whoever has the old one would be cut off by a new one")
    _write(file, KeyRing.new(token_bytes(SECRET_BYTES), datetime.now(UTC)))


@keys.command("show")
@_file
@output_option
def show(file: Path, as_json: bool) -> None:
    """Say what is in a ring, without its secrets. Two files with the same fingerprints are the same."""
    ring = _read(file)
    if as_json:
        generations = [
            {
                "number": one.number,
                "used": one.number == ring.issue,
                "created": one.created,
                "fingerprint": one.fingerprint,
            }
            for one in ring
        ]
        print_json(
            {"apiVersion": "edge/v1", "kind": "KeyRing", "version": ring.version, "generations": generations}
        )
        return
    rows = [
        (str(one.number), "in use" * (one.number == ring.issue), one.created.isoformat(), one.fingerprint)
        for one in ring
    ]
    click.echo(f"version {ring.version}\n")
    click.echo(table([("generation", "", "created", "fingerprint"), *rows]))


@keys.command("add")
@_file
def add(file: Path) -> None:
    """Add a generation, that nodes accept and do not use yet."""
    from edge.keys import SECRET_BYTES

    ring = _change(file, lambda ring: ring.add(token_bytes(SECRET_BYTES), datetime.now(UTC)))
    click.echo(f"added generation {ring.generations[-1].number}", err=True)


@keys.command("use")
@_file
@click.argument("generation", type=int)
def use(file: Path, generation: int) -> None:
    """Use GENERATION. What is made with it means nothing to a node that does not have it yet."""
    _change(file, lambda ring: ring.use(generation))


@keys.command("drop")
@_file
@click.argument("generation", type=int)
def drop(file: Path, generation: int) -> None:
    """Drop GENERATION. What was made with it means nothing any more: calls that still need it are lost."""
    _change(file, lambda ring: ring.drop(generation))


@keys.command(
    "rotate", epilog="For example: edgectl keys rotate secrets/ring.toml --push 'ansible-playbook keys.yml'"
)
@_file
@which_fleet
@click.option(
    "--node",
    "nodes",
    multiple=True,
    help="A node that uses this ring: its name in the fleet or a lab, or the path of its admin socket; all of them have "
    "to be named.  [default: all of the fleet, or this machine's]",
)
@click.option(
    "--push",
    default="",
    metavar="COMMAND",
    help="A shell command that takes FILE to the nodes, run after each step; not needed where they read FILE itself.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds that a step may take.",
)
def rotate(file: Path, nodes: tuple[str, ...], push: str, timeout_s: float) -> None:
    """Replace the generation in use by a new one, while calls go on.

    Each step waits until every node shows that it has taken the one before, and the last until no connection needs the
    old generation. If that takes too long, run it again: it goes on where it stopped.
    """
    from edge.cli.rotation import Rotation
    from edge.cli.where import find_all
    from edge.keys import SECRET_BYTES

    ring = _read(file)
    places = [(place.name, place) for place in find_all(nodes).places]
    rotation = Rotation(
        places,
        save=lambda before, after: _replace(file, before, after),
        push=push,
        timeout_s=timeout_s,
        tell=lambda line: click.echo(line, err=True),
    )
    rotation.run(ring, lambda ring: ring.add(token_bytes(SECRET_BYTES), datetime.now(UTC)))


def _change(file: Path, change: Callable[[KeyRing], KeyRing]) -> KeyRing:
    from edge.keys import KeyRingError

    before = _read(file)
    try:
        after = change(before)
    except KeyRingError as error:
        raise UsageError(f"{file}: {error}") from error
    _replace(file, before, after)
    return after


def _replace(file: Path, before: KeyRing, after: KeyRing) -> None:
    """Raises `RefusedError` if somebody else has changed the ring since: his generation would be lost, and may be in use."""
    from edge.keys import render

    try:
        directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _explained(file, error) from error
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        if render(_read(file)) != render(before):
            raise RefusedError(
                f"{file}: somebody else has changed it meanwhile; look with 'edgectl keys show', and run this again"
            )
        _write(file, after)
    finally:
        os.close(directory)


def _read(file: Path) -> KeyRing:
    from edge.config.key_file import read_ring

    try:
        return read_ring(file)
    except OSError as error:
        raise _explained(file, error) from error


def _write(file: Path, ring: KeyRing) -> None:
    from edge.config.key_file import write_ring

    try:
        write_ring(file, ring)
    except OSError as error:
        raise _explained(file, error, "it is written in its own folder, which has to be there") from error


def _explained(file: Path, error: OSError, remedy: str = "make a ring with 'edgectl keys new'") -> EdgeError:
    if isinstance(error, PermissionError):
        return UnreachableError(f"{file}: no permission; run as its owner")
    return UsageError(f"{file}: {error.strerror or error}; {remedy}")
