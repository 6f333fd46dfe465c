"""A call is hung up at the worst of moments, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from client_calls import call_to

from edge.backend.story import StoryBackend


def tasks_of_the_caller() -> list[str]:
    return [
        repr(task)
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task() and "edge/client" in repr(task)
    ]


def test_an_attempt_that_began_while_counts_were_compared_ends_with_the_call(world: Any) -> None:
    """The connection is lost just then, and the node answers again a moment after the end."""

    async def main() -> None:
        edge = world.edge(backend=StoryBackend)
        call = call_to(world)
        await call.__aenter__()
        await asyncio.sleep(2.0)
        edge.dead = True
        await asyncio.sleep(0.5)
        summary = await call.hang_up(patience_s=3.0)
        edge.dead = False
        assert summary.ending == "lost"
        assert (world.network.open_sockets, tasks_of_the_caller()) == (0, [])
        await asyncio.sleep(5.0)
        assert world.network.open_sockets == 0

    world.run(main)


@pytest.mark.parametrize("dead", [False, True])
def test_hanging_up_that_is_cancelled_ends_the_call_at_once(world: Any, dead: bool) -> None:
    async def main() -> None:
        edge = world.edge(backend=StoryBackend)
        call = call_to(world)
        await call.__aenter__()
        await asyncio.sleep(2.0)
        edge.dead = dead
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await call.hang_up()
        assert call.summary().ending == "hung_up"
        assert (world.network.open_sockets, tasks_of_the_caller()) == (0, [])

    world.run(main)
