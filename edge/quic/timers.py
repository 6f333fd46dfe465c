"""Deadlines of many owners, of which only the nearest matters.

A connection's deadline moves with almost every packet, nearly always further away. Moving it in a heap each
time would cost more than the wake-up it saves. So a deadline is put in the heap only when it is earlier than
all its owner has there; one that has meanwhile moved away wakes the owner for nothing, and the owner says
when to wake it instead. An owner's deadlines in the heap therefore form a stack with the earliest on top, and
the nearest of all may come too early but never too late.
"""

import heapq
from itertools import count
from typing import Generic, Protocol, TypeVar


class Owner(Protocol):
    """Keeps its own stack, so that nothing has to be looked up."""

    deadlines: list[float]


OwnerT = TypeVar("OwnerT", bound=Owner)


class Timers(Generic[OwnerT]):
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, OwnerT]] = []
        self._order = count()

    def arm(self, owner: OwnerT, at: float) -> None:
        """Wake ``owner`` at ``at`` or before. Costs a comparison when it will be woken by then anyway."""
        deadlines = owner.deadlines
        if not deadlines or at < deadlines[-1]:
            deadlines.append(at)
            heapq.heappush(self._heap, (at, next(self._order), owner))

    def next(self) -> float | None:
        """When to look again."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[OwnerT]:
        """Owners whose time has come or may have come, each to be armed again by the caller."""
        owners: dict[int, OwnerT] = {}
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, _, owner = heapq.heappop(heap)
            owner.deadlines.pop()
            owners[id(owner)] = owner
        return list(owners.values())
