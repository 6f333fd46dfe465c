"""How the block (server ID + nonce) of a connection ID is hidden: not at all, in one AES pass, or in four.

Each cipher is a bijection on blocks of its length: two nonces never give one connection ID. The AES contexts
are made once per key, since making one costs several times what using it does.
"""

from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from edge.cid.config import SINGLE_PASS_LENGTH, CidConfig


class BlockCipher(Protocol):
    """Both directions for blocks of one length; the caller has checked that length."""

    def encrypt(self, block: bytes) -> bytes: ...

    def decrypt(self, block: bytes) -> bytes: ...


def cipher_for(config: CidConfig) -> BlockCipher:
    """The cipher that `config.algorithm` names (draft section 5.4)."""
    if config.key is None:
        return Plaintext()
    return permutation(config.key, config.block_length)


def permutation(key: bytes, length: int) -> BlockCipher:
    """A keyed bijection on blocks of ``length`` bytes, 4 to 19. ``key`` is 16 bytes."""
    return SinglePass(key) if length == SINGLE_PASS_LENGTH else FourPass(key, length)


class Plaintext:
    """No key: the block is the connection ID."""

    def encrypt(self, block: bytes) -> bytes:
        return block

    def decrypt(self, block: bytes) -> bytes:
        return block


class SinglePass:
    """One AES-128 block (draft section 5.4.1)."""

    def __init__(self, key: bytes) -> None:
        ecb = _ecb(key)
        self.encrypt = ecb.encryptor().update
        self.decrypt = ecb.decryptor().update


class FourPass:
    """The four-round Feistel network of draft section 5.4.2, for blocks of any other length.

    The draft splits the block into two byte strings and, when its length is odd, clears the nibble each half
    does not own. As integers that falls out of the arithmetic: a block of n bytes is two halves of 4n bits.
    The left half stands at the top of the AES input; the right half, padded to whole bytes, begins four
    bits lower when n is odd. The two lowest input bytes say the length and the pass.
    """

    def __init__(self, key: bytes, length: int) -> None:
        self._aes = _ecb(key).encryptor().update
        self._length = length
        self._half_bits = 4 * length
        self._half_mask = (1 << self._half_bits) - 1
        self._left_shift = 128 - self._half_bits
        self._right_shift = 128 - 8 * ((length + 1) // 2)
        self._suffix = tuple(length << 8 | number for number in range(5))

    def encrypt(self, block: bytes) -> bytes:
        left, right = self._split(block)
        right ^= self._from_left(left, 1)
        left ^= self._from_right(right, 2)
        right ^= self._from_left(left, 3)
        left ^= self._from_right(right, 4)
        return self._join(left, right)

    def decrypt(self, block: bytes) -> bytes:
        left, right = self._split(block)
        left ^= self._from_right(right, 4)
        right ^= self._from_left(left, 3)
        left ^= self._from_right(right, 2)
        right ^= self._from_left(left, 1)
        return self._join(left, right)

    def _split(self, block: bytes) -> tuple[int, int]:
        value = int.from_bytes(block, "big")
        return value >> self._half_bits, value & self._half_mask

    def _join(self, left: int, right: int) -> bytes:
        return (left << self._half_bits | right).to_bytes(self._length, "big")

    def _from_left(self, left: int, number: int) -> int:
        """What pass ``number`` mixes into the right half."""
        block = (left << self._left_shift | self._suffix[number]).to_bytes(16, "big")
        return int.from_bytes(self._aes(block), "big") >> self._right_shift & self._half_mask

    def _from_right(self, right: int, number: int) -> int:
        """What pass ``number`` mixes into the left half."""
        block = (right << self._right_shift | self._suffix[number]).to_bytes(16, "big")
        return int.from_bytes(self._aes(block), "big") >> self._left_shift


def _ecb(key: bytes) -> Cipher[modes.ECB]:
    # ECB is what the draft specifies. Each block stands alone, so one context serves any number of them.
    return Cipher(algorithms.AES128(key), modes.ECB())
