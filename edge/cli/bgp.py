"""edgectl bgp ..."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from edge.cli.looking import ask_each
from edge.cli.moments import span
from edge.cli.output import output_option, understood
from edge.cli.several import finish, show_rows
from edge.cli.where import Choice, Place, named_nodes_argument
from edge.errors import UsageError
from edge.runtime.documents import AnnouncedRoute, BgpPeers, BgpRoutes, Peer, ReceivedRoute

_ANNOUNCED: Final = ("NEIGHBOR", "PREFIX", "NEXT HOP", "CONFIRMED", "MED", "PATH", "COMMUNITIES")
_RECEIVED: Final = ("NEIGHBOR", "PREFIX", "NEXT HOP", "OWN", "ID", "ORIGINATOR", "COMMUNITIES")


@click.group()
def bgp() -> None:
    """Look at nodes' BGP sessions, and at what is said on them."""


@bgp.command()
@named_nodes_argument
@output_option
def peers(choice: Choice, as_json: bool) -> None:
    """Show the sessions: with whom, for how long, and why each went down last."""

    async def known(place: Place) -> Any:
        document = await place.answer("GET", "/bgp/peers")
        return document if as_json else understood(document, BgpPeers)

    def rows(found: BgpPeers) -> Iterator[tuple[str, ...]]:
        return map(_peer, found.peers)

    head = ("PEER", "ROLE", "AS", "STATE", "FOR", "BFD", "DAMPING", "PATHS", "WENT DOWN LAST FOR")
    outcomes = ask_each(choice, known)
    show_rows(choice, outcomes, kind="BgpPeers", as_json=as_json, head=head, rows=rows)
    finish(choice, outcomes)


@bgp.command()
@named_nodes_argument
@click.option(
    "--as-seen-by",
    "witness",
    metavar="self|reflector|ADDRESS",
    default="self",
    show_default=True,
    help="What we tell the neighbors; what those of the fleet tell us; what one of them does.",
)
@output_option
def routes(choice: Choice, witness: str, as_json: bool) -> None:
    """Show what a node tells its neighbors, or what those of the fleet tell it.

    What a reflector tells includes our own routes come back: proof that they got there. With -o json, the list that
    was not asked for is empty.
    """

    async def known(place: Place) -> BgpRoutes:
        return witnessed(understood(await place.answer("GET", "/bgp/routes"), BgpRoutes), witness)

    def rows(found: BgpRoutes) -> Iterator[tuple[str, ...]]:
        return map(_announced, found.announced) if witness == "self" else map(_received, found.received)

    head = _ANNOUNCED if witness == "self" else _RECEIVED
    outcomes = ask_each(choice, known)
    show_rows(choice, outcomes, kind="BgpRoutes", as_json=as_json, head=head, rows=rows)
    finish(choice, outcomes)


def witnessed(found: BgpRoutes, witness: str) -> BgpRoutes:
    """The part of ``found`` that ``witness`` knows. UsageError if there is no such witness."""
    if witness == "self":
        return BgpRoutes(node=found.node, announced=found.announced, received=())
    told = found.received
    if witness != "reflector":
        told = tuple(route for route in found.received if route.neighbor == witness)
        if not told:
            known = sorted({route.neighbor for route in found.received})
            raise UsageError(
                f"nothing is heard from {witness!r}; who tells of routes: {', '.join(known) or 'nobody'}"
            )
    return BgpRoutes(node=found.node, announced=(), received=told)


def _peer(peer: Peer) -> tuple[str, ...]:
    return (
        peer.address,
        peer.role,
        str(peer.asn),
        peer.state,
        "-" if peer.since_s is None else span(peer.since_s),
        peer.bfd or "-",
        peer.damping,
        str(peer.received),
        peer.last_reason,
    )


def _announced(route: AnnouncedRoute) -> tuple[str, ...]:
    return (
        route.neighbor,
        route.prefix,
        route.next_hop,
        "yes" if route.confirmed else "NOT YET",
        "-" if route.med is None else str(route.med),
        " ".join(map(str, route.as_path)) or "-",
        " ".join(route.communities),
    )


def _received(route: ReceivedRoute) -> tuple[str, ...]:
    return (
        route.neighbor,
        route.prefix,
        route.next_hop,
        "own" if route.own else "-",
        str(route.path_id),
        route.originator or "-",
        " ".join(route.communities),
    )
