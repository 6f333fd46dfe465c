"""The table of an item's life: complete, without contradiction, and without a way back from the end."""

import pytest

from edge.voice.turns import TRANSITIONS, Stage, Trigger, after, can

OVER = {Stage.PLAYED, Stage.CANCELLED}


def test_no_two_rows_contradict_each_other() -> None:
    """Of two rows for the same stage and trigger the second would silently win."""
    steps = [(source, row.trigger) for row in TRANSITIONS for source in row.sources]
    assert len(steps) == len(set(steps))


def test_every_trigger_means_something_and_every_stage_is_reached() -> None:
    assert {row.trigger for row in TRANSITIONS} == set(Trigger)
    reached = {Stage.WAITING}
    while more := {row.target for row in TRANSITIONS if row.sources & reached} - reached:
        reached |= more
    assert reached == set(Stage)


def test_what_is_over_stays_over() -> None:
    """Else an interrupted answer would come back behind the next one."""
    assert not any(can(stage, trigger) for stage in OVER for trigger in Trigger)


@pytest.mark.parametrize(
    "stage", [stage for stage in Stage if stage not in OVER], ids=lambda stage: stage.value
)
def test_whatever_is_not_over_can_be_ended_at_once(stage: Stage) -> None:
    assert after(stage, Trigger.STOPPED) is Stage.CANCELLED


@pytest.mark.parametrize("stage", [Stage.WAITING, Stage.SPEAKING, Stage.SENT], ids=lambda stage: stage.value)
def test_a_question_has_two_answers(stage: Stage) -> None:
    paused = after(stage, Trigger.INTERRUPTED)
    assert after(paused, Trigger.RESUMED) is Stage.WAITING
    assert after(paused, Trigger.LAPSED) is Stage.CANCELLED
    assert not can(paused, Trigger.INTERRUPTED)


def test_what_makes_no_sense_is_refused() -> None:
    assert not can(Stage.WAITING, Trigger.WRITTEN)
    with pytest.raises(KeyError):
        after(Stage.WAITING, Trigger.WRITTEN)
