"""Which worker of a node the kernel gives a packet to: a program of classic BPF, as a table of instructions. Pure.

Every worker has a *slot*: its place among the sockets that share an address (SO_REUSEPORT), and the octet that its
connection IDs end with. There are twice as many slots as a generation has workers, so that a second generation can
stand beside the first:

    packet                                          goes to
    short header                                    the octet's slot
    long header, connection ID as one of ours       the octet's slot
    any other long header: a client made its CID    a worker of the newest generation, by a hash of that CID
    of another node (`steer_forwarded`)             the octet's slot, which stands first
    octet of a slot that nobody has any more        the same place in the newest generation, which knows what to answer

A client keeps the connection ID that it made up until our first answer has come, so all of its first flight, and copies
of it, meet the same worker.

The program runs on the UDP payload (socket(7), SO_ATTACH_REUSEPORT_CBPF) and returns the place of a socket among those
that were bound, in that order. Loading beyond the end of a packet would return 0, whoever that is; so the length is
looked at first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from edge.cid.config import LOW_BITS
from edge.cid.errors import CidConfigError

MAX_SLOTS: Final = 256
"""What an octet can say."""

_LONG: Final = 0x80
_LENGTH_AT, _CID_AT = 5, 6  # in a long header (RFC 8999 section 5.1)


class Op(IntEnum):
    """Instructions of classic BPF (Linux, Documentation/networking/filter.rst): A is the accumulator, X the index."""

    LOAD_LENGTH = 0x80  # A = bytes of the packet
    LOAD_WORD = 0x20  # A = four bytes at k
    LOAD_OCTET = 0x30
    TO_INDEX = 0x07  # X = A
    XOR_INDEX = 0xAC  # A ^= X
    ADD = 0x04
    AND = 0x54
    MODULO = 0x94
    JUMP = 0x05
    IF_EQUAL = 0x15  # A == k
    IF_AT_LEAST = 0x35
    IF_BITS = 0x45  # A & k
    RETURN = 0x06  # k
    RETURN_A = 0x16


class Instruction(NamedTuple):
    """As in ``struct sock_filter``: ``then`` and ``otherwise`` are how many instructions a condition skips."""

    code: int
    then: int
    otherwise: int
    k: int


@dataclass(frozen=True, slots=True)
class Slots:
    """Who has which slot: ``count`` workers a generation, and ``newest`` is the first slot of the newest one, 0 or ``count``.

    ``leaving``: slots of the other half whose workers are still there. ``absent``: those of the newest half whose process
    is away for a moment. Its connections wait for its successor, newcomers go to its neighbours.
    """

    count: int
    newest: int = 0
    leaving: frozenset[int] = frozenset()
    absent: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_SLOTS // 2:
            raise CidConfigError(f"{self.count} workers: needs 1 to {MAX_SLOTS // 2}")
        if self.newest not in (0, self.count):
            raise CidConfigError(f"first slot {self.newest}: is 0 or {self.count}")
        if not self.leaving <= set(self.others) or not self.absent <= set(self.current):
            raise CidConfigError("slots of the wrong half")

    @property
    def current(self) -> range:
        """Slots of the newest generation."""
        return range(self.newest, self.newest + self.count)

    @property
    def others(self) -> range:
        """The other half."""
        first = self.count - self.newest
        return range(first, first + self.count)

    @property
    def alive(self) -> frozenset[int]:
        """Slots whose connections go on."""
        return self.leaving | frozenset(self.current)


def steer_callers(slots: Slots, cid_length: int) -> list[Instruction]:
    """For sockets that callers write to; our connection IDs have ``cid_length`` bytes, the octet last."""
    shortest = _CID_AT + cid_length  # no packet of a handshake or a connection is as short
    return _assembled(
        [
            _Line(Op.LOAD_LENGTH),
            _Line(Op.IF_AT_LEAST, shortest, then="whole"),
            _Line(Op.RETURN, slots.newest),
            _Line(Op.LOAD_OCTET, 0, label="whole"),
            _Line(Op.IF_BITS, _LONG, then="long"),
            _Line(Op.LOAD_OCTET, cid_length),
            _Line(Op.JUMP, to="octet"),
            _Line(Op.LOAD_OCTET, _LENGTH_AT, label="long"),
            _Line(Op.IF_EQUAL, cid_length, otherwise="newcomer"),
            _Line(Op.LOAD_OCTET, _CID_AT),
            _Line(Op.AND, LOW_BITS),
            _Line(Op.IF_EQUAL, cid_length - 1, otherwise="newcomer"),  # it says its own length
            _Line(Op.LOAD_OCTET, _CID_AT + cid_length - 1),
            _Line(Op.JUMP, to="octet"),
            _Line(Op.LOAD_WORD, _CID_AT, label="newcomer"),
            _Line(Op.TO_INDEX),
            _Line(Op.LOAD_WORD, _CID_AT + 4),
            _Line(Op.XOR_INDEX),
            _Line(Op.MODULO, slots.count),
            *_by_place(slots),
            *_by_octet(slots),
        ]
    )


def steer_forwarded(slots: Slots) -> list[Instruction]:
    """For sockets that other nodes write to, see `edge.forward.packet`."""
    return _assembled(
        [
            _Line(Op.LOAD_LENGTH),
            _Line(Op.IF_AT_LEAST, 1, then="whole"),
            _Line(Op.RETURN, slots.newest),
            _Line(Op.LOAD_OCTET, 0, label="whole"),
            *_by_octet(slots),
        ]
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """An instruction that says where it jumps by name; the next one where it says nothing."""

    op: Op
    k: int = 0
    label: str = ""
    then: str = ""
    otherwise: str = ""
    to: str = ""


def _by_place(slots: Slots) -> list[_Line]:
    """A is a place among the workers of a generation. Whose worker is away, his neighbour takes the newcomer."""
    present = [slot for slot in slots.current if slot not in slots.absent]
    instead = {
        slot: next((one for one in present if one > slot), present[0]) for slot in slots.absent if present
    }
    return [
        *(_Line(Op.IF_EQUAL, slot - slots.newest, then=f"instead of {slot}") for slot in instead),
        _Line(Op.ADD, slots.newest),
        _Line(Op.RETURN_A),
        *(_Line(Op.RETURN, other, label=f"instead of {slot}") for slot, other in instead.items()),
    ]


def _by_octet(slots: Slots) -> list[_Line]:
    """A is an octet. What is nobody's goes to its place in the newest generation; that rule leaves its own as they are."""
    vacant = sorted({*slots.others} - slots.leaving) if slots.leaving else []
    known = [
        _Line(Op.IF_AT_LEAST, 2 * slots.count, then="nobody's", label="octet"),
        *(_Line(Op.IF_EQUAL, slot, then="nobody's") for slot in vacant),
        _Line(Op.RETURN_A),
    ]
    return [
        *(known if slots.leaving else []),
        _Line(Op.MODULO, slots.count, label="nobody's" if slots.leaving else "octet"),
        _Line(Op.ADD, slots.newest),
        _Line(Op.RETURN_A),
    ]


def _assembled(lines: list[_Line]) -> list[Instruction]:
    labels = {line.label: number for number, line in enumerate(lines) if line.label}

    def skipped(number: int, label: str) -> int:
        return labels[label] - number - 1 if label else 0

    return [
        Instruction(
            line.op,
            skipped(number, line.then),
            skipped(number, line.otherwise),
            skipped(number, line.to) if line.op is Op.JUMP else line.k,
        )
        for number, line in enumerate(lines)
    ]
