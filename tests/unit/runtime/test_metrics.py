"""The table against Prometheus' conventions, and totals over workers that come and go."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bgp import neighbor, policy, table
from edge.quic.counters import Counters
from edge.runtime import metric_table
from edge.runtime.metric_table import (
    ADMISSION_STATE,
    ALIKE_INFO,
    DATAGRAMS_UNSENT,
    GUARDS,
    METRICS,
    NEIGHBOR_ROLES,
    POLICY_STATES,
    ROUTE_DIVERGENCES,
    SELF_PROBE_DURATION,
    SELF_PROBES,
    WORKER_COUNTERS,
    Counter,
    Histogram,
    Metric,
    State,
)
from edge.runtime.metrics import NodeMetrics, WorkerTotals


def series(metrics: NodeMetrics) -> dict[str, float]:
    """``name{label="value"}`` -> value, as a scraper reads it."""
    return {
        sample.name
        + "".join(f'{{{label}="{value}"}}' for label, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"edge_[a-z0-9]+(_[a-z0-9]+)*", metric.name)
    assert metric.name.endswith("_total") == isinstance(metric, Counter)
    assert metric.unit in ("", "seconds", "ratio", "bytes")
    assert not metric.unit or metric.name.removesuffix("_total").endswith("_" + metric.unit)
    assert metric.help.endswith(".")
    assert "le" not in metric.labels
    if isinstance(metric, Histogram):
        assert list(metric.buckets) == sorted(metric.buckets)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_label_can_name_a_caller(metric: Metric) -> None:
    from_configuration = {label for label, values in metric.labels.items() if isinstance(values, str)}
    assert from_configuration <= {"version", "hash", "prefix", "neighbor", "generation"}


def test_names_are_unique() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_every_declared_metric_is_in_the_table() -> None:
    declared = {value.name for value in vars(metric_table).values() if isinstance(value, Metric)}
    assert declared == {metric.name for metric in METRICS}


def test_worker_totals_fit_the_labels() -> None:
    for counter, values in WORKER_COUNTERS.values():
        counter.check(values)


def test_a_fresh_node_shows_every_counter_at_zero() -> None:
    """A counter that appears with its first step hides that step from rate()."""
    shown = series(NodeMetrics("1.2.3"))
    assert shown['edge_build_info{version="1.2.3"}'] == 1
    for metric in METRICS:
        if isinstance(metric, Counter):
            assert any(name.split("{")[0] == metric.name for name in shown), metric.name
    assert not any(name.endswith("_created") for name in shown)


def test_totals_add_up_over_workers() -> None:
    metrics = NodeMetrics("0")
    metrics.worker_reported(
        0,
        WorkerTotals(
            10, {"frames_heard": 5}, {"migrated": 2, "direct": 1}, calls={"quic": 3}, loop_lag_s=0.5
        ),
    )
    metrics.worker_reported(
        1, WorkerTotals(11, {"frames_heard": 7}, {"migrated": 1}, calls={"quic": 1}, loop_lag_s=0.1)
    )
    metrics.worker_reported(
        1, WorkerTotals(11, {"frames_heard": 8}, {"migrated": 0}, calls={"quic": 0}, loop_lag_s=0.1)
    )
    shown = series(metrics)
    assert shown["edge_frames_heard_total"] == 13
    assert shown['edge_connections{outcome="migrated"}'] == 2
    assert shown['edge_connections{outcome="direct"}'] == 1
    assert shown['edge_connections{outcome="on_anycast"}'] == 0
    assert shown['edge_calls{carrier="quic"}'] == 3
    assert shown["edge_event_loop_lag_seconds"] == 0.5


@pytest.mark.parametrize("noticed", [True, False], ids=["death noticed", "death not noticed"])
def test_a_replaced_worker_neither_lowers_nor_repeats_the_total(noticed: bool) -> None:
    metrics = NodeMetrics("0")
    metrics.worker_reported(0, WorkerTotals(10, {"frames_heard": 100}, {"migrated": 4}, calls={"quic": 4}))
    if noticed:
        metrics.worker_left(0)
        assert series(metrics)['edge_calls{carrier="quic"}'] == 0
        assert series(metrics)['edge_connections{outcome="migrated"}'] == 0
        assert series(metrics)["edge_frames_heard_total"] == 100
    # The successor happens to have counted further than its predecessor already.
    metrics.worker_reported(0, WorkerTotals(12, {"frames_heard": 150}, {"migrated": 1}, calls={"quic": 1}))
    metrics.worker_reported(0, WorkerTotals(12, {"frames_heard": 160}, {"migrated": 1}, calls={"quic": 1}))
    assert series(metrics)["edge_frames_heard_total"] == 260
    assert series(metrics)['edge_calls{carrier="quic"}'] == 1


def test_a_state_is_one_of_several_series() -> None:
    metrics = NodeMetrics("0")
    metrics.set_state(ADMISSION_STATE, "accepting")
    metrics.set_state(ADMISSION_STATE, "refusing")
    shown = {name: value for name, value in series(metrics).items() if name.startswith(ADMISSION_STATE.name)}
    assert [name for name, value in shown.items() if value == 1] == ['edge_admission_state{state="refusing"}']
    assert len(shown) == len(ADMISSION_STATE.states)


def test_closed_labels_are_those_of_the_code_they_speak_of() -> None:
    """The runtime must not import bgp; this is what keeps its words in step."""
    assert {state.value for state in policy.State} == set(POLICY_STATES)
    assert {guard.value for guard in policy.GuardName} == set(GUARDS)
    assert {role.value for role in neighbor.Role} == set(NEIGHBOR_ROLES)
    assert {divergence.value for divergence in table.Divergence} == set(ROUTE_DIVERGENCES.labels["kind"])


def test_every_counter_of_the_endpoint_is_shown() -> None:
    metrics = NodeMetrics("0")
    totals = dict.fromkeys(Counters.__slots__, 1)
    metrics.worker_reported(0, WorkerTotals(1, totals))


def test_a_total_that_falls_neither_ends_the_node_nor_lowers_the_counter() -> None:
    metrics = NodeMetrics("0")
    for frames in (100, 90, 95):
        metrics.worker_reported(0, WorkerTotals(1, {"frames_heard": frames}))
    assert series(metrics)["edge_frames_heard_total"] == 105


def test_of_an_info_there_is_one_at_a_time() -> None:
    """A hash that stays beside its successor would look like two nodes that differ."""
    metrics = NodeMetrics("0")
    for part, hashed in (("service", "aa"), ("members", "bb"), ("members", "cc"), ("members", "cc")):
        metrics.set_info(ALIKE_INFO, part, hashed)
    shown = {name for name in series(metrics) if name.startswith(ALIKE_INFO.name)}
    assert shown == {
        'edge_alike_info{hash="aa"}{part="service"}',
        'edge_alike_info{hash="cc"}{part="members"}',
    }


def test_durations_fall_into_buckets() -> None:
    metrics = NodeMetrics("0")
    metrics.observe(SELF_PROBE_DURATION, 0.03)
    shown = series(metrics)
    assert shown['edge_self_probe_duration_seconds_bucket{le="0.02"}'] == 0
    assert shown['edge_self_probe_duration_seconds_bucket{le="0.04"}'] == 1
    assert shown["edge_self_probe_duration_seconds_sum"] == pytest.approx(0.03)


def test_an_undeclared_series_is_a_bug() -> None:
    metrics = NodeMetrics("0")
    with pytest.raises(ValueError, match="reason='moon'"):
        metrics.increment(DATAGRAMS_UNSENT, "moon")
    with pytest.raises(ValueError, match="zip"):
        metrics.increment(SELF_PROBES)


def test_what_only_newer_workers_count_does_no_harm() -> None:
    """A worker is replaced by one of another version while the supervisor, and this table, stay."""
    metrics = NodeMetrics("0")
    metrics.worker_reported(0, WorkerTotals(1, {"frames_foreseen": 1, "frames_heard": 2}))
    metrics.worker_observed({"foresight_ms": [1.0]})
    assert series(metrics)["edge_frames_heard_total"] == 2


def test_totals_of_a_generation_that_has_left_stay_and_its_gauges_go() -> None:
    metrics = NodeMetrics("0")
    for worker in (0, 1):
        metrics.worker_reported(worker, WorkerTotals(worker, {"frames_heard": 5}, calls={"quic": 1}))
    metrics.workers_left({1})
    shown = series(metrics)
    assert shown["edge_frames_heard_total"] == 10
    assert shown['edge_calls{carrier="quic"}'] == 1


def test_states_are_closed() -> None:
    for metric in METRICS:
        if isinstance(metric, State):
            assert len(metric.states) > 1


def test_two_nodes_in_one_process_do_not_share() -> None:
    one, two = NodeMetrics("1"), NodeMetrics("2")
    one.increment(SELF_PROBES, "ok")
    assert series(two)['edge_self_probes_total{result="ok"}'] == 0
