"""What a link does to packets, in virtual time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.lab.impairment import Direction, Impairment

MS = 0.001


def arrivals(direction: Direction, packets: int, gap: float = 0.0) -> list[float | None]:
    """When packets arrive that are sent ``gap`` seconds apart, from time 0."""
    return [direction.arrival(index * gap) for index in range(packets)]


def test_delay_alone_is_exact() -> None:
    assert arrivals(Direction(Impairment(10), "s"), 3, gap=1.0) == [0.01, 1.01, 2.01]


@given(
    delay_ms=st.floats(0, 1000),
    share=st.floats(0, 1),
    gaps=st.lists(st.floats(0, 0.1), max_size=50),
    seed=st.text(),
)
def test_packets_keep_within_jitter_and_in_order(
    delay_ms: float, share: float, gaps: list[float], seed: str
) -> None:
    jitter_ms = delay_ms * share
    direction = Direction(Impairment(delay_ms, jitter_ms), seed)
    sent = list(itertools.accumulate(gaps, initial=0.0))
    arrived = [direction.arrival(at) for at in sent]
    for at, then in zip(sent, arrived, strict=True):
        assert then is not None
        assert at <= then <= at + (delay_ms + jitter_ms) * MS + 1e-9
    assert arrived == sorted(arrived)


def test_reordering_only_where_asked_for() -> None:
    ordered = arrivals(Direction(Impairment(10, 5), "s"), 100)
    shuffled = arrivals(Direction(Impairment(10, 5, reorder=True), "s"), 100)
    assert ordered == sorted(ordered)
    assert shuffled != sorted(shuffled)


def test_loss_is_counted_and_near_its_probability() -> None:
    direction = Direction(Impairment(loss=0.3), "s")
    lost = arrivals(direction, 2000).count(None)
    assert direction.packets == 2000
    assert direction.dropped == lost
    assert 500 < lost < 700  # 600 expected, and 100 is 4.9 standard deviations


@pytest.mark.parametrize("loss", [0.05, 0.2, 0.6])
@pytest.mark.parametrize("gap", [0.001, 0.005])
def test_bursts_are_a_share_of_the_time_however_much_is_sent(loss: float, gap: float) -> None:
    direction = Direction(Impairment(loss=loss, burst_ms=60), "s")
    fates = [at is None for at in arrivals(direction, round(600 / gap), gap)]
    runs_s = [gap * len(list(run)) for lost, run in itertools.groupby(fates) if lost]
    # From 500 bursts on; the share of so many is within a tenth of two standard deviations, and more.
    assert 0.8 * loss < fates.count(True) / len(fates) < 1.2 * loss
    assert 0.050 < sum(runs_s) / len(runs_s) < 0.070


def test_a_burst_ends_with_the_loss() -> None:
    direction = Direction(Impairment(loss=0.99, burst_ms=1e6), "s")
    assert arrivals(direction, 100).count(None) == 100
    direction.impairment = Impairment(burst_ms=1e6)
    assert None not in arrivals(direction, 100)


def test_bursts_and_single_losses_throw_dice_of_their_own() -> None:
    single = Impairment(loss=0.5)
    quiet, stormy = Direction(single, "s"), Direction(Impairment(loss=0.5, burst_ms=10), "s")
    arrivals(quiet, 10, gap=0.1)
    arrivals(stormy, 10, gap=0.1)
    stormy.impairment = single
    assert [at is None for at in arrivals(quiet, 50)] == [at is None for at in arrivals(stormy, 50)]


def test_the_same_seed_is_the_same_luck_and_another_is_not() -> None:
    impairment = Impairment(10, 5, 0.5)
    first, again, other = (
        arrivals(Direction(impairment, seed), 50) for seed in ("1/a/ab", "1/a/ab", "1/a/ba")
    )
    assert first == again
    assert first != other


def test_changing_the_delay_does_not_change_which_packets_are_lost() -> None:
    steady, changing = Direction(Impairment(loss=0.5), "s"), Direction(Impairment(loss=0.5), "s")
    one = arrivals(steady, 50)
    two = arrivals(changing, 25)
    changing.impairment = Impairment(50, 20, 0.5)
    two += arrivals(changing, 25)
    assert [at is None for at in one] == [at is None for at in two]


def test_a_cut_link_loses_everything_and_heals() -> None:
    direction = Direction(Impairment(cut=True), "s")
    assert arrivals(direction, 5) == [None] * 5
    direction.impairment = Impairment()
    assert direction.arrival(1.0) == 1.0
    assert (direction.packets, direction.dropped) == (6, 5)


@pytest.mark.parametrize(
    "values",
    [
        {"delay_ms": -1},
        {"jitter_ms": 1},
        {"delay_ms": 1e6},
        {"loss": 1.1},
        {"loss": -0.1},
        {"loss": 0.1, "burst_ms": 0},
        {"loss": 1, "burst_ms": 60},
    ],
)
def test_impossible_links_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"does not hold|probability|bursts"):
        Impairment(**values)
