"""One upgrade of a fleet of `rollout_rig`, as a process that can be killed anywhere.

    rollout_driver.py FLEET COUNT VERSION [--resume] [--rollback] [--wheelhouse DIR] [--die STEP] [--die-behind]

Prints the failure, if there is one. With --die it kills itself before what STEP orders, with --die-behind behind it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import sys
import time
from pathlib import Path

from rollout_rig import RigNode

from edge.cli.signals import until_signal
from edge.errors import EdgeError
from edge.fleet.actions import Action, Record
from edge.fleet.carry_out import carry_out
from edge.fleet.crew import Crew
from edge.fleet.leases import Leases
from edge.fleet.operate import Goal, survey
from edge.fleet.operation import Kind
from edge.fleet.plan import Terms, raise_worst
from edge.fleet.planning import Start
from edge.fleet.rollout import Rollout

TTL_S = 3.0
"""Of a lease, so that whoever goes on need not wait for long."""
TERMS = Terms(deadline_s=30.0, soak_s=0.5)


class MortalCrew(Crew):
    """Is killed where it was told to be."""

    die = ""
    behind = False

    async def do(self, action: Action) -> str:
        if isinstance(action, Record) and action.operation.step == self.die and not self.behind:
            problem = await super().do(action)
            os.kill(os.getpid(), signal.SIGKILL)
            return problem
        if not isinstance(action, Record) and type(action).__name__.lower() == self.die and self.behind:
            problem = await super().do(action)
            os.kill(os.getpid(), signal.SIGKILL)
            return problem
        return await super().do(action)


async def upgraded(nodes: list[RigNode], given: argparse.Namespace) -> str:
    ways = {node.name: node.way() for node in nodes}
    leases = Leases(ways, who=given.who, what="a test", timeout_s=30.0, ttl_s=TTL_S, renew_s=TTL_S / 4)
    house = given.wheelhouse
    archive = (lambda: b"") if house is None else house_archive(house, given.version)
    crew = MortalCrew(ways, leases, who=given.who, timeout_s=30.0, archive=archive)
    crew.die, crew.behind = given.die, given.die_behind
    goal = Goal(
        kind=Kind.ROLLBACK if given.rollback else Kind.UPGRADE,
        version="" if given.rollback or given.resume else given.version,
        resume=given.resume,
        wheelhouse=house,
    )
    start = Start(f"op-{secrets.token_hex(4)}", given.who, time.time(), 1)
    members = [node.member for node in nodes]
    async with leases.held():
        await leases.take_all(ways)
        found = await survey(crew, members, goal, start, TERMS)
        raise_worst(found.against)
        rollout = Rollout(found.plan, TERMS, found.fleet)
        await carry_out(rollout, crew, tell=say, poll_s=0.3)
    return "" if rollout.failure is None else str(rollout.failure)


def house_archive(house: Path, version: str):  # type: ignore[no-untyped-def]
    from edge.fleet.wheelhouse import Wheelhouse

    return Wheelhouse(house, version).archive


def say(rollout: Rollout) -> None:
    if rollout.at_work:
        sys.stdout.write(", ".join(f"{name}: {step}" for name, step in rollout.at_work.items()) + "\n")
        sys.stdout.flush()


async def main(given: argparse.Namespace) -> int:
    nodes = [RigNode(f"n{index}", given.fleet / f"n{index}") for index in range(1, given.count + 1)]
    failure: list[str] = []

    async def work() -> None:
        failure.append(await upgraded(nodes, given))

    try:
        await until_signal(work())
    except EdgeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if not failure:
        return 130
    sys.stderr.write(f"{failure[0]}\n")
    return int(bool(failure[0]))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("fleet", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("version")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--rollback", action="store_true")
    parser.add_argument("--wheelhouse", type=Path)
    parser.add_argument("--die", default="")
    parser.add_argument("--die-behind", action="store_true")
    parser.add_argument("--who", default="alice")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parsed())))
