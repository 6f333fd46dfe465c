"""Labs that stay up in the background, from outside: up, status, down. One directory each, for its user only."""

import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge.errors import EdgeError, RefusedError, UnreachableError, UsageError
from edge.lab import background, daemon, routers, topology
from edge.lab.background import Record
from edge.lab.residue import residue
from edge.lab.status import LabStatus

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def up(name: str, shape: topology.Topology, *, seed: int = 0, services: Sequence[str] = ()) -> None:
    """Start a lab and leave it. ``services``: see `edge.lab.lab.Lab`, here as ``package.module:function``.

    RefusedError if a lab of that name is up, UnreachableError if this machine cannot have one.
    """
    routers.require(shape)
    with background.sole_user():
        directory = _directory(name)
        if (record := background.read(directory)) is not None and record.alive:
            raise RefusedError(f"lab {name!r} is up already; edgectl lab down --name {name}")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        order = daemon.Order(name, topology.encode(shape), str(directory), seed, tuple(services))
        try:
            background.start(directory, "edge.lab.daemon:stand", order)
        except BaseException:
            shutil.rmtree(directory)
            raise


def status(name: str) -> LabStatus:
    """What a lab says of itself. UnreachableError if it is not up."""
    root = Path(f"/proc/{running(name).pid}/root")
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(root / daemon.SOCKET.relative_to("/")))
            with client.makefile("rb") as stream:
                return msgspec.json.decode(stream.read(), type=LabStatus)
        except (OSError, msgspec.DecodeError) as error:
            raise UnreachableError(f"lab {name!r} does not answer: {error}") from None


def down(name: str) -> bool:
    """End a lab and wait until nothing is left of it; False if there was none.

    EdgeError if something is left.
    """
    with background.sole_user():
        directory = _directory(name)
        record = background.read(directory)
        if record is None:
            return False
        was_alive = record.alive
        if was_alive:
            background.end(record)
        shutil.rmtree(directory)
        left = residue(record.traces, [directory])
    if left.total:
        raise EdgeError(f"lab {name!r} is down but not gone: {left} left; processes {list(left.processes)}")
    return was_alive


def running(name: str) -> Record:
    """The record of a lab that is up; UnreachableError if it is not."""
    record = background.read(_directory(name))
    if record is None or not record.alive:
        others = ", ".join(sorted(names())) or "none"
        raise UnreachableError(f"lab {name!r} is not up (up: {others}); edgectl lab up --name {name}")
    return record


def names() -> list[str]:
    """The labs of this user that are up."""
    records = (
        (path.name, background.read(path)) for path in background.state_directory().iterdir() if path.is_dir()
    )
    return [name for name, record in records if record is not None and record.alive]


def _directory(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a lab: letters, digits, - and _, at most 32")
    return background.state_directory() / name
