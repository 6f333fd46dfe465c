"""Which nodes are meant: from words on the command line to the ways to nodes that run.

A word with a slash is the path of a socket. No word means this machine's node, or every node of a fleet for commands that
show how it stands. Any other word is the name of a node: of the fleet that was chosen, of the lab we are in, or of a standing one,
whose files are reached through its first process.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli.choice import chosen_fleet, completing, fleet_options, is_named
from edge.cli.choice import timeout_s as patience
from edge.cli.session import session
from edge.errors import UnreachableError, UsageError
from edge.fleet.transport import Transport
from edge.fleet.unix import UnixTransport

if TYPE_CHECKING:
    from edge.fleet.model import Fleet, Node

DEFAULT_SOCKET = Path("/run/edge/admin.sock")
SOCKET_VARIABLE = "EDGE_ADMIN_SOCKET"

_NODE = "NODE is a name of the fleet or of a lab, or the path of an admin socket."
_LAB_DIR = Path("/run/lab")
_SOCKET_NAME = "admin.sock"


@dataclass(frozen=True, slots=True)
class Place:
    """A node and the way to it. ``name`` is how messages call it; ``node`` is what its fleet file says of it."""

    name: str
    transport: Transport
    node: Node | None = None

    def ask(self, method: str, target: str, body: object = None, *, timeout_s: float | None = None) -> Any:
        """The node's answer, as builtins. Raises what went wrong there, or on the way."""
        with session() as talk:
            return talk.run(self.answer(method, target, body, timeout_s=timeout_s))

    async def answer(
        self, method: str, target: str, body: object = None, *, timeout_s: float | None = None
    ) -> Any:
        """The same, for who asks several at a time. ``timeout_s`` None is what the user says, or 10 s."""
        with session() as talk:
            talk.keep(self.transport)
        allowed_s = patience() if timeout_s is None else timeout_s
        return (await self.transport.request(method, target, body, timeout_s=allowed_s)).checked()


@dataclass(frozen=True, slots=True)
class Choice:
    """The nodes that a command is for, and their fleet if they are of one; ``whole`` if they are all of it.

    ``single``: one NODE was named, or none where that means this machine's.
    """

    places: tuple[Place, ...]
    fleet: Fleet | None = None
    whole: bool = False
    single: bool = False


def _known_nodes() -> list[str]:
    """Names of the fleet that is chosen, else of labs."""
    if (fleet := chosen_fleet()) is not None:
        return list(fleet.names)
    from edge.lab import standing

    return sorted({name for lab in standing.names() for name in _nodes(_lab_dir(lab))})


def _known_sites() -> list[str]:
    fleet = chosen_fleet()
    return [] if fleet is None else [str(site) for site in fleet.sites]


def nodes_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``[NODE]...``, ``--site``, ``--lab`` and the options of `edge.cli.choice`; ``command`` gets the nodes as ``choice``.

    Without any it is the whole fleet: for commands that look.
    """
    return _with_nodes(command, find_all, "The nodes are in this standing lab; without NODE, all of it.")


def named_nodes_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but without any it is this machine's node: nobody changes a fleet by saying less."""
    return _with_nodes(command, find_named, "NODE is in this standing lab, if there are several.")


def _with_nodes(
    command: Callable[..., Any], found: Callable[..., Choice], about_lab: str
) -> Callable[..., Any]:
    @click.argument("nodes", nargs=-1, metavar="[NODE]...", shell_complete=completing(_known_nodes))
    @click.option(
        "--site",
        "sites",
        multiple=True,
        metavar="SITE",
        shell_complete=completing(_known_sites),
        help="The nodes of this site of the fleet, too; may be repeated.",
    )
    @click.option("--lab", help=about_lab)
    @fleet_options
    @functools.wraps(command)
    def with_choice(nodes: tuple[str, ...], sites: tuple[str, ...], lab: str | None, **options: Any) -> Any:
        return command(choice=found(nodes, sites, lab), **options)

    with_choice.__doc__ = f"{command.__doc__}\n\n    {_NODE}"
    return with_choice


