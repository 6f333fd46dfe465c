"""What a caller carries from node to node: who can open it, for how long, and how often."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.keys import KeyRing
from edge.runtime.resume_token import (
    LIFETIME_S,
    MAX_HANDLE,
    NONCE_LENGTH,
    SKEW_S,
    ResumeSeal,
    ResumeState,
    UsedStays,
)
from edge.runtime.resuming import Resuming

KEYS = {0: bytes(range(32)), 3: bytes(range(1, 33))}
NONCE = bytes(NONCE_LENGTH)
NOW = 1_800_000_000.0
STATE = ResumeState(
    call_id="sess_1",
    stay=b"12345678",
    server_id=bytes(8),
    worker=3,
    backend="story",
    caller="",
    utterance=4,
    handle=b"2",
    issued_at=NOW,
)


def test_any_node_with_the_keys_can_open_it() -> None:
    token = ResumeSeal(KEYS, 0).seal(STATE, NONCE)
    assert ResumeSeal(KEYS, 3).open(token, NOW) == STATE
    assert "sess_1" not in token


def test_a_generation_that_was_dropped_takes_its_tokens_with_it() -> None:
    token = ResumeSeal(KEYS, 0).seal(STATE, NONCE)
    assert ResumeSeal({3: KEYS[3]}, 3).open(token, NOW) is None
    assert ResumeSeal({0: KEYS[3]}, 0).open(token, NOW) is None


@pytest.mark.parametrize("at", [NOW - SKEW_S - 1, NOW + LIFETIME_S + 1])
def test_it_is_good_for_a_while(at: float) -> None:
    seal = ResumeSeal(KEYS, 0)
    assert seal.open(seal.seal(STATE, NONCE), at) is None


def test_no_bit_of_it_can_be_changed() -> None:
    seal = ResumeSeal(KEYS, 0)
    raw = urlsafe_b64decode(seal.seal(STATE, NONCE))
    for place in range(len(raw)):
        forged = raw[:place] + bytes((raw[place] ^ 1,)) + raw[place + 1 :]
        assert seal.open(urlsafe_b64encode(forged).decode(), NOW) is None


@given(st.text(max_size=200))
def test_whatever_a_caller_shows_is_taken_calmly(text: str) -> None:
    assert ResumeSeal(KEYS, 0).open(text, NOW) is None


def test_the_largest_fits_the_wire() -> None:
    whole = msgspec.structs.replace(STATE, handle=bytes(MAX_HANDLE), backend="x" * 64, caller="x" * 32)
    assert len(ResumeSeal(KEYS, 0).seal(whole, NONCE)) < 4096


def test_a_stay_goes_on_once_whichever_of_its_tokens_is_shown() -> None:
    used = UsedStays(10)
    assert used.use(STATE)
    assert not used.use(STATE)
    assert not used.use(msgspec.structs.replace(STATE, issued_at=NOW + 5))
    assert used.use(msgspec.structs.replace(STATE, stay=b"another1"))


def test_what_cannot_be_remembered_is_refused() -> None:
    used = UsedStays(2)
    stays = [
        msgspec.structs.replace(STATE, stay=bytes([number]) * 8, issued_at=NOW + number)
        for number in range(4)
    ]
    assert all(used.use(stay) for stay in stays)
    assert not any(used.use(stay) for stay in stays)
    assert not used.use(msgspec.structs.replace(STATE, stay=b"older..."))


def test_a_call_that_ended_here_does_not_go_on_here() -> None:
    ring = KeyRing.new(bytes(range(32)), datetime(2026, 1, 1, tzinfo=UTC))
    here, there = (
        Resuming(ring, server_id=bytes([number]) * 8, worker=0, unix_time=lambda: NOW) for number in (1, 2)
    )
    stay = here.stay()
    token = here.issue(call_id="c", stay=stay, backend="echo", caller="", utterance=1, handle=b"")
    here.end(stay)
    state = there.open(token)
    assert state is not None
    assert not here.use(state)
    assert there.use(state)
