"""Admission over arrays is the admission of a node."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.overload import Admission, AdmissionState, Capacity, LoadSample, OverloadParams, PressureGauge
from edge.simulate.gates import Gates

CALLS = 100.0
NAMES = [AdmissionState.ACCEPTING, AdmissionState.RETRYING, AdmissionState.REFUSING]


@given(
    loads=st.lists(st.tuples(st.integers(0, 130), st.integers(1, 40)), min_size=1, max_size=12),
    step_s=st.sampled_from([1.0, 2.0, 5.0]),
    newcomers=st.integers(0, 50),
    warm_up_at=st.integers(0, 60),
)
def test_arrays_and_objects_agree_step_by_step(loads, step_s, newcomers, warm_up_at):
    params = OverloadParams()
    gauge = PressureGauge(Capacity(calls=CALLS), params.tau_s)
    admission = Admission(params, 0.0)
    first = loads[0][0] / CALLS
    gauge.update(LoadSample(calls=loads[0][0]), 0.0)
    gates = Gates(params, np.array([first, 0.5]), step_s)
    steps = [calls for calls, lasts in loads for _ in range(lasts)]
    for step, calls in enumerate(steps, 1):
        now = step * step_s
        refused = newcomers // 2
        admission.count(refused, newcomers, now)
        pressure = gauge.update(LoadSample(calls=calls), now)
        admission.update(pressure, now)
        gates.count(np.array([refused, 0.0]), np.array([newcomers, 1.0]))
        gates.update(np.array([calls / CALLS, 0.5]), now)
        if step == warm_up_at:
            admission.warm_up()
            gates.warm_up(np.array([0]))
        assert gates.pressure[0] == pytest.approx(pressure.value, abs=1e-9)
        assert NAMES[gates._state[0]] is admission.state
        assert gates.refuse_probability[0] == pytest.approx(admission.refuse_probability, abs=1e-9)
        assert gates.refusal_ratio[0] == pytest.approx(admission.refusal_ratio(now))
        assert bool(gates.shedding[0]) is (admission.state is not AdmissionState.ACCEPTING)
    assert not gates.shedding[1]


def test_who_does_not_shed_refuses_only_when_full():
    gates = Gates(OverloadParams(), np.array([0.99]), 5.0, shed=False)
    for step in range(1, 50):
        gates.update(np.array([0.99]), step * 5.0)
    assert gates.refuse_probability.tolist() == [0]
    gates.update(np.array([1.0]), 250.0)
    assert gates.refuse_probability.tolist() == [1]
