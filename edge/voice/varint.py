"""Variable-length integers (RFC 9000 section 16): the two high bits of the first octet say 1, 2, 4 or 8 bytes.

A value may be written longer than it needs; the RFC asks for the shortest form only in frame types.
"""

MAX_VARINT = 2**62 - 1

_LIMITS = ((2**6, 1, 0x00), (2**14, 2, 0x40), (2**30, 4, 0x80), (2**62, 8, 0xC0))


def encode(*values: int) -> bytes:
    """``values`` one after the other, each in its shortest form. Raises ValueError outside 0 to 2**62 - 1."""
    return b"".join(_encode_one(value) for value in values)


def decode(data: bytes | bytearray, offset: int = 0) -> tuple[int, int] | None:
    """The value at ``offset`` and the offset behind it; None while its last byte is still missing."""
    if offset >= len(data):
        return None
    end = offset + (1 << (data[offset] >> 6))
    if end > len(data):
        return None
    value = int.from_bytes(data[offset:end], "big")
    return value & ((1 << (8 * (end - offset) - 2)) - 1), end


def _encode_one(value: int) -> bytes:
    for limit, length, prefix in _LIMITS:
        if 0 <= value < limit:
            encoded = bytearray(value.to_bytes(length, "big"))
            encoded[0] |= prefix
            return bytes(encoded)
    raise ValueError(f"{value} does not fit a variable-length integer")
