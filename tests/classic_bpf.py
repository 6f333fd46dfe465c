"""An interpreter of the socket filters that `edge.cid.steering` writes."""

from __future__ import annotations

from collections.abc import Sequence

from edge.cid.steering import Instruction, Op


def run(program: Sequence[Instruction], packet: bytes) -> int:
    """What classic BPF does (Linux, Documentation/networking/filter.rst): a load beyond the end returns 0."""
    a = x = at = 0
    while True:
        code, then, otherwise, k = program[at]
        at += 1
        match Op(code):
            case Op.LOAD_LENGTH:
                a = len(packet)
            case Op.LOAD_WORD | Op.LOAD_OCTET as op:
                size = 4 if op is Op.LOAD_WORD else 1
                if k + size > len(packet):
                    return 0
                a = int.from_bytes(packet[k : k + size], "big")
            case Op.TO_INDEX:
                x = a
            case Op.XOR_INDEX:
                a ^= x
            case Op.ADD:
                a += k
            case Op.AND:
                a &= k
            case Op.MODULO:
                a %= k
            case Op.JUMP:
                at += k
            case Op.IF_EQUAL:
                at += then if a == k else otherwise
            case Op.IF_AT_LEAST:
                at += then if a >= k else otherwise
            case Op.IF_BITS:
                at += then if a & k else otherwise
            case Op.RETURN:
                return k
            case Op.RETURN_A:
                return a
