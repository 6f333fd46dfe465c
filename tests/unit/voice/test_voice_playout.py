"""Playout by the clock: when it starts, runs dry, resumes and stops, and what it says of itself."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import Playout, Underran


def at(seconds: float) -> float:
    """A clock that is far from zero, where rounding shows."""
    return 86_400.0 + seconds


def test_playing_starts_at_the_threshold() -> None:
    playout = Playout(start_ms=60)
    playout.push(1, 2, at(0))
    assert (playout.playing, playout.item, playout.get_timer()) == (False, 0, None)
    playout.push(1, 3, at(0.5))
    assert (playout.playing, playout.item, playout.buffered_ms) == (True, 1, 60)
    playout.advance(at(0.55))
    assert (playout.played_ms, playout.buffered_ms) == (50, 10)
    assert playout.get_timer() == pytest.approx(at(0.56))


def test_an_item_shorter_than_the_threshold_is_played_when_it_has_ended() -> None:
    playout = Playout(start_ms=60)
    playout.push(1, 1, at(0))
    playout.end(1, at(1))
    assert playout.playing
    playout.advance(at(1.02))
    assert (playout.playing, playout.played_ms, playout.underruns) == (False, 20, 0)


def test_items_follow_each_other_without_a_gap() -> None:
    playout = Playout(start_ms=60)
    playout.push(1, 5, at(0))
    playout.end(1, at(0))
    playout.push(2, 5, at(0.05))
    playout.advance(at(0.13))
    assert (playout.item, playout.played_ms, playout.buffered_ms, playout.underruns) == (2, 30, 70, 0)


def test_running_dry_counts_when_speech_goes_on() -> None:
    playout = Playout(start_ms=60)
    playout.push(1, 5, at(0))
    playout.advance(at(0.2))
    assert (playout.playing, playout.played_ms, playout.underruns) == (False, 100, 0)
    playout.push(1, 7, at(0.25))
    assert not playout.playing
    playout.push(1, 8, at(0.3))
    assert (playout.playing, playout.underruns, playout.underrun_ms) == (True, 1, 200)
    assert list(playout.gaps) == [Underran(item=1, played_ms=100, silence_ms=200)]


def test_silence_behind_the_last_word_is_no_underrun() -> None:
    """The end of an item may be known only after its last frame was played."""
    playout = Playout(start_ms=60)
    playout.push(1, 5, at(0))
    playout.end(1, at(3))
    playout.push(2, 5, at(3.5))
    assert (playout.underruns, list(playout.gaps), playout.item) == (0, [], 2)


def test_an_item_without_frames_is_passed_over() -> None:
    playout = Playout(start_ms=60)
    playout.end(1, at(0))
    playout.push(2, 3, at(0))
    assert playout.item == 2


def test_flush_is_silence_at_once_and_keeps_the_position() -> None:
    playout = Playout(start_ms=60)
    playout.push(1, 50, at(0))
    playout.flush(at(0.33))
    assert (playout.playing, playout.item, playout.played_ms, playout.buffered_ms) == (False, 1, 330, 0)
    playout.push(2, 3, at(0.4))
    assert (playout.item, playout.underruns) == (2, 0)


def test_one_item_can_be_flushed_and_the_others_go_on() -> None:
    """Speech that is thrown away and not cancelled would count as ahead for ever: the edge would wait for it."""
    playout = Playout(start_ms=60)
    for item in (1, 2, 3):
        playout.push(item, 5, at(0))
        playout.end(item, at(0))
    playout.flush(at(0.02), 2)
    assert (playout.playing, playout.buffered_ms, playout.items) == (True, 180, [1, 3])
    playout.flush(at(0.04), 1)
    assert (playout.playing, playout.item, playout.buffered_ms) == (True, 3, 100)


def test_every_change_that_must_be_reported_is_a_transition() -> None:
    playout = Playout(start_ms=60)
    seen = [playout.transitions]
    for step in (
        lambda: playout.push(1, 3, at(0)),  # start
        lambda: playout.advance(at(0.1)),  # dry
        lambda: playout.push(1, 6, at(0.2)),  # start again
        lambda: playout.end(1, at(0.21)),  # nothing
        lambda: playout.advance(at(0.3)),  # stop
        lambda: playout.flush(at(0.4)),  # flush
    ):
        step()
        seen.append(playout.transitions)
    assert [later - earlier for earlier, later in pairwise(seen)] == [1, 1, 1, 0, 1, 1]


@pytest.mark.parametrize("frames,group", [(0, 0), (1, 0), (5, 0), (6, 1), (11, 2)])
def test_the_highest_group_is_the_last_begun(frames: int, group: int) -> None:
    playout = Playout(start_ms=20)
    if frames:
        playout.push(1, frames, at(0))
    assert playout.highest_group == group


def test_a_lost_frame_takes_its_time() -> None:
    """Else everything behind it would be heard early, and the edge would think that more had been played."""
    playout = Playout(start_ms=60)
    playout.push(1, 3, at(0))
    playout.push(1, 6, at(0.01))  # of which the fourth is lost: a place is told, not a number
    playout.advance(at(0.1))
    assert (playout.played_ms, playout.buffered_ms) == (100, 20)


def test_a_pause_is_silence_that_is_no_underrun() -> None:
    playout = Playout(start_ms=60)
    playout.push(1, 50, at(0))
    playout.pause(at(0.33))
    assert (playout.playing, playout.played_ms, playout.buffered_ms, playout.get_timer()) == (
        False,
        330,
        0,
        None,
    )
    playout.push(1, 52, at(0.4))
    playout.advance(at(0.6))
    assert (playout.playing, playout.played_ms) == (False, 330)
    playout.resume(at(0.7))
    playout.advance(at(0.8))
    assert (playout.played_ms, playout.buffered_ms, playout.underruns) == (430, 610, 0)


def test_after_a_pause_the_rest_is_played_however_little_it_is() -> None:
    """With the shortest lead the edge sends no more before some of it is played: both would wait for ever."""
    playout = Playout(start_ms=120)
    playout.push(1, 10, at(0))
    playout.pause(at(0.081))
    playout.resume(at(0.2))
    assert (playout.playing, playout.buffered_ms) == (True, 119)


def test_a_pause_may_begin_in_silence() -> None:
    """The caller's own silence hides that of the network."""
    playout = Playout(start_ms=60)
    playout.push(1, 5, at(0))
    playout.advance(at(0.2))
    playout.pause(at(0.2))
    playout.resume(at(0.5))
    assert not playout.playing
    playout.push(1, 8, at(0.6))
    assert (playout.playing, playout.underruns) == (True, 0)


