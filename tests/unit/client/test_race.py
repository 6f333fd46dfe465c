"""edge.client.race: which of several ways wins, when each is tried, and what becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from edge.client.race import first_of
from edge.errors import DeadlineError, EdgeError, RefusedError


def run(world: Any, *ways: tuple[float, str | EdgeError]) -> tuple[str, list[float], list[str]]:
    """Of ways that take so long and lead there: the result, when each was begun, and what was thrown away."""
    begun: list[float] = []
    discarded: list[str] = []

    def way(takes_s: float, outcome: str | EdgeError) -> Callable[[], Coroutine[Any, Any, str]]:
        async def go() -> str:
            begun.append(asyncio.get_running_loop().time())
            await asyncio.sleep(takes_s)
            if isinstance(outcome, EdgeError):
                raise outcome
            return outcome

        return go

    async def main() -> str:
        return await first_of(
            [way(*one) for one in ways], stagger_s=0.3, decisive=(RefusedError,), discard=discarded.append
        )

    return world.run(main), begun, discarded


def test_a_first_way_that_is_quick_is_the_only_one(world: Any) -> None:
    assert run(world, (0.2, "first"), (0.0, "second")) == ("first", [0.0], [])


def test_a_slow_one_is_overtaken(world: Any) -> None:
    result, begun, _ = run(world, (9.0, "first"), (0.1, "second"), (0.0, "third"))
    assert result == "second"
    assert begun == pytest.approx([0.0, 0.3], abs=0.01)


def test_a_failure_lets_the_next_begin_at_once(world: Any) -> None:
    result, begun, _ = run(world, (0.1, DeadlineError("no")), (0.1, "second"))
    assert result == "second"
    assert begun == pytest.approx([0.0, 0.1], abs=0.01)


def test_when_all_fail_the_first_is_told(world: Any) -> None:
    with pytest.raises(DeadlineError, match="first"):
        run(world, (1.0, DeadlineError("first")), (0.1, DeadlineError("second")))


def test_a_refusal_ends_it_whatever_else_is_under_way(world: Any) -> None:
    with pytest.raises(RefusedError):
        run(world, (0.5, RefusedError("busy")), (9.0, "second"))


def test_of_two_at_the_same_moment_one_is_thrown_away(world: Any) -> None:
    result, _, discarded = run(world, (0.35, "first"), (0.05, "second"))
    assert sorted([result, *discarded]) in (["first", "second"], [result])
    assert result not in discarded


def test_who_gives_up_waiting_leaves_nothing_running(world: Any) -> None:
    ended: list[str] = []

    async def forever() -> str:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("cancelled")
        return "never"

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await first_of([forever, forever], stagger_s=0.3, decisive=(), discard=lambda _: None)
        assert ended == ["cancelled", "cancelled"]

    world.run(main)
