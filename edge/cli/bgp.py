"""edgectl bgp ..."""

from __future__ import annotations

import click

from edge.cli.layout import table
from edge.cli.moments import span
from edge.cli.output import output_option, print_json, understood
from edge.cli.where import Place, node_argument
from edge.errors import UsageError
from edge.runtime.documents import AnnouncedRoute, BgpPeers, BgpRoutes, Peer, ReceivedRoute


@click.group()
def bgp() -> None:
    """Look at a node's BGP sessions, and at what is said on them."""


@bgp.command()
@node_argument
@output_option
def peers(place: Place, as_json: bool) -> None:
    """Show the sessions: with whom, for how long, and why each went down last."""
    document = place.ask("GET", "/bgp/peers")
    if as_json:
        print_json(document)
    else:
        head = ("PEER", "ROLE", "AS", "STATE", "FOR", "BFD", "DAMPING", "PATHS", "WENT DOWN LAST FOR")
        click.echo(table([head, *map(_peer, understood(document, BgpPeers).peers)]))


@bgp.command()
@node_argument
@click.option(
    "--as-seen-by",
    "witness",
    metavar="self|reflector|ADDRESS",
    default="self",
    show_default=True,
    help="What we tell the neighbors; what those of the fleet tell us; what one of them does.",
)
@output_option
def routes(place: Place, witness: str, as_json: bool) -> None:
    """Show what this node tells its neighbors, or what those of the fleet tell it.

    What a reflector tells includes our own routes come back: proof that they got there. With -o json, the list that
    was not asked for is empty.
    """
    found = witnessed(understood(place.ask("GET", "/bgp/routes"), BgpRoutes), witness)
    if as_json:
        print_json(found)
    elif witness == "self":
        head = ("NEIGHBOR", "PREFIX", "NEXT HOP", "CONFIRMED", "MED", "PATH", "COMMUNITIES")
        click.echo(table([head, *map(_announced, found.announced)]))
    else:
        head = ("NEIGHBOR", "PREFIX", "NEXT HOP", "OWN", "ID", "ORIGINATOR", "COMMUNITIES")
        click.echo(table([head, *map(_received, found.received)]))


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
