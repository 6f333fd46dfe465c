"""Timers against the obvious: no deadline is ever missed, and the heap does not grow with the traffic."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from edge.quic.timers import Timers


@dataclass(eq=False)
class Sleeper:
    deadlines: list[float] = field(default_factory=list)
    wants: float | None = None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), st.integers(0, 4), st.integers(0, 50)),
        st.tuples(st.just("pass"), st.just(0), st.integers(0, 30)),
    ),
    max_size=60,
)


@given(STEPS)
def test_nobody_sleeps_through_a_deadline(steps: list[tuple[str, int, int]]) -> None:
    timers: Timers[Sleeper] = Timers()
    sleepers = [Sleeper() for _ in range(5)]
    now = 0.0
    for what, who, amount in steps:
        if what == "arm":
            # The deadline moves, to earlier or later, and only its owner knows the old one is void.
            sleepers[who].wants = now + amount
            timers.arm(sleepers[who], now + amount)
        else:
            now += amount
            for sleeper in timers.due(now):
                if sleeper.wants is not None and sleeper.wants > now:
                    timers.arm(sleeper, sleeper.wants)
                else:
                    sleeper.wants = None
        wanted = [sleeper.wants for sleeper in sleepers if sleeper.wants is not None]
        assert all(at >= now for at in wanted) or what == "arm"
        nearest = timers.next()
        assert not wanted or (nearest is not None and nearest <= min(wanted))


def test_each_owner_is_woken_once_at_a_time() -> None:
    timers: Timers[Sleeper] = Timers()
    sleeper = Sleeper()
    for at in (5.0, 4.0, 3.0):
        timers.arm(sleeper, at)
    assert timers.due(10.0) == [sleeper]
    assert timers.due(10.0) == []


def test_a_deadline_that_moves_away_with_every_packet_leaves_nothing_behind() -> None:
    timers: Timers[Sleeper] = Timers()
    sleepers = [Sleeper() for _ in range(100)]
    for packet in range(1000):
        now = packet * 0.02
        for sleeper in timers.due(now):
            timers.arm(sleeper, now + 30.0)
        for sleeper in sleepers:
            timers.arm(sleeper, now + 0.001)
            timers.arm(sleeper, now + 30.0)
    assert len(timers._heap) <= 2 * len(sleepers)
