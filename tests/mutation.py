"""What is almost right, for whoever reads what strangers send."""

from __future__ import annotations

import random

from edge.voice import varint


def mutate(dice: random.Random, seed: bytes) -> bytes:
    """A few bits, bytes or pieces of ``seed`` are not what they were."""
    data = bytearray(seed)
    for _ in range(dice.randrange(4)):
        place = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0 if data:
                data[place % len(data)] ^= 1 << dice.randrange(8)
            case 1:
                data[place:place] = dice.randbytes(dice.randrange(1, 9))
            case 2:
                del data[place : place + dice.randrange(1, 9)]
            case 3:
                data[place:place] = varint.encode(dice.choice([0, 63, 64, 16383, 2**30, 2**62 - 1]))
            case _:
                data = data[:place]
    return bytes(data)
