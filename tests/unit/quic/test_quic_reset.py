"""Stateless resets: recognisable to one client, never an answer to each other, never too many."""

from hypothesis import given
from hypothesis import strategies as st

from edge.quic.reset import reset_token, stateless_reset

TOKEN = b"t" * 16


def noise(count: int) -> bytes:
    return b"\xff" * count


def test_a_token_follows_from_key_and_cid() -> None:
    token = reset_token(b"key", b"cid")
    assert len(token) == 16
    assert token == reset_token(b"key", b"cid")
    assert token != reset_token(b"key", b"dic")
    assert token != reset_token(b"yek", b"cid")


@given(st.integers(0, 2000))
def test_a_reset_is_shorter_than_what_it_answers_and_looks_like_a_short_header(trigger: int) -> None:
    reset = stateless_reset(TOKEN, trigger, noise)
    if trigger < 22:
        assert reset is None
        return
    assert reset is not None
    assert 21 <= len(reset) < trigger
    assert reset[0] >> 6 == 0b01
    assert reset.endswith(TOKEN)


def test_two_endpoints_that_forgot_do_not_reset_each_other_for_ever() -> None:
    length, rounds = 1200, 0
    while (reset := stateless_reset(TOKEN, length, noise)) is not None:
        length, rounds = len(reset), rounds + 1
    assert rounds <= 22
