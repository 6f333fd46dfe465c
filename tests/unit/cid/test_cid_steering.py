"""The program that the kernel runs on every packet, run by an interpreter of its own beside the rule in plain Python.

That the kernel runs it alike is seen in ``tests/unit/runtime/test_sockets.py``.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from classic_bpf import run

from edge.cid import CidConfigError
from edge.cid.steering import Op, Slots, steer_callers, steer_forwarded

CID_LENGTH = 18
LAYOUTS = [
    Slots(1),
    Slots(1, newest=1, leaving=frozenset({0})),
    Slots(2),
    Slots(3, newest=3),
    Slots(3, newest=0, leaving=frozenset({4}), absent=frozenset({2})),
    Slots(4, newest=4, leaving=frozenset({0, 1, 2, 3}), absent=frozenset({4, 7})),
    Slots(2, absent=frozenset({0, 1})),
    Slots(128, newest=128, leaving=frozenset({0, 127}), absent=frozenset(range(128, 255))),
    Slots(128, newest=0, leaving=frozenset({255}), absent=frozenset(range(1, 128))),
]


def of_octet(slots: Slots, octet: int) -> int:
    return octet if octet in slots.alive else slots.newest + octet % slots.count


def of_newcomer(slots: Slots, dcid: bytes) -> int:
    hashed = int.from_bytes(dcid[:4], "big") ^ int.from_bytes(dcid[4:8], "big")
    slot = slots.newest + hashed % slots.count
    others = [one for one in slots.current if one not in slots.absent]
    return slot if slot in others or not others else min(others, key=lambda one: (one < slot, one))


def short(octet: int, length: int = CID_LENGTH, first: int = 0x40) -> bytes:
    return bytes((first, 0x60 | length - 1)) + random.randbytes(length - 2) + bytes((octet,)) + bytes(22)


def long(dcid: bytes, first: int = 0xC3) -> bytes:
    return bytes((first, 0, 0, 0, 1, len(dcid))) + dcid + bytes(1200 - 6 - len(dcid))


def ours(octet: int, length: int = CID_LENGTH) -> bytes:
    return bytes((0x20 | length - 1,)) + random.randbytes(length - 2) + bytes((octet,))


@pytest.mark.parametrize("slots", LAYOUTS)
@pytest.mark.parametrize("length", [16, 18])
def test_packets_of_a_connection_get_to_the_octets_slot(slots: Slots, length: int) -> None:
    program = steer_callers(slots, length)
    for octet in range(256):
        expected = of_octet(slots, octet)
        assert run(program, short(octet, length)) == expected
        assert run(program, short(octet, length, first=0x7F)) == expected
        assert run(program, long(ours(octet, length), first=0xE0)) == expected  # Handshake
        assert run(steer_forwarded(slots), bytes((octet, 0x11)) + bytes(60)) == expected


@pytest.mark.parametrize("slots", LAYOUTS)
def test_newcomers_are_spread_over_the_newest_generation(slots: Slots) -> None:
    program = steer_callers(slots, CID_LENGTH)
    chance = random.Random(1)
    met = set()
    for _ in range(4000):
        dcid = chance.randbytes(chance.choice((8, 8, 8, 12, 20)))
        slot = run(program, long(dcid))
        assert slot == of_newcomer(slots, dcid)
        met.add(slot)
    present = set(slots.current) - slots.absent
    assert met == (present or set(slots.current))


def test_a_made_up_connection_id_of_our_length_is_a_newcomers_unless_it_says_so_itself() -> None:
    """Firefox makes up lengths from 8 to 20: by its last byte it would get to workers that are leaving."""
    slots = Slots(2, newest=2, leaving=frozenset({0, 1}))
    program = steer_callers(slots, CID_LENGTH)
    for _ in range(200):
        made_up = bytes((0x20 | 16,)) + random.randbytes(CID_LENGTH - 2) + b"\x00"
        assert run(program, long(made_up)) == of_newcomer(slots, made_up) >= 2


@pytest.mark.parametrize("slots", LAYOUTS)
def test_whatever_comes_goes_to_somebody_who_is_there(slots: Slots) -> None:
    """Returning the slot of nobody would fill a buffer that nobody reads; that of no socket leaves it to the kernel."""
    chance = random.Random(2)
    programs = steer_callers(slots, CID_LENGTH), steer_forwarded(slots)
    for program in programs:
        for _ in range(3000):
            packet = chance.randbytes(chance.randrange(64))
            assert run(program, packet) in slots.alive
            assert run(program, b"\xc0" + packet) in slots.alive


@pytest.mark.parametrize("slots", LAYOUTS)
def test_the_kernel_takes_the_program(slots: Slots) -> None:
    """At most 4096 instructions, jumps of at most 255 and never beyond the end, and a return at the end."""
    for program in (steer_callers(slots, CID_LENGTH), steer_forwarded(slots)):
        assert len(program) <= 4096
        assert Op(program[-1].code) in (Op.RETURN, Op.RETURN_A)
        for at, (code, then, otherwise, k) in enumerate(program):
            assert 0 <= then <= 255
            assert 0 <= otherwise <= 255
            furthest = k if code == Op.JUMP else max(then, otherwise)
            assert at + 1 + furthest < len(program) or code in (Op.RETURN, Op.RETURN_A)


def test_nothing_but_its_newcomers_change_their_worker_while_one_is_away() -> None:
    before, after = Slots(4), Slots(4, absent=frozenset({1}))
    for _ in range(500):
        dcid = random.randbytes(8)
        was = run(steer_callers(before, CID_LENGTH), long(dcid))
        assert run(steer_callers(after, CID_LENGTH), long(dcid)) == (2 if was == 1 else was)
    assert run(steer_callers(after, CID_LENGTH), short(1)) == 1  # its connections wait for its successor


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": 129},
        {"newest": 1},
        {"leaving": frozenset({0})},
        {"absent": frozenset({2})},
    ],
)
def test_slots_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CidConfigError):
        replace(Slots(2), **wrong)  # type: ignore[arg-type]
