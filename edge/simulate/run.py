"""One policy through one world, step by step; and all of them, from the same seed. Pure.

The order within a step: events, decisions, what routers make of them, where calls go, who is let in. A node
decides by what it measured at the end of the step before, and by what it had heard of the others by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edge.simulate.catchment import Catchment, Journeys
from edge.simulate.contenders import contender
from edge.simulate.demand import Demand, Redial
from edge.simulate.fleet import Fleet, Signals
from edge.simulate.happenings import Conditions, Happenings
from edge.simulate.outcome import Outcome, Report
from edge.simulate.record import Record, Step
from edge.simulate.routers import NONE, Routers
from edge.simulate.schema import SimulationFile
from edge.simulate.sites import Servers
from edge.simulate.view import FleetView
from edge.simulate.world import HOUR_S, Floats, Ints, World, build

Progress = Callable[[str, int, int], None]
"""Called with the policy, steps done, and steps in all."""


def _silent(policy: str, done: int, steps: int) -> None: ...


def simulate(
    file: SimulationFile,
    policies: Sequence[str],
    dice: Callable[[], np.random.Generator],
    *,
    seed: int,
    progress: Progress = _silent,
) -> Report:
    """Run each of ``policies``; ``dice`` makes a generator of the seed anew, the same each time."""
    world = build(file, dice())
    outcomes = [Run(file, world, policy, dice()).outcome(progress) for policy in policies]
    capacity = float(world.capacity.sum())
    offered_per_s = outcomes[0].calls.offered / (file.hours * HOUR_S)
    return Report(
        title=file.title,
        about=file.about,
        seed=seed,
        hours=file.hours,
        step_s=file.step_s,
        sites=world.sites,
        nodes=world.nodes,
        populations=world.populations,
        capacity=capacity,
        offered_load=round(offered_per_s * file.calls.duration_s / capacity, 3),
        policies=outcomes,
    )


def steps_of(file: SimulationFile) -> int:
    return max(1, round(file.hours * HOUR_S / file.step_s))


class Run:
    """One policy in one world."""

    def __init__(
        self,
        file: SimulationFile,
        world: World,
        policy: str,
        dice: np.random.Generator,
        *,
        ask_always: bool = False,
    ) -> None:
        rules = contender(policy, file)
        self.fleet = Fleet(rules, file.damping.ledger, world.nodes, dice, ask_always=ask_always)
        self._file, self._world, self._policy = file, world, policy
        self._demand = Demand(file, world)
        self._redial = Redial(file.calls, file.step_s, world.populations)
        self._happenings = Happenings(file, world)
        self._routers = Routers(file.damping.routers, world.nodes, file.step_s)
        self._catchment = Catchment(world, file.step_s)
        self._view = FleetView(world.capacity, file.network.view_delay_s, file.step_s)
        self._servers = Servers(
            world,
            file.overload,
            self._settled_calls(),
            step_s=file.step_s,
            duration_s=file.calls.duration_s,
            shed=rules.sheds,
        )
        self._dead_since: Floats = np.full(world.nodes, np.inf)
        self._told: Ints = self.fleet.routes.copy()
        self._reached: Ints = world.ranking[:, 0]
        self._step = 0
        self._publish(self._happenings.at(0.0), 0.0)

    def outcome(self, progress: Progress) -> Outcome:
        """Run to the end."""
        steps = steps_of(self._file)
        record = Record(self._world, steps, self._file.step_s, self._file.overload.rise)
        for done in range(steps):
            record.add(self.advance())
            progress(self._policy, done + 1, steps)
        return record.outcome(self._policy, self._routers, self._redial.waiting)

    def advance(self) -> Step:
        """One step, and what it has brought."""
        begins = self._step * self._file.step_s
        self._step += 1
        ends = self._step * self._file.step_s

        conditions = self._happenings.at(begins)
        cut = self._bury(conditions, begins)
        self._decide(conditions, begins)
        used = self._route(conditions, begins)
        site_routes = self._servers.best_routes(used)
        targets = self._catchment.follow(site_routes)
        new_calls = self._demand.new_calls(begins)
        journeys = Journeys(self._world, targets, new_calls + self._redial.due())
        arrived = journeys.arrivals()
        served = self._servers.serve(arrived, used, conditions, ends)
        self._publish(conditions, ends)

        somebody = np.where(arrived > 0, arrived, 1.0)
        fates = journeys.fates(served.refused / somebody, served.unanswered / somebody)
        failed = fates.refused + fates.unanswered + fates.no_route
        given_up = self._redial.give_up(failed) / np.where(failed > 0, failed, 1.0)
        moved = int(np.count_nonzero(targets.hearing != self._reached))
        self._reached = targets.hearing
        return Step(
            offered=float(new_calls.sum()),
            carried=float(served.accepted.sum()),
            refused=float(fates.refused @ given_up),
            unanswered=float(fates.unanswered @ given_up),
            no_route=float(fates.no_route @ given_up),
            away=fates.away,
            cut=cut,
            dark=targets.hearing < 0,
            moved=moved,
            site_routes=site_routes,
            pressure=self._servers.gates.pressure,
            suppressed=self._routers.suppressed,
        )

    def _settled_calls(self) -> Floats:
        """[N] what there is in the beginning: everybody at the first choice, as far as that is not overloaded."""
        world, overload = self._world, self._file.overload
        calls = world.peak_calls * self._demand.day(0.0)
        at_site = np.bincount(world.ranking[:, 0], weights=calls, minlength=world.sites)
        nodes = np.bincount(world.node_site, minlength=world.sites)
        between = (overload.rise + overload.fall) / 2
        return np.minimum((at_site / nodes)[world.node_site], between * world.capacity)

    def _bury(self, conditions: Conditions, now: float) -> float:
        """Take note of who died or came back; returns the calls that were cut."""
        died = conditions.dead & np.isinf(self._dead_since)
        risen = ~conditions.dead & np.isfinite(self._dead_since)
        self._dead_since[died] = now
        self._dead_since[risen] = np.inf
        if risen.any():
            nodes = np.flatnonzero(risen)
            self.fleet.restart(nodes)
            self._servers.gates.restart(nodes)
        return self._servers.lose(conditions)

    def _decide(self, conditions: Conditions, now: float) -> None:
        gates = self._servers.gates
        signals = Signals(
            pressure=gates.pressure,
            refusal_ratio=gates.refusal_ratio,
            shedding=gates.shedding,
            load=gates.pressure * self._world.capacity,
            broken=conditions.broken,
            lost=conditions.lost,
        )
        back = self.fleet.decide(signals, self._view, ~conditions.dead, now)
        # As on a node: routing brings everybody back at once; admission lets them in little by little.
        gates.warm_up(back)

    def _route(self, conditions: Conditions, now: float) -> Ints:
        """[N] the routes that are used, after links, hold times, ledgers and damping."""
        fresh = now - self._dead_since < self._file.network.hold_time_s
        held = np.where(fresh, self._told, NONE)
        told = np.where(conditions.dead, held, self.fleet.routes)
        told = np.where(conditions.cut, NONE, told)
        self.fleet.tell(told, now)
        self._told = told
        return self._routers.hear(told)

    def _publish(self, conditions: Conditions, now: float) -> None:
        """What the fleet is told at the end of a step: of a link that is down to the world, nothing."""
        fresh = np.where(conditions.dead, self._told, self.fleet.routes)
        seen = np.where(conditions.lost, NONE, fresh)
        self._view.publish(seen, self._servers.gates.pressure, self.fleet.claims & ~conditions.lost, now)