def find_all(nodes: Sequence[str], sites: Sequence[str] = (), lab: str | None = None) -> Choice:
    """The ways to all that are named, each once; to a whole fleet or lab where none is. Raises as `find` does.

    Where there is no fleet, it is this machine's node.
    """
    if nodes or sites:
        places = _named(nodes, sites, lab)
        return Choice(places, None if lab is not None else chosen_fleet())
    if lab is None and (fleet := chosen_fleet()) is not None:
        return Choice(tuple(_of_fleet(fleet, node) for node in fleet.nodes), fleet, whole=True)
    names = [] if lab is None else _nodes(_lab_dir(lab))
    return Choice(tuple(find(name, lab) for name in names) or (find(None, lab),))


def find_named(nodes: Sequence[str], sites: Sequence[str] = (), lab: str | None = None) -> Choice:
    """The ways to all that are named, each once; to this machine's node where none is. Raises as `find` does."""
    if not nodes and not sites:
        return Choice((find(None, lab),), single=True)
    places = _named(nodes, sites, lab)
    fleet = chosen_fleet() if any(place.node is not None for place in places) else None
    return Choice(places, fleet, single=len(nodes) == 1 and not sites)


def _named(nodes: Sequence[str], sites: Sequence[str], lab: str | None) -> tuple[Place, ...]:
    if lab is not None and sites:
        raise UsageError("--site is of a fleet, and --lab of a lab; give one")
    named = {place.name: place for place in (find(node, lab) for node in nodes)}
    for site in sites:
        fleet = chosen_fleet()
        if fleet is None:
            raise UsageError(
                "--site needs a fleet: give --fleet FILE, or use a context (edgectl context add)"
            )
        named |= {str(node.name): _of_fleet(fleet, node) for node in fleet.at(site)}
    if not named:
        raise UsageError(f"no node is at {_listed(sites)}")
    return tuple(named.values())


def find(node: str | None, lab: str | None = None) -> Place:
    """The way to ``node``. UsageError if it can be nowhere, UnreachableError if we see that it is not running."""
    if node is None:
        if lab is not None:
            raise UsageError(f"which node of lab {lab!r}? there are {_listed(_nodes(_lab_dir(lab)))}")
        return _this_machines()
    if "/" in node:
        return Place(str(Path(node)), UnixTransport(Path(node)))
    if lab is None and _LAB_DIR.is_dir() and not is_named():
        return _in_lab({"this lab": _LAB_DIR}, node)
    if lab is None and (fleet := chosen_fleet()) is not None:
        return _of_fleet(fleet, fleet.node(node))
    from edge.lab import standing

    labs = [lab] if lab is not None else sorted(standing.names())
    if not labs:
        raise UnreachableError(
            f"{node}: no fleet is chosen and no lab is up, so it is nobody's name; give --fleet FILE, or the path of an "
            "admin socket"
        )
    return _in_lab({f"lab {name!r}": _lab_dir(name) for name in labs}, node)


def _of_fleet(fleet: Fleet, node: Node) -> Place:
    from edge.fleet.ways import way_to

    return Place(str(node.name), way_to(fleet, node), node)


def _this_machines() -> Place:
    named = os.environ.get(SOCKET_VARIABLE)
    if named:
        return Place("this node", UnixTransport(Path(named)))
    if not _is_there(DEFAULT_SOCKET):
        raise UnreachableError(
            f"{DEFAULT_SOCKET}: no node is running on this machine; start one with 'edgectl node run', or say which: the "
            f"path of its admin socket (here, or in ${SOCKET_VARIABLE}), or its name in a fleet (--fleet) or a lab"
        )
    return Place("this node", UnixTransport(DEFAULT_SOCKET))


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
    return Place(node, UnixTransport(socket))


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
