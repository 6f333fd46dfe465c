"""Which node is meant: from the word on the command line to the admin socket of one that runs.

A word with a slash is the path of a socket. No word means this machine's node. Any other word is the name of a node
in a lab: the one we are in, or a standing one, whose files are reached through its first process.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge.errors import UnreachableError, UsageError
from edge.runtime.admin_client import admin_request

DEFAULT_SOCKET = Path("/run/edge/admin.sock")
SOCKET_VARIABLE = "EDGE_ADMIN_SOCKET"

_LAB_DIR = Path("/run/lab")
_SOCKET_NAME = "admin.sock"


@dataclass(frozen=True, slots=True)
class Place:
    """The admin socket of a node."""

    socket: Path

    def ask(self, method: str, target: str, body: object = None, *, timeout_s: float = 5.0) -> Any:
        """The node's answer, as builtins. Raises what went wrong there, or on the way."""
        return asyncio.run(admin_request(self.socket, method, target, body, timeout_s=timeout_s)).checked()


def node_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``[NODE]`` and ``--lab``; ``command`` gets them as ``place``."""

    @click.argument("node", required=False)
    @click.option("--lab", help="NODE is in this standing lab, if there are several.")
    @functools.wraps(command)
    def with_place(node: str | None, lab: str | None, **options: Any) -> Any:
        return command(place=find(node, lab), **options)

    return with_place


def find(node: str | None, lab: str | None = None) -> Place:
    """Where ``node`` listens. UsageError if it can be nowhere, UnreachableError if it is not running."""
    if node is None:
        if lab is not None:
            raise UsageError(f"which node of lab {lab!r}? there are {_listed(_nodes(_lab_dir(lab)))}")
        return _this_machines()
    if "/" in node:
        return Place(Path(node))
    if lab is None and _LAB_DIR.is_dir():
        return _in_lab({"this lab": _LAB_DIR}, node)
    from edge.lab import standing

    labs = [lab] if lab is not None else sorted(standing.names())
    if not labs:
        raise UnreachableError(
            f"{node}: a name means a node in a lab, and no lab is up (edgectl lab up); elsewhere give the path of its "
            "admin socket"
        )
    return _in_lab({f"lab {name!r}": _lab_dir(name) for name in labs}, node)


def _this_machines() -> Place:
    named = os.environ.get(SOCKET_VARIABLE)
    if named:
        return Place(Path(named))
    if not _is_there(DEFAULT_SOCKET):
        raise UnreachableError(
            f"{DEFAULT_SOCKET}: no node is running on this machine; start one with 'edgectl node run', or say which: the "
            f"path of its admin socket (here, or in ${SOCKET_VARIABLE}), or the name of a node in a lab"
        )
    return Place(DEFAULT_SOCKET)


def _in_lab(labs: dict[str, Path], node: str) -> Place:
    having = {name: directory for name, directory in labs.items() if node in _nodes(directory)}
    if len(having) > 1:
        raise UsageError(f"there is a node {node!r} in {_listed(having)}; say which with --lab")
    if not having:
        known = "; ".join(f"{name} has {_listed(_nodes(directory))}" for name, directory in labs.items())
        raise UsageError(f"no node {node!r}: {known}")
    ((name, directory),) = having.items()
    socket = directory / node / _SOCKET_NAME
    if not _is_there(socket):
        raise UnreachableError(f"{node} in {name} is not running, or not yet; look with: edgectl lab status")
    return Place(socket)


def _lab_dir(lab: str) -> Path:
    """A standing lab's own directory, from outside. Raises UnreachableError if it is not up."""
    from edge.lab import standing

    # Nodes of a lab share its mounts, not ours. The path stays well below the 108 bytes of a socket's name.
    return Path(f"/proc/{standing.running(lab).pid}/root") / _LAB_DIR.relative_to("/")


def _nodes(directory: Path) -> list[str]:
    """Each edge of a lab has a directory there, from before it starts."""
    try:
        return sorted(path.name for path in directory.iterdir() if path.is_dir())
    except OSError as error:
        raise UnreachableError(f"{directory}: cannot look into the lab: {error.strerror}") from error


def _is_there(socket: Path) -> bool:
    """Whether there is a file. One that we may not see counts: asking it tells why not."""
    try:
        return socket.exists()
    except PermissionError:
        return True


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