def test_a_pause_can_end_in_a_flush() -> None:
    playout = Playout(start_ms=60)
    playout.push(1, 50, at(0))
    playout.pause(at(0.33))
    playout.flush(at(0.73))
    playout.push(2, 3, at(0.8))
    assert (playout.playing, playout.item, playout.items) == (True, 2, [2])


def test_items_are_those_that_can_still_be_interrupted() -> None:
    playout = Playout(start_ms=60)
    playout.push(1, 5, at(0))
    playout.end(1, at(0))
    playout.push(2, 5, at(0))
    assert playout.items == [1, 2]
    playout.advance(at(0.15))
    assert playout.items == [2]


def test_a_hole_is_due_when_the_playout_comes_to_it() -> None:
    playout = Playout(start_ms=60)
    playout.push(1, 5, at(0))
    playout.end(1, at(0))
    playout.push(2, 10, at(0))
    assert playout.dry_at == pytest.approx(at(0.3))
    playout.advance(at(0.5))
    assert playout.dry_at == pytest.approx(at(0.3))


@given(st.lists(st.tuples(st.floats(0, 0.3), st.integers(1, 9)), min_size=1, max_size=40))
def test_playing_takes_as_long_as_the_speech_and_its_gaps(pushes: list[tuple[float, int]]) -> None:
    """No millisecond is played twice or lost, whenever the frames come."""
    playout = Playout(start_ms=60)
    now, started_at, pushed = at(0), None, 0
    for pause, frames in pushes:
        now += pause
        pushed += frames
        playout.push(1, pushed, now)
        if started_at is None and playout.playing:
            started_at = now
    playout.end(1, now)
    if started_at is None:
        started_at = now
    while (timer := playout.get_timer()) is not None:
        assert timer > now - 1e-6
        now = max(now, timer)
        playout.advance(now)
    speech_ms = pushed * 20
    assert (playout.played_ms, playout.buffered_ms) == (speech_ms, 0)
    assert sum(gap.silence_ms for gap in playout.gaps) == playout.underrun_ms
    if playout.transitions % 2 == 0:
        heard_ms = (now - started_at) * 1000
        assert heard_ms == pytest.approx(speech_ms + playout.underrun_ms, abs=1 + playout.underruns)
