"""Deadlines: the rule that chooses streams or datagrams, at its edge, and what cannot be a deadline."""

import pytest

from edge.voice.deadline import DEFAULT_PRESET, PRESETS, Deadlines, worth_datagrams

RULE = [
    # At a round trip of 60 ms a repair takes 115 ms.
    (114, 0.06, True),
    (115, 0.06, False),
    (50, 0.06, True),
    (500, 0.06, False),
    # In a room, even 50 ms are enough for one.
    (50, 0.010, False),
    (20, 0.0, True),
    (500, 0.4, True),
    (None, 10.0, False),
    (50, None, False),
]


@pytest.mark.parametrize("deadline_ms,rtt_s,datagrams", RULE)
def test_a_stream_is_used_where_it_can_repair(
    deadline_ms: int | None, rtt_s: float | None, datagrams: bool
) -> None:
    assert worth_datagrams(deadline_ms, rtt_s) is datagrams


@pytest.mark.parametrize("wrong_ms", [-1, 0, 19, 60_001])
def test_what_no_frame_can_meet_or_nobody_waits_for_is_refused(wrong_ms: int) -> None:
    for values in ((wrong_ms, None), (None, wrong_ms)):
        with pytest.raises(ValueError, match=f"a deadline of {wrong_ms} ms is not 20 to 60000"):
            Deadlines(*values)


def test_presets_are_those_of_the_reference() -> None:
    assert {
        "live": Deadlines(50, 50),
        "chat": Deadlines(500, None),
        "accurate": Deadlines(5000, None),
    } == PRESETS
    assert PRESETS[DEFAULT_PRESET] == PRESETS["chat"]
