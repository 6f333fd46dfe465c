"""What the documentation says about the examples: the first hours of them, until their troubles are over."""

import re
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.cli.simulate import EXAMPLES
from edge.simulate import schema
from edge.simulate.contenders import NAMES
from edge.simulate.run import Run, simulate
from edge.simulate.schema import SimulationFile
from edge.simulate.world import build

SMALL = sorted(set(EXAMPLES) - {"thousand-sites"})


def example(name: str) -> SimulationFile:
    return msgspec.toml.decode(EXAMPLES[name].read_text(), type=SimulationFile)


@pytest.fixture(scope="module", params=SMALL)
def outcomes(request):
    # In the even loads every hour is like the others; elsewhere what happens is over after four.
    hours = 1.5 if request.param.startswith("load") else 4.25
    file = msgspec.structs.replace(example(request.param), hours=hours)
    report = simulate(file, NAMES, lambda: np.random.default_rng(0), seed=0)
    return request.param, dict(zip(NAMES, report.policies, strict=True))


def test_ours_is_never_dark_never_suppressed_by_its_own_doing_and_costs_no_more_calls_than_to_stay(outcomes):
    name, found = outcomes
    ours, none = found["ours"], found["none"]
    assert ours.dark.service_s == ours.dark.ratio == 0
    assert ours.routing.suppressed_nodes == none.routing.suppressed_nodes == int(name == "flapping-link")
    assert ours.calls.dropped_ratio <= none.calls.dropped_ratio + 0.001


def test_naive_goes_dark_flaps_into_suppression_and_loses_more_calls_than_anybody(outcomes):
    """Which shows that the worlds are such that a policy can fail in them."""
    _, found = outcomes
    naive = found["naive"]
    assert naive.dark.service_s > 600
    assert naive.routing.suppressed_nodes > 0.9 * 12
    assert naive.calls.dropped_ratio > max(
        found[name].calls.dropped_ratio for name in NAMES if name != "naive"
    )


def test_hysteresis_alone_loses_more_than_to_do_nothing(outcomes):
    name, found = outcomes
    assert found["hysteresis"].calls.dropped_ratio > found["none"].calls.dropped_ratio + 0.05
    # Only where nearly everybody is overloaded, or a crowd goes round, does it go as far as to be dark.
    if name in {"hot-site", "load-1.0", "load-1.1", "flapping-link"}:
        assert found["hysteresis"].dark.service_s > 0


def test_a_hot_site_is_relieved_by_ours(outcomes):
    name, found = outcomes
    if name == "hot-site":
        assert found["ours"].calls.dropped_ratio < found["none"].calls.dropped_ratio
        assert found["ours"].calls.away_ratio > 0.01


def test_a_thousand_sites_take_less_than_a_minute_a_day():
    """CPU time of two hours, times twelve; a machine may be several times slower than any that this ran on."""
    file = msgspec.structs.replace(example("thousand-sites"), hours=2)
    began = time.process_time()
    run = Run(file, build(file, np.random.default_rng(0)), "ours", np.random.default_rng(0))
    for _ in range(1440):
        run.advance()
    assert (time.process_time() - began) * 12 < 60


def test_the_reference_file_holds_every_key_and_is_valid():
    reference = Path(__file__).parents[3] / "docs" / "reference" / "simulation.toml"
    text = reference.read_text()
    file = msgspec.toml.decode(text, type=SimulationFile)
    tables = [SimulationFile, *(kind for kind in vars(schema).values() if _is_table(kind))]
    for table in tables:
        for field in msgspec.structs.fields(table):
            assert re.search(rf"^\[*{field.name}\b", text, re.MULTILINE), f"{table.__name__}.{field.name}"
    for name in ("calls", "damping", "network", "policy", "overload"):
        shown = getattr(file, name)
        assert shown == type(shown)(), f"[{name}] shows what is not the default"


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, schema.Table)
