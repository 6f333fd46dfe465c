"""Many nodes at once: each has its own deadline, and what one does is no matter to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from edge.errors import DeadlineError, EdgeError, PartialError, RefusedError, UnreachableError, UsageError

PARALLEL = 16
TIMEOUT_S = 10.0

Value = TypeVar("Value")


class Named(Protocol):
    @property
    def name(self) -> str: ...


One = TypeVar("One", bound=Named)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Value]):
    """What came of one node: a value, or why there is none."""

    value: Value | None = None
    error: EdgeError | None = None


async def each(
    nodes: Iterable[One],
    do: Callable[[One], Awaitable[Value]],
    *,
    parallel: int = PARALLEL,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Outcome[Value]]:
    """``do`` for every node, ``parallel`` of them at a time; by name, in the order of ``nodes``.

    A node's time begins with its turn. An `EdgeError` is its outcome; anything else is a defect and raised.
    """
    free = asyncio.Semaphore(parallel)

    async def one(node: One) -> Outcome[Value]:
        async with free:
            try:
                async with asyncio.timeout(timeout_s):
                    return Outcome(value=await do(node))
            except TimeoutError:
                return Outcome(error=DeadlineError(f"no answer within {timeout_s:g} s"))
            except EdgeError as error:
                return Outcome(error=error)

    async with asyncio.TaskGroup() as group:
        tasks = {node.name: group.create_task(one(node)) for node in nodes}
    return {name: task.result() for name, task in tasks.items()}


def answers(outcomes: Mapping[str, Outcome[Value]]) -> dict[str, Value]:
    """Of the nodes that have one."""
    return {name: cast(Value, one.value) for name, one in outcomes.items() if one.error is None}


def settle(outcomes: Mapping[str, Outcome[Value]], what: str = "nodes") -> None:
    """Returns if all went well. Raises `PartialError` naming those that failed if others did not; ``what`` they are. What
    is the same of many is said once.

    If all failed, it is by what they failed: the class that they have in common, else plain `EdgeError`.
    """
    failed = {name: outcome.error for name, outcome in outcomes.items() if outcome.error is not None}
    if not failed:
        return
    alike: dict[str, list[str]] = {}
    for name, error in failed.items():
        # What is told of a socket begins with its path, and that may be its name.
        alike.setdefault(str(error).removeprefix(f"{name}: "), []).append(name)
    told = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in alike.items())
    if len(outcomes) == 1:
        (error,) = failed.values()
        raise type_of([error])(told)
    counted = f"{len(failed)} of {len(outcomes)} {what} failed: {told}"
    raise (PartialError if len(failed) < len(outcomes) else type_of(failed.values()))(counted)


def type_of(errors: Iterable[EdgeError]) -> type[EdgeError]:
    """The class whose exit code all of ``errors`` have."""
    codes = {error.exit_code for error in errors}
    kinds = (UsageError, PartialError, DeadlineError, UnreachableError, RefusedError)
    return next((kind for kind in kinds if codes == {kind.exit_code}), EdgeError)
