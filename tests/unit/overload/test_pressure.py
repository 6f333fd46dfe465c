"""Load to pressure: the right average, the right culprit."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.overload import Capacity, LoadSample, PressureGauge, Signal

CAPACITY = Capacity(
    cpu=1.0, loop_lag_s=0.1, handshakes_per_s=200, calls=50, socket_drops_per_s=20, backend_queue=10
)
TAU_S = 10.0


def test_samples_capacities_and_signals_have_the_same_fields() -> None:
    """A signal added in one place only would never count."""
    assert LoadSample.__struct_fields__ == Capacity.__struct_fields__ == tuple(Signal)


def test_several_workers_take_together_what_each_can_and_each_has_a_core_of_its_own() -> None:
    one = Capacity(cpu=0.9, calls=50.0, handshakes_per_s=300.0)
    four = one.of_workers(4, given={"handshakes_per_s"})
    assert (four.calls, four.cpu, four.loop_lag_s) == (200.0, 0.9, one.loop_lag_s)
    assert four.handshakes_per_s == 300.0


@pytest.mark.parametrize(
    "sample, worst, value",
    [
        (LoadSample(cpu=0.5), Signal.CPU, 0.5),
        (LoadSample(loop_lag_s=0.05), Signal.LOOP_LAG, 0.5),
        (LoadSample(handshakes_per_s=300), Signal.HANDSHAKES, 1.5),
        (LoadSample(calls=40), Signal.CALLS, 0.8),
        (LoadSample(socket_drops_per_s=2), Signal.SOCKET_DROPS, 0.1),
        (LoadSample(backend_queue=9), Signal.BACKEND_QUEUE, 0.9),
        (LoadSample(cpu=0.7, calls=40, backend_queue=1), Signal.CALLS, 0.8),
    ],
)
def test_the_worst_signal_is_the_pressure_and_is_named(
    sample: LoadSample, worst: Signal, value: float
) -> None:
    pressure = PressureGauge(CAPACITY, TAU_S).update(sample, now=0.0)
    assert pressure.worst is worst
    assert pressure.value == pytest.approx(value)
    assert pressure.by_signal[worst] == pressure.value


def test_a_step_reaches_63_percent_after_tau() -> None:
    gauge = PressureGauge(CAPACITY, TAU_S)
    pressure = gauge.update(LoadSample(cpu=0.0), now=100.0)
    for tick in range(1, 11):
        pressure = gauge.update(LoadSample(cpu=1.0), now=100.0 + tick)
    assert pressure.value == pytest.approx(1 - math.exp(-1))


@given(steps=st.lists(st.floats(0.0, 20.0), min_size=1, max_size=20))
def test_a_late_sampler_measures_the_same(steps: list[float]) -> None:
    """Under load samples come late and unevenly; for a steady signal only the elapsed time may matter."""
    gauge = PressureGauge(CAPACITY, TAU_S)
    pressure = gauge.update(LoadSample(cpu=0.2), now=0.0)
    now = 0.0
    for step in steps:
        now += step
        pressure = gauge.update(LoadSample(cpu=0.9), now)
    assert pressure.value == pytest.approx(0.9 - 0.7 * math.exp(-now / TAU_S))


def test_short_peaks_of_different_signals_do_not_add_up() -> None:
    gauge = PressureGauge(CAPACITY, TAU_S)
    peaks = [LoadSample(cpu=1.0), LoadSample(handshakes_per_s=200), LoadSample(backend_queue=10)]
    pressure = gauge.update(LoadSample(), now=0.0)
    for second in range(1, 31):
        pressure = gauge.update(peaks[second % 3], now=float(second))
    assert pressure.value < 0.5


def test_full_is_not_averaged() -> None:
    """The fiftieth call is there now, however calm the last ten seconds were."""
    gauge = PressureGauge(CAPACITY, TAU_S)
    assert not gauge.update(LoadSample(calls=49), now=0.0).full
    assert gauge.update(LoadSample(calls=50), now=0.1).full
    assert not gauge.update(LoadSample(calls=49), now=0.2).full


def test_earlier_pressures_keep_their_values() -> None:
    """What was logged or sent must not change when the gauge moves on."""
    gauge = PressureGauge(CAPACITY, TAU_S)
    first = gauge.update(LoadSample(cpu=0.1), now=0.0)
    gauge.update(LoadSample(cpu=0.9), now=5.0)
    assert first.by_signal[Signal.CPU] == pytest.approx(0.1)


@pytest.mark.parametrize("value", ["0", "-1", "0.0"])
def test_capacity_of_nothing_is_refused_where_it_is_read(value: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="calls"):
        msgspec.json.decode(f'{{"calls": {value}}}', type=Capacity)
