"""Topologies that are ready to use. Pure.

`default_topology`, with one-way delays::

    c1 --10 ms-- t1 --5 ms-- e1            AS 64501 t1, AS 64502 t2 (transit, BIRD)
                 |  `--5 ms-- rr1          AS 64600 e1, e2, e3 (the fleet) and its reflectors rr1, rr2
               5 ms
                 |  ,--5 ms-- rr2
    c2 --10 ms-- t2 --5 ms-- e2, e3        t2 shares flows over e2 and e3 (ECMP by layer 4)

`fleet_topology`: three transit systems, each joined to the two others, and edges with two of them each::

    c1 -- t1 -- rr1      t1  AS 64501  BIRD  sends flows to e1 and e2; e3 stands by
    c2 -- t2             t2  AS 64502  FRR   sends flows to e3 and e4; e1 and e2 stand by
    c3 -- t3 -- rr2      t3  AS 64503  BIRD  sends flows to e4, the only one it is joined to

`matrix_topology`: two transit systems that are joined, and edges with one of them each::

    c1, c2, rr1 -- t1 -- e1, e2, e3      t1  AS 64501  BIRD, with BFD on the link to e1
            rr2 -- t2 -- e4, e5          t2  AS 64502  FRR, which punishes flaps

`roaming_topology`: client sites of which one has two ways to the network, and edges with one transit system each::

    nat, six, tunnel, train, office -- t1 -- e1, rr1      every link of 10 ms at a site, 5 ms elsewhere
                                phone --|
                                phone -- t2 -- e2, rr2

`balanced_topology`: edges without BGP, behind a balancer; callers at home, behind routers that have one address each::

    c1 -- h1 -- b1 -- e1, e2, e3      b1  the balancer, as AWS has them
    c2 -- h2 ---'                     h1, h2  homes
"""

from ipaddress import IPv4Interface, IPv6Interface

import msgspec

from edge.lab.impairment import Impairment
from edge.lab.parts import Bgp, End, Link, Node, Protection, Role, Software
from edge.lab.topology import Topology

FLEET_AS = 64600

_WITHIN_THE_FLEET = Protection(md5="within-the-fleet", gtsm=True)
_TO_AN_EDGE = Bgp(md5="between-neighbours", gtsm=True)

PREFERRED, STANDBY, BY_A_PEER = 200, 100, 80
"""Local preferences of `fleet_topology`: whoever has a customer for a prefix does not send it to a peer."""

# Edge, router, local preference; the first row of an edge is its first uplink.
_UPLINKS = (
    ("e1", "t1", PREFERRED),
    ("e1", "t2", STANDBY),
    ("e2", "t1", PREFERRED),
    ("e2", "t2", STANDBY),
    ("e3", "t2", PREFERRED),
    ("e3", "t1", STANDBY),
    ("e4", "t2", PREFERRED),
    ("e4", "t3", PREFERRED),
)


def default_topology(
    *,
    client_delay_ms: float = 10.0,
    edge_delay_ms: float = 5.0,
    transit_delay_ms: float = 5.0,
    jitter_ms: float = 1.0,
    loss: float = 0.0,
) -> Topology:
    """Two transit systems, three edges, two client sites, two reflectors; see the picture above."""

    def impaired(delay_ms: float) -> Impairment:
        return Impairment(delay_ms, min(jitter_ms, delay_ms), loss)

    client, edge = impaired(client_delay_ms), impaired(edge_delay_ms)
    return Topology(
        nodes=(
            Node("t1", Role.ROUTER, 64501),
            Node("t2", Role.ROUTER, 64502),
            *(Node(name, Role.EDGE, FLEET_AS) for name in ("e1", "e2", "e3")),
            *(Node(name, Role.CLIENT) for name in ("c1", "c2")),
            *(Node(name, Role.REFLECTOR, FLEET_AS) for name in ("rr1", "rr2")),
        ),
        links=(
            Link(*_pair("t1", "t2", "203.0.113.2", "2001:db8:1"), impaired(transit_delay_ms), Bgp()),
            Link(*_pair("t1", "c1", "192.0.2.10", "2001:db8:11"), client),
            Link(*_pair("t2", "c2", "192.0.2.20", "2001:db8:12"), client),
            Link(*_pair("t1", "e1", "203.0.113.10", "2001:db8:21"), edge, _TO_AN_EDGE),
            Link(*_pair("t2", "e2", "203.0.113.20", "2001:db8:22"), edge, _TO_AN_EDGE),
            Link(*_pair("t2", "e3", "203.0.113.30", "2001:db8:23"), edge, _TO_AN_EDGE),
            Link(*_pair("t1", "rr1", "203.0.113.40", "2001:db8:31"), edge),
            Link(*_pair("t2", "rr2", "203.0.113.50", "2001:db8:32"), edge),
        ),
        fleet=_WITHIN_THE_FLEET,
    )


