"""Many nodes at once: the bound, the deadline of each, and how it ends when some fail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from edge.errors import (
    DeadlineError,
    EdgeError,
    PartialError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from edge.fleet.reach import Outcome, answers, each, settle


@dataclass(frozen=True)
class Node:
    name: str


NODES = [Node(name) for name in "abcde"]
WELL: Outcome[int] = Outcome(value=1)


def failed(error: EdgeError) -> Outcome[int]:
    return Outcome(error=error)


def test_everybody_is_asked_and_told_in_order() -> None:
    async def name_of(node: Node) -> str:
        # Those that come first answer last.
        for _ in range(10 - NODES.index(node)):
            await asyncio.sleep(0)
        return node.name.upper()

    outcomes = asyncio.run(each(NODES, name_of))
    assert list(answers(outcomes).items()) == [(node.name, node.name.upper()) for node in NODES]
    settle(outcomes)


@pytest.mark.parametrize("parallel", [1, 2, 5])
def test_no_more_at_a_time_than_is_said(parallel: int) -> None:
    at_work, most = 0, 0

    async def work(_: Node) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1

    asyncio.run(each(NODES, work, parallel=parallel))
    assert most == parallel


def test_the_time_of_each_begins_with_its_turn() -> None:
    """One after the other they take longer than one may, and each alone a tenth of it."""
    nodes = [Node(str(number)) for number in range(12)]

    async def work(_: Node) -> bool:
        await asyncio.sleep(0.1)
        return True

    outcomes = asyncio.run(each(nodes, work, parallel=1, timeout_s=1.0))
    assert all(outcome.value for outcome in outcomes.values())


def test_one_that_hangs_is_late_and_the_others_are_not() -> None:
    async def work(node: Node) -> str:
        if node.name == "c":
            await asyncio.Event().wait()
        return node.name

    outcomes = asyncio.run(each(NODES, work, timeout_s=0.05))
    assert isinstance(outcomes["c"].error, DeadlineError)
    assert list(answers(outcomes)) == ["a", "b", "d", "e"]
    with pytest.raises(PartialError, match=r"^1 of 5 nodes failed: c: no answer within 0\.05 s$"):
        settle(outcomes)


def test_a_defect_is_not_an_outcome() -> None:
    async def work(node: Node) -> int:
        return 1 // NODES.index(node)

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(each(NODES, work))
    assert caught.group_contains(ZeroDivisionError)


def test_a_value_that_is_none_is_one() -> None:
    assert answers({"a": Outcome(value=None), "b": failed(EdgeError("no"))}) == {"a": None}


@pytest.mark.parametrize("kind", [UsageError, DeadlineError, UnreachableError, RefusedError, EdgeError])
def test_all_that_fail_alike_end_as_one_of_them_would(kind: type[EdgeError]) -> None:
    with pytest.raises(kind, match=r"^2 of 2 nodes failed: a: gone; b: gone, too$") as caught:
        settle({"a": failed(kind("gone")), "b": failed(kind("gone, too"))})
    assert caught.value.exit_code == kind.exit_code


def test_one_alone_is_not_counted() -> None:
    with pytest.raises(RefusedError, match=r"^a: it is the last$"):
        settle({"a": failed(RefusedError("it is the last"))})


def test_all_that_fail_differently_are_plainly_failed() -> None:
    with pytest.raises(EdgeError) as caught:
        settle({"a": failed(DeadlineError("late")), "b": failed(UnreachableError("gone"))})
    assert caught.value.exit_code == 1


def test_some_that_fail_are_named_and_no_others() -> None:
    with pytest.raises(PartialError, match=r"^1 of 3 nodes failed: b: late$"):
        settle({"a": WELL, "b": failed(DeadlineError("late")), "c": WELL})


def test_what_is_the_same_of_many_is_said_once() -> None:
    late = failed(DeadlineError("no answer within 10 s"))
    outcomes = {"a": late, "b": WELL, "c": failed(UnreachableError("gone")), "d": late}
    with pytest.raises(PartialError, match=r"^3 of 4 nodes failed: a, d: no answer within 10 s; c: gone$"):
        settle(outcomes)
