"""edge.client.load: many callers, counted by what became of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge.client.load import Load, LoadReport, Profile
from edge.overload import Verdict
from edge.runtime.dialer import Target


def target(world: Any) -> Target:
    return Target(host="voice.example", ca=world.authority.ca)


@pytest.mark.parametrize("profile", list(Profile))
def test_calls_arrive_over_the_ramp_stay_and_leave(world: Any, profile: Profile) -> None:
    reports: list[LoadReport] = []

    async def main() -> LoadReport:
        edge = world.edge()
        load = Load(target(world), calls=10, ramp_s=5, hold_s=5.5, profile=profile)
        await load.run(reports.append)
        await asyncio.sleep(2)
        assert len(edge.calls) == 0
        return load.report()

    totals = world.run(main)
    ups = [report.up.get("a1", 0) for report in reports]
    assert ups[:5] == sorted(ups[:5])
    assert ups[1] < 6
    assert ups[5:10] == [10] * 5
    assert [round(report.elapsed_s) for report in reports] == list(range(1, 11))
    assert (totals.established, totals.refused, totals.failed, totals.lost) == ({"a1": 10}, 0, 0, 0)
    assert totals.up == {}
    if profile is Profile.IDLE:
        assert totals.utterances == 0
    else:
        assert totals.utterances >= 10


def test_who_is_refused_dials_again(world: Any) -> None:
    async def main() -> LoadReport:
        edge = world.edge()
        edge.verdict = Verdict.REFUSE
        asyncio.get_running_loop().call_later(3.5, setattr, edge, "verdict", Verdict.ACCEPT)
        load = Load(target(world), calls=4, ramp_s=0, hold_s=8, profile=Profile.IDLE)
        await load.run()
        return load.report()

    totals = world.run(main)
    assert 4 * 3 <= totals.refused <= 4 * 4
    assert totals.established == {"a1": 4}


def test_who_is_cut_off_is_counted_lost_and_lands_on_the_next_node(world: Any) -> None:
    async def main() -> LoadReport:
        first = world.edge("a1", "203.0.113.2")
        second = world.edge("a2", "203.0.113.6")
        first.announce()
        loop = asyncio.get_running_loop()
        loop.call_later(2, second.announce)
        loop.call_later(2.1, first.restart)
        load = Load(target(world), calls=5, ramp_s=0, hold_s=10)
        await load.run()
        return load.report()

    totals = world.run(main)
    assert totals.lost == 5
    assert totals.established == {"a1": 5, "a2": 5}


def test_nobody_there_is_a_failure_and_not_a_refusal(world: Any) -> None:
    async def main() -> LoadReport:
        load = Load(target(world), calls=2, ramp_s=0, hold_s=8)
        await load.run()
        return load.report()

    totals = world.run(main)
    assert (totals.failed, totals.refused, totals.established) == (2, 0, {})


def test_stopping_it_hangs_up_every_call(world: Any) -> None:
    async def main() -> LoadReport:
        edge = world.edge()
        load = Load(target(world), calls=10, ramp_s=4, hold_s=60)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(10)
        assert len(edge.calls) == 10
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.sleep(1)
        assert len(edge.calls) == 0
        return load.report()

    totals = world.run(main)
    assert (totals.up, totals.lost) == ({}, 0)
