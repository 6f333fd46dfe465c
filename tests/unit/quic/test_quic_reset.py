"""Stateless resets: recognisable to one client, never an answer to each other, never too many."""

from hypothesis import given
from hypothesis import strategies as st

from edge.quic.reset import can_reset, reset_token, stateless_reset

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
    if not can_reset(trigger):
        assert trigger < 22
        return
    reset = stateless_reset(TOKEN, trigger, noise)
    assert 21 <= len(reset) < trigger
    assert reset[0] >> 6 == 0b01
    assert reset.endswith(TOKEN)


def test_two_endpoints_that_forgot_do_not_reset_each_other_for_ever() -> None:
    length, rounds = 1200, 0
    while can_reset(length):
        length, rounds = len(stateless_reset(TOKEN, length, noise)), rounds + 1
    assert rounds <= 22
