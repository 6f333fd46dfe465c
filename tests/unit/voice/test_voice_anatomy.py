"""Anatomy of a turn: which moment belongs to which turn, and what stays unknown."""

from edge.voice.anatomy import Turn, TurnTimes


def answered(times: TurnTimes, item: int = 1) -> None:
    """Speech ends at 1.0 s, the backend answers at 1.5 s, the first byte goes out at 1.52 s."""
    times.speech_ended(1.0)
    assert times.audio_given(item, 1.5) is None
    times.written(item, 1.52)


def test_a_turn_has_four_moments() -> None:
    """Half a round trip before the report arrived the caller had played 100 ms: it began at 1.73 s."""
    times = TurnTimes()
    answered(times)
    turn = times.reported(1, 100, 1.86, 0.06)
    assert turn == Turn(1, backend_ms=500.0, wire_ms=520.0, played_ms=730.0)
    assert turn.edge_added_ms == 20.0
    assert times.reported(1, 200, 1.96, 0.06) is None


def test_only_the_first_audio_and_the_first_byte_count() -> None:
    times = TurnTimes()
    answered(times)
    times.audio_given(1, 1.6)
    times.written(1, 1.7)
    assert times.over(1) == Turn(1, 500.0, 520.0, None)


def test_what_nobody_knows_is_none() -> None:
    times = TurnTimes()
    times.speech_ended(1.0)
    times.audio_given(1, 1.5)
    unheard = times.over(1)
    assert unheard == Turn(1, 500.0, None, None)
    assert unheard.edge_added_ms is None
    answered(times, 2)
    assert times.reported(2, 100, 1.86, None) == Turn(2, 500.0, 520.0, None)


def test_a_report_of_a_later_item_ends_the_turn_unheard() -> None:
    times = TurnTimes()
    answered(times)
    assert times.reported(2, 40, 9.0, 0.06) == Turn(1, 500.0, 520.0, None)


def test_a_report_of_the_item_before_says_nothing() -> None:
    times = TurnTimes()
    answered(times, 2)
    assert times.reported(1, 400, 1.6, 0.06) is None


def test_the_next_answer_ends_a_turn_that_nobody_reported() -> None:
    times = TurnTimes()
    answered(times)
    times.speech_ended(5.0)
    assert times.audio_given(2, 5.3) == Turn(1, 500.0, 520.0, None)


def test_what_is_said_unasked_is_no_turn() -> None:
    """A greeting, and the second item of an answer."""
    times = TurnTimes()
    times.audio_given(1, 0.1)
    times.written(1, 0.1)
    assert times.reported(1, 20, 0.3, 0.06) is None
    answered(times, 2)
    times.audio_given(3, 1.6)
    assert times.over(3) is None
    assert times.over(2) is not None


def test_of_several_ends_of_speech_the_last_counts() -> None:
    """The caller paused and went on: the answer is to all of it."""
    times = TurnTimes()
    times.speech_ended(0.2)
    answered(times)
    assert times.over(1) == Turn(1, 500.0, 520.0, None)


def test_what_was_being_said_when_the_caller_stopped_is_no_answer_to_it() -> None:
    times = TurnTimes()
    times.audio_given(1, 0.1)  # unasked, and still going on when the caller stops
    times.speech_ended(1.0)
    assert times.audio_given(1, 1.1) is None
    assert times.reported(1, 1200, 1.3, 0.06) is None
    times.audio_given(2, 1.5)
    times.written(2, 1.5)
    assert times.reported(2, 20, 1.65, 0.06) == Turn(2, 500.0, 500.0, 600.0)


def test_nothing_is_played_before_it_was_sent() -> None:
    """Half of a round trip that was measured at a worse moment is more than it took."""
    times = TurnTimes()
    answered(times)
    assert times.reported(1, 20, 1.53, 0.06) == Turn(1, 500.0, 520.0, 520.0)
