"""What the lab and its link emulator say to each other: JSON, one packet each, on a SOCK_SEQPACKET pair."""

import enum

import msgspec

from edge.lab.impairment import Impairment

MAX_MESSAGE = 1 << 17


class Way(enum.StrEnum):
    """A direction of a link, from its end ``a`` to ``b`` or back."""

    AB = "ab"
    BA = "ba"


class Cable(msgspec.Struct, frozen=True):
    """A link as the emulator has it: two interfaces of its own namespace to pass frames between."""

    name: str
    interface_a: str
    interface_b: str
    impairment: Impairment


class Lay(msgspec.Struct, frozen=True, tag=True):
    """Request, once: begin with these links. Answered by `Done`."""

    seed: int
    cables: tuple[Cable, ...]


class Impair(msgspec.Struct, frozen=True, tag=True):
    """Request: from now on ``link`` is like this in the given directions. Answered by `Done`."""

    link: str
    ways: tuple[Way, ...]
    impairment: Impairment


class Count(msgspec.Struct, frozen=True, tag=True):
    """Request: what happened so far? Answered by `Counted`."""


class Done(msgspec.Struct, frozen=True, tag=True):
    """The request is in force."""


class WayCounters(msgspec.Struct, frozen=True):
    """One direction of one link since the lab began.

    ``packets`` entered it; ``dropped`` of them were lost on purpose; ``missed`` more were lost against our
    will, by a full socket buffer or an interface that was down. ``late`` left the link more than a
    millisecond after their time, ``late_max_ms`` at worst, because the machine was busy: by so much can a
    measurement through this link be off.
    """

    link: str
    way: Way
    impairment: Impairment
    packets: int
    dropped: int
    missed: int
    late: int
    late_max_ms: float


class Counted(msgspec.Struct, frozen=True, tag=True):
    """Both directions of every link, in the order of `Lay`."""

    counters: tuple[WayCounters, ...]


Request = Lay | Impair | Count
Answer = Done | Counted
