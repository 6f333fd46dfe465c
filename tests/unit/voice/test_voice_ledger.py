"""Ledgers: equal exactly when the frames are."""

import hashlib

import pytest

from edge.voice import Frame, FrameLedger, LedgerCount

FRAMES = [Frame(1, 0, 0, b"ab"), Frame(1, 1, 20, b"c"), Frame(2, 0, 0, b"d")]


def count(frames: list[Frame]) -> LedgerCount:
    ledger = FrameLedger()
    ledger.record(frames)
    return ledger.count()


def test_the_digest_is_what_the_documentation_says() -> None:
    """A client in another language must come to the same digest."""
    expected = hashlib.sha256(b"\x01\x00\x02ab" + b"\x01\x01\x01c" + b"\x02\x00\x01d").hexdigest()
    assert count(FRAMES) == LedgerCount(frames=3, bytes=4, digest=expected)


def test_chunks_do_not_matter_and_counting_goes_on() -> None:
    ledger = FrameLedger()
    ledger.record(FRAMES[:1])
    ledger.count()
    ledger.record(FRAMES[1:])
    assert ledger.count() == count(FRAMES)
    assert ledger.frames == 3


@pytest.mark.parametrize(
    "other",
    [
        FRAMES[:2],
        [FRAMES[1], FRAMES[0], FRAMES[2]],
        [FRAMES[0], FRAMES[0], FRAMES[2]],
        [Frame(1, 0, 0, b"a"), Frame(1, 1, 20, b"bc"), FRAMES[2]],
        [FRAMES[0], FRAMES[1], Frame(1, 2, 0, b"d")],
    ],
    ids=["one missing", "swapped", "one doubled", "bytes moved", "other utterance"],
)
def test_a_difference_shows(other: list[Frame]) -> None:
    assert count(other).digest != count(FRAMES).digest


def test_what_was_lost_is_accounted_for() -> None:
    said = count(FRAMES)
    heard = count(FRAMES[:1]).without(2)
    assert (heard.frames, heard.lost) == (1, 2)
    assert heard.accounts_for(said)
    assert not heard.without(1).accounts_for(said)


def test_without_a_loss_only_the_same_frames_are_the_same() -> None:
    swapped = count([FRAMES[1], FRAMES[0], FRAMES[2]])
    assert count(FRAMES).without(0).accounts_for(count(FRAMES))
    assert not swapped.accounts_for(count(FRAMES))