def fleet_topology(
    *, delay_ms: float = 1.0, damping: bool = False, honour_graceful_shutdown: bool = True, bfd: bool = False
) -> Topology:
    """Three transit systems and two sites of two edges each, with every link of the same delay.

    ``damping``: t2 punishes flaps. ``bfd``: between edges and the routers that run BIRD.
    """
    quiet = Impairment(delay_ms)
    software = {"t1": Software.BIRD, "t2": Software.FRR, "t3": Software.BIRD}

    def session(router: str, local_pref: int) -> Bgp:
        return Bgp(
            md5=_TO_AN_EDGE.md5,
            gtsm=_TO_AN_EDGE.gtsm,
            local_pref=local_pref,
            honour_graceful_shutdown=honour_graceful_shutdown,
            bfd=bfd and software[router] is Software.BIRD,
        )

    between = Bgp(local_pref=BY_A_PEER, honour_graceful_shutdown=honour_graceful_shutdown)
    core = (("t1", "t2"), ("t2", "t3"), ("t1", "t3"))
    return Topology(
        nodes=(
            Node("t1", Role.ROUTER, 64501),
            Node("t2", Role.ROUTER, 64502, Software.FRR, damping),
            Node("t3", Role.ROUTER, 64503),
            *(Node(name, Role.EDGE, FLEET_AS) for name in ("e1", "e2", "e3", "e4")),
            *(Node(name, Role.CLIENT) for name in ("c1", "c2", "c3")),
            *(Node(name, Role.REFLECTOR, FLEET_AS) for name in ("rr1", "rr2")),
        ),
        links=(
            *(
                Link(*_pair(a, b, f"203.0.113.{2 * number}", f"2001:db8:{number}"), quiet, between)
                for number, (a, b) in enumerate(core, 1)
            ),
            *(
                Link(*_pair(f"t{n}", f"c{n}", f"192.0.2.{10 * n}", f"2001:db8:1{n}"), quiet)
                for n in (1, 2, 3)
            ),
            *(
                Link(
                    *_pair(router, edge, f"203.0.113.{10 * number}", f"2001:db8:2{number}"),
                    quiet,
                    session(router, local_pref),
                )
                for number, (edge, router, local_pref) in enumerate(_UPLINKS, 1)
            ),
            Link(*_pair("t1", "rr1", "203.0.113.100", "2001:db8:31"), quiet),
            Link(*_pair("t3", "rr2", "203.0.113.110", "2001:db8:32"), quiet),
        ),
        fleet=_WITHIN_THE_FLEET,
    )


