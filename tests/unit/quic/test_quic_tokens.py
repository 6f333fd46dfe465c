"""Address tokens: made by one node, good at another, for one client and its time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.quic.path import Path
from edge.quic.tokens import RETURN_LIFETIME_S, AddressTokens, InvalidToken, Proved

KEYS = {1: b"k" * 16}
NOW = 1_800_000_000.0
PATH = Path("192.0.2.1", 4433, "198.51.100.1")
ORIGINAL, RETRY = b"original", b"the retry source cid"


def sealed(tokens: AddressTokens | None = None, path: Path = PATH) -> bytes:
    return (tokens or AddressTokens(KEYS, 1)).for_retry(path, ORIGINAL, RETRY, unix_time=NOW, nonce=b"n" * 12)


def test_another_node_with_the_key_learns_the_original_cid() -> None:
    arrived_elsewhere = PATH._replace(local="198.51.100.2")
    assert AddressTokens(KEYS, 1).open(sealed(), arrived_elsewhere, RETRY, unix_time=NOW + 1) == Proved(
        ORIGINAL
    )


@pytest.mark.parametrize(
    "path, cid, later",
    [
        (PATH._replace(host="192.0.2.2"), RETRY, 0.0),
        (PATH._replace(host="2001:db8::1"), RETRY, 0.0),
        (PATH._replace(port=4434), RETRY, 0.0),
        (PATH, b"another cid", 0.0),
        (PATH, RETRY, 16.0),
        (PATH, RETRY, -6.0),
    ],
)
def test_it_is_good_for_nobody_and_nothing_else(path: Path, cid: bytes, later: float) -> None:
    with pytest.raises(InvalidToken):
        AddressTokens(KEYS, 1).open(sealed(), path, cid, unix_time=NOW + later)


@pytest.mark.parametrize("later", [-4.9, 0.0, 14.9])
def test_clocks_may_differ_a_little(later: float) -> None:
    assert AddressTokens(KEYS, 1).open(sealed(), PATH, RETRY, unix_time=NOW + later) == Proved(ORIGINAL)


def test_a_token_of_another_key_is_as_none() -> None:
    """A client may bring a token of a server it spoke to before; it still follows a Retry of ours."""
    assert AddressTokens({1: b"x" * 16}, 1).open(sealed(), PATH, RETRY, unix_time=NOW) is None


def test_a_link_local_client_is_told_apart_without_the_name_of_our_interface() -> None:
    tokens = AddressTokens(KEYS, 1)
    token = sealed(tokens, Path("fe80::1%eth0", 1, "::"))
    assert tokens.open(token, Path("fe80::1%eth1", 1, "::"), RETRY, unix_time=NOW) == Proved(ORIGINAL)


@given(st.binary(max_size=100))
def test_garbage_is_as_none(noise: bytes) -> None:
    assert AddressTokens(KEYS, 1).open(noise, PATH, RETRY, unix_time=NOW) is None


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_token_with_one_byte_changed_is_as_none(position: int, flip: int) -> None:
    token = bytearray(sealed())
    token[position % len(token)] ^= flip
    assert AddressTokens(KEYS, 1).open(bytes(token), PATH, RETRY, unix_time=NOW) is None


def test_a_token_of_any_generation_that_is_left_is_good() -> None:
    token = sealed()
    both = {**KEYS, 2: b"n" * 16}
    assert AddressTokens(both, 2).open(token, PATH, RETRY, unix_time=NOW) == Proved(ORIGINAL)
    assert AddressTokens({2: b"n" * 16}, 2).open(token, PATH, RETRY, unix_time=NOW) is None


@pytest.mark.parametrize(
    "path, later, good",
    [
        (PATH, 0.0, True),
        (PATH._replace(port=1), RETURN_LIFETIME_S - 1, True),
        (PATH, -4.9, True),
        (PATH, -6.0, False),
        (PATH, RETURN_LIFETIME_S + 1, False),
        (PATH._replace(host="192.0.2.2"), 0.0, False),
    ],
)
def test_a_token_for_the_next_connection_is_good_for_the_address(
    path: Path, later: float, good: bool
) -> None:
    """Where it is not it is as none: it may have been given to the client at another place."""
    tokens = AddressTokens(KEYS, 1)
    token = tokens.for_return(PATH.host, unix_time=NOW, nonce=b"n" * 12)
    assert tokens.open(token, path, b"any", unix_time=NOW + later) == (Proved(None) if good else None)
