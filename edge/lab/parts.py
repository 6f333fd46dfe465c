"""What a lab's network is made of: nodes, links, and how the ends of a link speak BGP. Pure values."""

import enum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Final, NamedTuple

import msgspec

from edge.lab.impairment import Impairment

VERSIONS: Final = ("v4", "v6")
"""The address families: every link and every session exists in both."""


class Role(enum.StrEnum):
    """What a node is for. A reflector tells the edges of each other, and no packet passes through it.

    A middlebox does something to packets that pass through it (`edge.lab.middlebox`), and speaks no BGP.
    """

    ROUTER = "router"
    REFLECTOR = "reflector"
    EDGE = "edge"
    CLIENT = "client"
    MIDDLEBOX = "middlebox"


class Software(enum.StrEnum):
    """What a router runs."""

    BIRD = "bird"
    FRR = "frr"


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network namespace. All but clients and middleboxes belong to an autonomous system.

    ``damping``: the router punishes routes that flap, with the defaults of FRR (RFC 2439).
    """

    name: str
    role: Role
    asn: int | None = None
    software: Software = Software.BIRD
    damping: bool = False


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One end of a link: a node and its addresses there."""

    node: str
    v4: IPv4Interface
    v6: IPv6Interface


class Protection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a BGP session is protected: TCP MD5 (RFC 2385), GTSM (RFC 5082)."""

    md5: str | None = None
    gtsm: bool = False


class Bgp(Protection, frozen=True, forbid_unknown_fields=True):
    """How the ends of a link speak BGP: one session per address family.

    The rest is what routers do at their end. ``local_pref`` is what they give to routes from there, by default
    100. Unless ``honour_graceful_shutdown`` the community of RFC 8326 means nothing to them. ``bfd`` takes the
    session down when the other end stops to answer (RFC 5880), provided that it ever did.
    """

    local_pref: int | None = None
    honour_graceful_shutdown: bool = True
    bfd: bool = False


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cable between two nodes, without a limit of bandwidth."""

    a: End
    b: End
    impairment: Impairment = Impairment()
    bgp: Bgp | None = None

    @property
    def name(self) -> str:
        """``a-b``, as in ``t1-e1``."""
        return f"{self.a.node}-{self.b.node}"

    @property
    def ends(self) -> tuple[End, End]:
        """Both ends, ``a`` first."""
        return self.a, self.b


class Addresses(NamedTuple):
    """The unicast addresses of a node."""

    v4: IPv4Address
    v6: IPv6Address


class Adjacency(NamedTuple):
    """A link as one of its ends sees it."""

    link: Link
    own: End
    peer: End