def matrix_topology(*, bfd: bool = True) -> Topology:
    """Two transit systems and five edges, with every link of the same short delay. ``bfd``: between t1 and e1."""
    quiet = Impairment(1.0)
    edges = (("t1", "e1"), ("t1", "e2"), ("t1", "e3"), ("t2", "e4"), ("t2", "e5"))
    others = (("t1", "c1"), ("t1", "c2"), ("t1", "rr1"), ("t2", "rr2"))
    return Topology(
        nodes=(
            Node("t1", Role.ROUTER, 64501),
            Node("t2", Role.ROUTER, 64502, Software.FRR, damping=True),
            *(Node(edge, Role.EDGE, FLEET_AS) for _, edge in edges),
            *(Node(name, Role.CLIENT) for name in ("c1", "c2")),
            *(Node(name, Role.REFLECTOR, FLEET_AS) for name in ("rr1", "rr2")),
        ),
        links=(
            Link(*_pair("t1", "t2", "203.0.113.2", "2001:db8:1"), quiet, Bgp(local_pref=BY_A_PEER)),
            *(
                Link(
                    *_pair(router, edge, f"203.0.113.{10 * number}", f"2001:db8:2{number}"),
                    quiet,
                    msgspec.structs.replace(_TO_AN_EDGE, bfd=bfd and edge == "e1"),
                )
                for number, (router, edge) in enumerate(edges, 1)
            ),
            *(
                Link(*_pair(router, other, f"192.0.2.{10 * number}", f"2001:db8:1{number}"), quiet)
                for number, (router, other) in enumerate(others, 1)
            ),
        ),
        fleet=_WITHIN_THE_FLEET,
    )


def roaming_topology(sites: tuple[str, ...], *, mobile: str) -> Topology:
    """Client sites behind t1, of which ``mobile`` has another link to t2."""
    client, edge = Impairment(10.0, 1.0), Impairment(5.0, 1.0)
    inside = (("t1", "e1"), ("t2", "e2"), ("t1", "rr1"), ("t2", "rr2"))
    outside = (*(("t1", site) for site in sites), ("t2", mobile))
    return Topology(
        nodes=(
            Node("t1", Role.ROUTER, 64501),
            Node("t2", Role.ROUTER, 64502),
            *(Node(name, Role.EDGE, FLEET_AS) for name in ("e1", "e2")),
            *(Node(site, Role.CLIENT) for site in sites),
            *(Node(name, Role.REFLECTOR, FLEET_AS) for name in ("rr1", "rr2")),
        ),
        links=(
            Link(*_pair("t1", "t2", "203.0.113.2", "2001:db8:1"), edge, Bgp()),
            *(
                Link(
                    *_pair(router, node, f"203.0.113.{10 * number}", f"2001:db8:2{number}"),
                    edge,
                    _TO_AN_EDGE if node.startswith("e") else None,
                )
                for number, (router, node) in enumerate(inside, 1)
            ),
            *(
                Link(*_pair(router, site, f"192.0.2.{10 * number}", f"2001:db8:1{number}"), client)
                for number, (router, site) in enumerate(outside, 1)
            ),
        ),
        fleet=_WITHIN_THE_FLEET,
    )


def balanced_topology(*, delay_ms: float = 5.0) -> Topology:
    """Three edges behind a balancer and two homes; see the picture above. ``delay_ms``: of every link, one way."""
    quiet = Impairment(delay_ms)
    pairs = (("b1", "h1"), ("b1", "h2"), ("h1", "c1"), ("h2", "c2"), ("b1", "e1"), ("b1", "e2"), ("b1", "e3"))
    return Topology(
        nodes=(
            *(Node(name, Role.MIDDLEBOX) for name in ("b1", "h1", "h2")),
            *(Node(name, Role.EDGE, FLEET_AS) for name in ("e1", "e2", "e3")),
            *(Node(name, Role.CLIENT) for name in ("c1", "c2")),
        ),
        links=tuple(
            Link(*_pair(a, b, f"203.0.113.{10 * number}", f"2001:db8:{number}"), quiet)
            for number, (a, b) in enumerate(pairs, 1)
        ),
    )


def _pair(a: str, b: str, v4: str, v6: str) -> tuple[End, End]:
    """Both ends of a link: ``v4`` is the first of its two addresses, ``v6`` the front of its /64."""
    first = IPv4Interface(f"{v4}/31")
    return (
        End(a, first, IPv6Interface(f"{v6}::1/64")),
        End(b, IPv4Interface((first.ip + 1, 31)), IPv6Interface(f"{v6}::2/64")),
    )
