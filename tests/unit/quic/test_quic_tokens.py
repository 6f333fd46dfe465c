"""Retry tokens: made by one node, good at another, for one client and a few seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.quic.path import Path
from edge.quic.tokens import InvalidToken, RetryTokens

KEY = b"k" * 16
NOW = 1_800_000_000.0
PATH = Path("192.0.2.1", 4433, "198.51.100.1")
ORIGINAL, RETRY = b"original", b"the retry source cid"


def sealed(tokens: RetryTokens | None = None, path: Path = PATH) -> bytes:
    return (tokens or RetryTokens(KEY)).seal(path, ORIGINAL, RETRY, unix_time=NOW, nonce=b"n" * 12)


def test_another_node_with_the_key_learns_the_original_cid() -> None:
    arrived_elsewhere = PATH._replace(local="198.51.100.2")
    assert RetryTokens(KEY).open(sealed(), arrived_elsewhere, RETRY, unix_time=NOW + 1) == ORIGINAL


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
        RetryTokens(KEY).open(sealed(), path, cid, unix_time=NOW + later)


@pytest.mark.parametrize("later", [-4.9, 0.0, 14.9])
def test_clocks_may_differ_a_little(later: float) -> None:
    assert RetryTokens(KEY).open(sealed(), PATH, RETRY, unix_time=NOW + later) == ORIGINAL


def test_a_token_of_another_key_is_as_none() -> None:
    """A client may bring a token of a server it spoke to before; it still follows a Retry of ours."""
    assert RetryTokens(b"x" * 16).open(sealed(), PATH, RETRY, unix_time=NOW) is None


def test_a_link_local_client_is_told_apart_without_the_name_of_our_interface() -> None:
    tokens = RetryTokens(KEY)
    token = sealed(tokens, Path("fe80::1%eth0", 1, "::"))
    assert tokens.open(token, Path("fe80::1%eth1", 1, "::"), RETRY, unix_time=NOW) == ORIGINAL


@given(st.binary(max_size=100))
def test_garbage_is_as_none(noise: bytes) -> None:
    assert RetryTokens(KEY).open(noise, PATH, RETRY, unix_time=NOW) is None


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_token_with_one_byte_changed_is_as_none(position: int, flip: int) -> None:
    token = bytearray(sealed())
    token[position % len(token)] ^= flip
    assert RetryTokens(KEY).open(bytes(token), PATH, RETRY, unix_time=NOW) is None


def test_a_key_of_the_wrong_size_is_the_operators_mistake() -> None:
    with pytest.raises(UsageError, match="15 bytes"):
        RetryTokens(b"k" * 15)
