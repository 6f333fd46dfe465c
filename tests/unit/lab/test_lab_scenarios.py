"""What stories count with: a miscount here would pass, or fail, every story at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from edge.client.load import LoadReport
from edge.lab.fib import FibWatcher, NextHop, RouteChange
from edge.lab.lab import Lab
from edge.lab.picture import NOWHERE_COLOUR, page
from edge.lab.process import Process
from edge.lab.report import LabReport
from edge.lab.scenarios import SCENARIOS
from edge.lab.scenarios.stage import Stage, load_report, refusals
from edge.lab.topologies import default_topology


def a_stage(tmp_path: Path, tables: dict[str, list[tuple[float, int, tuple[str, ...]]]]) -> Stage:
    """``tables``: for each router when, for which family, and to whom it began to send packets."""
    lab = Lab(default_topology(), tmp_path)
    prefixes = dict(zip((4, 6), lab.anycast_prefixes, strict=True))
    watchers = {}
    for router, changes in tables.items():
        watchers[router] = FibWatcher(router, lab.anycast_prefixes)
        watchers[router].changes += [
            RouteChange(at, router, prefixes[version], tuple(map(NextHop, neighbours)))
            for at, version, neighbours in changes
        ]
    return Stage(lab, cast(Any, None), watchers, cast(Any, None), [])


def test_darkness_is_summed_over_routers_and_families_within_the_time_asked_for(tmp_path: Path) -> None:
    stage = a_stage(
        tmp_path,
        {
            "t1": [(0.0, 4, ("e1",)), (10.0, 4, ()), (12.0, 4, ("t2",)), (0.0, 6, ("e1",))],
            "t2": [(0.0, 4, ("e2", "e3")), (0.0, 6, ("e2",)), (11.0, 6, ())],
        },
    )
    assert stage.dark_s(0.0, 20.0) == 2.0 + 9.0
    assert stage.dark_s(11.0, 13.0) == 1.0 + 2.0
    assert stage.dark_s(0.0, 20.0, ["t1"]) == 2.0


def test_a_departure_is_one_of_that_edge_and_not_of_its_neighbour(tmp_path: Path) -> None:
    stage = a_stage(
        tmp_path,
        {"t2": [(0.0, 4, ("e2", "e3")), (5.0, 4, ("e3",)), (6.0, 4, ("e2", "e3")), (7.0, 4, ("t1",))]},
    )
    assert (stage.departures("e2", 0.0), stage.departures("e3", 0.0)) == (2, 1)
    assert stage.departures("e2", 6.0) == 1


def test_only_moves_that_are_wanted_are_held_back() -> None:
    def condition(name: str, met: bool) -> dict[str, Any]:
        return {"name": name, "met": met}

    ways = [
        {"conditions": [condition("overloaded", True), condition("ledger", False), condition("hold", True)]},
        {"conditions": [condition("calm", False), condition("proof", False)]},
    ]
    assert refusals({"explanation": {"ways": ways}}) == {"ledger"}


@pytest.mark.parametrize("rest", ["", '{"elapsed_s": 3.0, "up"', "Traceback\n"])
def test_the_last_whole_count_of_a_load_is_taken(tmp_path: Path, rest: str) -> None:
    """It is read while it is written, and its log has what it says when it dies."""
    counts = LoadReport(elapsed_s=2.0, up={}, established={}, refused=3, failed=0, lost=0, utterances=0)
    log = tmp_path / "load.log"
    load = cast(Process, SimpleNamespace(log=log))
    log.write_text(rest)
    assert load_report(load) is None
    line = msgspec.json.encode({"kind": "LoadReport"} | msgspec.to_builtins(counts)) + b"\n"
    log.write_bytes(line + rest.encode())
    assert load_report(load) == counts


def test_a_router_that_knows_no_way_is_black_in_the_picture() -> None:
    def sample(t: float, neighbours: list[str]) -> dict[str, Any]:
        fib = {"t1": {"198.51.100.0/24": neighbours}}
        return {"kind": "sample", "t": t, "nodes": {}, "calls": {}, "fib": fib}

    drawing = page(
        LabReport("s", 0, timeline=[sample(0.0, ["t2"]), sample(1.0, []), sample(2.0, ["t2"])]), None
    )
    assert "t1 IPv4" in drawing
    assert f'fill="{NOWHERE_COLOUR}"><title>t1 sends 198.51.100.0/24 to nowhere</title>' in drawing
    assert "t1 sends 198.51.100.0/24 to t2" in drawing


def test_whatever_a_story_must_fail_with_is_an_option_of_the_command_line() -> None:
    assert SCENARIOS["cascade"].failures == {"--policy naive": "dark_s", "--policy hysteresis": "dark_s"}
    assert SCENARIOS["damping"].failures == {"--ledger off": "suppressed"}
    assert SCENARIOS["prepend"].failures == {"--fault deaf-upstream": "moved_at_deprefer"}
