"""Several ways to the same end, tried one behind the other until one has led there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from edge.errors import EdgeError

T = TypeVar("T")


async def first_of(
    ways: Sequence[Callable[[], Coroutine[Any, Any, T]]],
    *,
    stagger_s: float,
    decisive: tuple[type[EdgeError], ...],
    discard: Callable[[T], None],
) -> T:
    """What the first way to succeed has led to.

    Each is tried ``stagger_s`` after the one before, or as soon as that has failed. A failure that is ``decisive``
    would be that of the others, too, and is raised at once; else that of the first way is, when all have failed.
    Whatever a way still leads to when another has won is given to ``discard``.
    """
    running: list[asyncio.Task[T]] = []
    winner: asyncio.Task[T] | None = None
    untried = list(ways)
    try:
        while True:
            if untried:
                running.append(asyncio.create_task(untried.pop(0)()))
            pending = [task for task in running if not task.done()]
            await asyncio.wait(
                pending, timeout=stagger_s if untried else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in [task for task in running if task.done()]:
                error = task.exception()
                if error is None:
                    winner = task
                    return task.result()
                if not isinstance(error, EdgeError) or isinstance(error, decisive):
                    raise error
            if not untried and all(task.done() for task in running):
                first = running[0].exception()
                assert first is not None
                raise first
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for task in running:
            if task is not winner and not task.cancelled() and task.exception() is None:
                discard(task.result())
