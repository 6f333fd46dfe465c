"""Leases on several nodes, beside the node's own part of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from edge.errors import EdgeError, RefusedError, UnreachableError
from edge.fleet.leases import Leases
from edge.fleet.transport import Completed
from edge.runtime.admin_client import Answer
from edge.runtime.desk import Desk
from edge.runtime.lease import LeaseRelease, LeaseRequest


class DeskWay:
    """The way to a node of which there is no more than its desk."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir()
        self.desk = Desk(name, directory)
        self.is_silent = False
        self.hangs = asyncio.Event()
        self.taken = 0
        self.renewed = asyncio.Event()
        self.refused = asyncio.Event()

    async def request(
        self, method: str, target: str, body: object = None, *, timeout_s: float, lease: str | None = None
    ) -> Answer:
        if self.is_silent:
            raise UnreachableError("no node is running here")
        if self.hangs.is_set() and target == "/lease":
            await asyncio.Event().wait()
        try:
            if target == "/lease":
                answer = self.desk.take(msgspec.convert(body, LeaseRequest))
                self.taken += 1
                if self.taken > 1:
                    self.renewed.set()
            else:
                answer = self.desk.release(msgspec.convert(body, LeaseRelease))
        except EdgeError as error:
            self.refused.set()
            return Answer(409, {"error": str(error), "exit_code": error.exit_code})
        return Answer(200, msgspec.to_builtins(answer))

    async def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        raise NotImplementedError

    async def close(self) -> None: ...


@pytest.fixture
def ways(tmp_path: Path) -> dict[str, DeskWay]:
    return {name: DeskWay(tmp_path / name, name) for name in ("a", "b")}


def leases(ways: dict[str, DeskWay], who: str, renew_s: float = 60.0) -> Leases:
    return Leases(ways, who=who, what="upgrade 0.2.0", timeout_s=1.0, renew_s=renew_s)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20.0))  # no more than what is far from any real duration


def test_the_second_is_told_and_what_it_took_is_given_back(ways: dict[str, DeskWay]) -> None:
    async def work() -> None:
        mine, other = leases(ways, "alice"), leases(ways, "bob")
        async with mine.held():
            await mine.take("b")
            with pytest.raises(RefusedError, match="b: alice has the lease since"):
                async with other.held():
                    await other.take_all(ways)
            assert ways["a"].desk.holder() is None
        assert ways["b"].desk.holder() is None

    run(work)


def test_they_are_renewed_and_one_that_is_lost_is_noticed(ways: dict[str, DeskWay]) -> None:
    async def work() -> None:
        mine = leases(ways, "alice", renew_s=0.01)
        async with mine.held():
            await mine.take_all(ways)
            await ways["a"].renewed.wait()
            mine.check()
            taken = await mine.token("b")
            ways["b"].desk.release(LeaseRelease(taken))
            ways["b"].desk.take(LeaseRequest("bob", "drain", 60.0))
            ways["b"].refused.clear()
            await ways["b"].refused.wait()
            await asyncio.sleep(0)  # what was refused is now noted
            with pytest.raises(RefusedError, match="bob has the lease"):
                mine.check()
        holder = ways["b"].desk.holder()
        assert holder is not None
        assert holder.who == "bob", "it is not ours to give back"

    run(work)


def test_who_slept_while_another_worked_is_told(ways: dict[str, DeskWay]) -> None:
    """The other has taken the lease that was over, done something, and given it back: nobody has it now."""
    moment = [1000.0]

    async def work() -> None:
        mine = Leases(ways, who="alice", what="upgrade", timeout_s=1.0, wall=lambda: moment[0])
        async with mine.held():
            await mine.take_all(ways)
            ways["a"].desk.release(LeaseRelease(await mine.token("a")))
            other = ways["a"].desk.take(LeaseRequest("bob", "rollback", 60.0))
            ways["a"].desk.release(LeaseRelease(other.token))
            moment[0] += 600.0
            with pytest.raises(RefusedError, match="a: its lease was over, and another operator's meanwhile"):
                await mine.token("a")
            with pytest.raises(RefusedError):
                await mine.token("b")
            with pytest.raises(RefusedError):
                mine.check()
        assert ways["a"].desk.holder() is None

    run(work)


def test_after_a_sleep_a_lease_is_renewed_before_the_next_order(ways: dict[str, DeskWay]) -> None:
    """The loop's clock stands still while a laptop sleeps."""
    moment = [1000.0]

    async def work() -> None:
        mine = Leases(ways, who="alice", what="upgrade", timeout_s=1.0, wall=lambda: moment[0])
        async with mine.held():
            await mine.take_all(ways)
            await mine.token("a")
            assert ways["a"].taken == 1
            moment[0] += 600.0
            await mine.token("a")
            assert ways["a"].taken == 2
            await mine.token("a")
            assert ways["a"].taken == 2

    run(work)


def test_a_node_that_hangs_does_not_cost_the_others_their_leases(ways: dict[str, DeskWay]) -> None:
    async def work() -> None:
        mine = Leases(ways, who="alice", what="upgrade", timeout_s=60.0, renew_s=0.01)
        async with mine.held():
            await mine.take_all(ways)
            ways["a"].hangs.set()
            for _ in range(3):
                ways["b"].renewed.clear()
                await ways["b"].renewed.wait()

    run(work)


def test_a_node_that_was_silent_is_asked_before_its_first_order(ways: dict[str, DeskWay]) -> None:
    async def work() -> None:
        mine = leases(ways, "alice")
        ways["a"].is_silent = True
        async with mine.held():
            await mine.take_all(ways)
            ways["a"].is_silent = False
            token = await mine.token("a")
            ways["a"].desk.check(token, force=False)

    run(work)


def test_the_lease_that_a_dead_node_has_kept_is_waited_for(ways: dict[str, DeskWay]) -> None:
    """It was down when the operation that had it ended; whoever goes on may not be sent away for that."""

    async def work() -> None:
        ways["a"].desk.take(LeaseRequest("alice", "upgrade 0.2.0", 1.0))
        ways["a"].is_silent = True
        mine = leases(ways, "bob")
        async with mine.held():
            await mine.take_all(ways)
            ways["a"].is_silent = False
            ways["a"].desk.check(await mine.token("a"), force=False)
        assert ways["a"].refused.is_set()

    run(work)


def test_the_lease_that_somebody_renews_is_not_waited_for_without_end(ways: dict[str, DeskWay]) -> None:
    async def work() -> None:
        ways["a"].desk.take(LeaseRequest("alice", "upgrade 0.2.0", 60.0))
        mine = Leases(ways, who="bob", what="rollback", timeout_s=1.0, ttl_s=0.2, renew_s=0.2)
        with pytest.raises(RefusedError, match="a: alice has the lease"):
            await mine.token("a")

    run(work)
