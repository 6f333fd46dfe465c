"""What happens, to everybody who listens."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    """Publishes to any number of listeners, each of which gets all from its subscription to the end."""

    def __init__(self) -> None:
        self._queues: list[asyncio.Queue[T | None]] = []
        self._over = False

    def subscribe(self) -> AsyncIterator[T]:
        """From now on; what is published waits until it is taken."""
        queue: asyncio.Queue[T | None] = asyncio.Queue()
        if self._over:
            queue.put_nowait(None)
        self._queues.append(queue)
        return self._take(queue)

    def publish(self, happening: T) -> None:
        for queue in self._queues:
            queue.put_nowait(happening)

    def end(self) -> None:
        """Nothing more will happen; iterations stop behind the last."""
        self._over = True
        for queue in self._queues:
            queue.put_nowait(None)

    async def _take(self, queue: asyncio.Queue[T | None]) -> AsyncIterator[T]:
        try:
            while (happening := await queue.get()) is not None:
                yield happening
        finally:
            self._queues.remove(queue)
