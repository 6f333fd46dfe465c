"""The account of an interruption, and where a transcript is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import PlayoutReport
from edge.voice.barge_in import truncation_ms
from edge.voice.speech import Speech

counts = st.integers(0, 60)


@pytest.mark.parametrize(
    "played_ms,received,generated,cut_ms",
    [(345, 50, 50, 345), (345, 10, 50, 200), (345, 50, 10, 200), (0, 0, 0, 0)],
    ids=["as said", "not yet received", "never said", "nothing"],
)
def test_a_transcript_is_cut_at_the_least_of_three(
    played_ms: int, received: int, generated: int, cut_ms: int
) -> None:
    assert truncation_ms(played_ms, received=received, generated=generated) == cut_ms


def report(played_ms: int, group: int) -> PlayoutReport:
    return PlayoutReport(1, played_ms, 0, underruns=0, highest_group=group, client_ts_ms=0)


@given(
    sizes=st.lists(st.integers(1, 90), max_size=60),
    steps=st.lists(st.tuples(counts, counts, st.integers(0, 2000), st.integers(0, 12)), max_size=8),
)
def test_every_byte_is_on_one_side(sizes: list[int], steps: list[tuple[int, int, int, int]]) -> None:
    """However often something is said again, and whatever a caller claims: a frame is played, wasted or saved."""
    speech = Speech(1)
    speech.give([bytes(size) for size in sizes])
    for take, back, played_ms, group in steps:
        first = speech.at
        taken = speech.take(min(take, speech.waiting))
        assert [len(frame.payload) for frame in taken] == sizes[first : speech.at]
        assert [frame.seq for frame in taken] == list(range(first, speech.at))
        speech.reported(report(played_ms, group), played_ms)
        speech.rewind(back)
        speech.reported(report(2 * played_ms, group), 2 * played_ms)
        assert speech.played_ms <= speech.at * 20 <= speech.wire * 20
    account = speech.account(None)
    assert account.played_bytes == sum(sizes[: speech.played_ms // 20])
    assert account.wire_bytes == sum(sizes[: speech.wire])
    assert account.generated_bytes == account.wire_bytes + account.saved_bytes == sum(sizes)
    assert account.wire_bytes == account.played_bytes + account.wasted_bytes
    assert account.played_ms <= speech.wire * 20
