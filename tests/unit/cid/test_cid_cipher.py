"""The ciphers against the draft's steps, written out as it writes them."""

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from edge.cid.cipher import permutation

KEYS = st.binary(min_size=16, max_size=16)


def four_pass_by_the_book(key: bytes, block: bytes) -> bytes:
    """Section 5.4.2, steps 1 to 12, on byte strings."""
    length = len(block)
    half_len = (length + 1) // 2
    odd = length % 2 == 1

    def clear_last_bits(half: bytes) -> bytes:
        return half[:-1] + bytes([half[-1] & 0xF0]) if odd else half

    def clear_first_bits(half: bytes) -> bytes:
        return bytes([half[0] & 0x0F]) + half[1:] if odd else half

    def mixed(half: bytes, other: bytes, number: int) -> bytes:
        expanded = other + bytes(14 - half_len) + bytes([length, number])
        result = Cipher(algorithms.AES128(key), modes.ECB()).encryptor().update(expanded)
        return bytes(a ^ b for a, b in zip(half, result[:half_len], strict=True))

    left = clear_last_bits(block[:half_len])
    right = clear_first_bits(block[length - half_len :])
    right = clear_first_bits(mixed(right, left, 1))
    left = clear_last_bits(mixed(left, right, 2))
    right = clear_first_bits(mixed(right, left, 3))
    left = clear_last_bits(mixed(left, right, 4))
    if odd:
        return left[:-1] + bytes([left[-1] | right[0]]) + right[1:]
    return left + right


@given(key=KEYS, block=st.binary(min_size=5, max_size=19).filter(lambda block: len(block) != 16))
def test_four_pass_is_the_drafts(key: bytes, block: bytes) -> None:
    assert permutation(key, len(block)).encrypt(block) == four_pass_by_the_book(key, block)


@given(key=KEYS, block=st.binary(min_size=4, max_size=19))
def test_decrypt_undoes_encrypt(key: bytes, block: bytes) -> None:
    cipher = permutation(key, len(block))
    assert cipher.decrypt(cipher.encrypt(block)) == block


@pytest.mark.parametrize("length", [4, 7, 15, 16, 19])
def test_prepared_contexts_carry_nothing_from_one_block_to_the_next(length: int) -> None:
    cipher = permutation(bytes(16), length)
    first, other = bytes(length), bytes([1] * length)
    alone = cipher.encrypt(first)
    cipher.encrypt(other)
    cipher.decrypt(other)
    assert cipher.encrypt(first) == alone
