"""The admission table, walked; then what must hold whatever the load does."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.overload import (
    Admission,
    AdmissionState,
    Condition,
    Gate,
    OverloadParams,
    Pressure,
    Signal,
    Verdict,
)
from edge.overload.admission import TRANSITIONS

ACCEPTING, RETRYING = AdmissionState.ACCEPTING, AdmissionState.RETRYING
REFUSING, DRAINING = AdmissionState.REFUSING, AdmissionState.DRAINING

# Ramps of a power of two seconds add up to 0 and 1 exactly.
PARAMS = OverloadParams(
    rise=0.85, fall=0.60, retry_after_s=3, refuse_after_s=6, accept_after_s=10, ramp_up_s=16, ramp_down_s=64
)
LOW, MIDDLE, HIGH = 0.3, 0.7, 0.95


def pressure(value: float, *, full: bool = False) -> Pressure:
    return Pressure(value, Signal.CPU, dict.fromkeys(Signal, value), full)


def after(*phases: tuple[float, float], admission: Admission | None = None) -> Admission:
    """Live through phases of (pressure, seconds), sampled twice a second from where the last walk ended."""
    admission = admission or Admission(PARAMS, now=0.0)
    now = admission._updated_at
    for value, seconds in phases:
        for _ in range(round(2 * seconds)):
            now += 0.5
            admission.update(pressure(value), now)
    return admission


@pytest.mark.parametrize(
    "phases, state, probability",
    [
        ([(LOW, 60)], ACCEPTING, 0.0),
        ([(MIDDLE, 600)], ACCEPTING, 0.0),
        # Rising: the first high sample is 0.5 s in, so that "high for 3 s" is true 3.5 s in.
        ([(HIGH, 3)], ACCEPTING, 0.0),
        ([(HIGH, 3.5)], RETRYING, 0.0),
        ([(HIGH, 6)], RETRYING, 0.0),
        ([(HIGH, 6.5)], REFUSING, 0.0),
        ([(0.85, 3.5)], RETRYING, 0.0),
        ([(0.8499, 600)], ACCEPTING, 0.0),
        # A pause starts the clock again: peaks are not overload.
        ([(HIGH, 2.5), (MIDDLE, 0.5), (HIGH, 2.5), (LOW, 0.5), (HIGH, 2.5)], ACCEPTING, 0.0),
        # The ramp: 6.5 s to get there, then 1/16 a second up ...
        ([(HIGH, 14.5)], REFUSING, 0.5),
        ([(HIGH, 22.5)], REFUSING, 1.0),
        ([(HIGH, 600)], REFUSING, 1.0),
        # ... held between the thresholds (from the sample that says so) ...
        ([(HIGH, 14.5), (MIDDLE, 300)], REFUSING, 0.53125),
        ([(HIGH, 14.5), (0.60, 300)], REFUSING, 0.53125),
        # ... and 1/64 a second down.
        ([(HIGH, 600), (LOW, 32.5)], REFUSING, 0.5),
        ([(HIGH, 600), (LOW, 64)], REFUSING, 0.5 / 64),
        ([(HIGH, 600), (LOW, 64.5)], RETRYING, 0.0),
        ([(HIGH, 600), (LOW, 65)], ACCEPTING, 0.0),
        # A relapse on the way down climbs from where it is.
        ([(HIGH, 600), (LOW, 32.5), (HIGH, 4.5)], REFUSING, 0.5 - 0.5 / 64 + 4 / 16),
        # Out of Retry only after a long enough calm, and not by way of the middle.
        ([(HIGH, 3.5), (LOW, 10)], RETRYING, 0.0),
        ([(HIGH, 3.5), (LOW, 10.5)], ACCEPTING, 0.0),
        ([(HIGH, 3.5), (MIDDLE, 600)], RETRYING, 0.0),
        ([(HIGH, 3.5), (LOW, 9), (MIDDLE, 0.5), (LOW, 9)], RETRYING, 0.0),
    ],
)
def test_table(phases: list[tuple[float, float]], state: AdmissionState, probability: float) -> None:
    admission = after(*phases)
    assert admission.state is state
    assert admission.refuse_probability == pytest.approx(probability, abs=1e-9)


@pytest.mark.parametrize("transition", TRANSITIONS.values())
def test_the_table_names_parameters_that_exist(transition: tuple[str | None, AdmissionState]) -> None:
    assert transition[0] is None or transition[0] in OverloadParams.__struct_fields__


@pytest.mark.parametrize(
    "state, dice, verdict",
    [
        (ACCEPTING, 0.0, Verdict.ACCEPT),
        (RETRYING, 0.0, Verdict.RETRY),
        (REFUSING, 0.49, Verdict.REFUSE),
        (REFUSING, 0.50, Verdict.RETRY),
        (DRAINING, 0.999, Verdict.REFUSE),
    ],
)
def test_verdicts(state: AdmissionState, dice: float, verdict: Verdict) -> None:
    admission = {
        ACCEPTING: after((LOW, 1)),
        RETRYING: after((HIGH, 5)),
        REFUSING: after((HIGH, 14.5)),
        DRAINING: after((LOW, 1)),
    }[state]
    if state is DRAINING:
        admission.drain()
    assert admission.state is state
    assert admission.verdict(100.0, dice) is verdict


@pytest.mark.parametrize(
    "phases, condition",
    [
        ([(LOW, 1)], Condition.SERVING),
        ([(HIGH, 5)], Condition.SHEDDING),
        ([(HIGH, 20)], Condition.SHEDDING),
    ],
)
def test_condition_is_what_others_are_told(phases: list[tuple[float, float]], condition: Condition) -> None:
    assert after(*phases).condition is condition


def test_a_full_node_refuses_at_once_and_everybody_and_only_while_full() -> None:
    admission = Admission(PARAMS, now=0.0)
    admission.update(pressure(LOW, full=True), 1.0)
    assert admission.state is ACCEPTING
    assert admission.verdict(1.0, 0.999) is Verdict.REFUSE
    admission.update(pressure(LOW), 2.0)
    assert admission.verdict(2.0, 0.0) is Verdict.ACCEPT


def test_draining_ignores_pressure_until_it_is_ended_and_then_lets_in_whoever_comes() -> None:
    admission = after((HIGH, 14.5))
    admission.drain()
    after((LOW, 600), admission=admission)
    assert admission.condition is Condition.DRAINING
    admission.end_drain(700.0)
    assert (admission.state, admission.refuse_probability) == (ACCEPTING, 0.0)


def test_to_end_what_is_not_draining_changes_nothing() -> None:
    admission = after((HIGH, 14.5))
    admission.end_drain(20.0)
    assert (admission.state, admission.refuse_probability) == (REFUSING, 0.5)


def test_warm_up_starts_slowly() -> None:
    admission = after((LOW, 1))
    admission.warm_up()
    assert (admission.state, admission.refuse_probability) == (REFUSING, 1.0)
    after((LOW, 32), admission=admission)
    assert admission.refuse_probability == 0.5
    after((LOW, 33), admission=admission)
    assert admission.state is ACCEPTING


def test_warm_up_that_meets_load_does_not_go_on_opening() -> None:
    admission = after((LOW, 1))
    admission.warm_up()
    after((LOW, 32), (MIDDLE, 60), admission=admission)
    assert admission.refuse_probability == pytest.approx(0.5, abs=0.01)


def test_refusal_ratio_counts_own_verdicts_and_those_of_copied_gates() -> None:
    admission = after((HIGH, 16.5))
    assert [admission.verdict(20.0, dice) for dice in (0.1, 0.9)] == [Verdict.REFUSE, Verdict.RETRY]
    assert admission.refusal_ratio(20.0) == 0.5
    admission.count(0, 8, 21.0)
    assert admission.refusal_ratio(21.0) == 0.1
    assert admission.refusal_ratio(40.0) == 0.0


@given(dice=st.floats(0.0, 1.0, exclude_max=True))
def test_gate_never_refuses_at_0_and_always_at_1(dice: float) -> None:
    assert Gate().verdict(dice) is Verdict.ACCEPT
    assert Gate(retry=True).verdict(dice) is Verdict.RETRY
    assert Gate(retry=True, refuse_probability=1.0).verdict(dice) is Verdict.REFUSE


SEVERITY = {ACCEPTING: 0, RETRYING: 1, REFUSING: 2}
WALKS = st.lists(
    st.tuples(st.floats(0.01, 30.0), st.floats(0.0, 2.0), st.floats(0.0, 1.0)), min_size=1, max_size=60
)


@given(walk=WALKS)
def test_more_pressure_never_lets_more_in(walk: list[tuple[float, float, float]]) -> None:
    """Two nodes sampled together, one always loaded at least as much as the other."""
    calm, busy = Admission(PARAMS, 0.0), Admission(PARAMS, 0.0)
    now = 0.0
    for step, value, extra in walk:
        now += step
        calm.update(pressure(value), now)
        busy.update(pressure(value + extra), now)
        assert 0.0 <= calm.refuse_probability <= busy.refuse_probability <= 1.0
        assert SEVERITY[calm.state] <= SEVERITY[busy.state]


@given(
    before=WALKS,
    inside=st.lists(st.tuples(st.floats(0.01, 300.0), st.floats(0.60, 0.8499)), min_size=2, max_size=60),
)
def test_nothing_moves_inside_the_hysteresis_band(
    before: list[tuple[float, float, float]], inside: list[tuple[float, float]]
) -> None:
    admission = Admission(PARAMS, 0.0)
    now = 0.0
    for step, value, _ in before:
        now += step
        admission.update(pressure(value), now)
    seen = set()
    for step, value in inside:
        now += step
        admission.update(pressure(value), now)
        seen.add((admission.state, admission.refuse_probability))
    assert len(seen) == 1


class TestParams:
    def test_scaled_changes_every_time_and_no_threshold(self) -> None:
        lab = OverloadParams().scaled(0.1)
        for name in OverloadParams.__struct_fields__:
            factor = 0.1 if name.endswith("_s") else 1.0
            assert getattr(lab, name) == pytest.approx(factor * getattr(OverloadParams(), name))

    def test_scaled_behaves_the_same_on_the_shorter_clock(self) -> None:
        production, lab = Admission(PARAMS, 0.0), Admission(PARAMS.scaled(0.125), 0.0)
        for second in range(1, 200):
            value = HIGH if second < 20 else LOW
            production.update(pressure(value), float(second))
            lab.update(pressure(value), second * 0.125)
            assert lab.state is production.state
            assert lab.refuse_probability == pytest.approx(production.refuse_probability)

    @pytest.mark.parametrize(
        "document, complaint",
        [
            ('{"rise": 0.5}', "0 < fall < rise"),
            ('{"fall": 0}', "0 < fall < rise"),
            ('{"tau_s": 0}', "tau_s 0.0"),
            ('{"ramp_down_s": -1}', "ramp_down_s -1.0"),
            ('{"refuse_after_s": 1}', "needs retry_after_s or more"),
            ('{"tau": 3}', "unknown field `tau`"),
        ],
    )
    def test_senseless_values_are_refused_where_they_are_read(self, document: str, complaint: str) -> None:
        with pytest.raises(msgspec.ValidationError, match=complaint):
            msgspec.json.decode(document, type=OverloadParams)
