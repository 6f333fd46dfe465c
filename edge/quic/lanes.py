"""Which datagrams are read at once and which can wait, so that those who say little are not kept waiting by others.

    of a newcomer                                    waits; its handshake costs milliseconds
    of a connection that has sent few of late        is read at once
    of one that sends many, or has some that wait    waits, for what it sends stays in order

A turn of the owner reads all of what comes first and a little of what waits. When nobody else is there that makes no
difference: the next turn follows at once.
"""

from collections import deque
from dataclasses import dataclass

from edge.quic.counters import Counters
from edge.quic.path import Path
from edge.quic.table import ConnectionRecord

NEWCOMERS_A_TURN, BUSY_A_TURN = 1, 8
MAX_NEWCOMERS, MAX_BUSY = 256, 2048
"""Datagrams that wait; the rest is dropped, and sent again by who means it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """``record`` is None for a newcomer's. ``forwarded``: it came through another node."""

    data: bytes
    path: Path
    record: ConnectionRecord | None
    forwarded: bool


class Lanes:
    """Two queues; ``counters`` tells what did not fit."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._newcomers: deque[Waiting] = deque()
        self._busy: deque[Waiting] = deque()

    def __bool__(self) -> bool:
        return bool(self._newcomers or self._busy)

    def holds_back(self, waiting: Waiting, now: float) -> bool:
        """Whether a datagram waits from now on, or is dropped."""
        record = waiting.record
        if record is None:
            if len(self._newcomers) < MAX_NEWCOMERS:
                self._newcomers.append(waiting)
            else:
                self._counters.dropped_newcomers += 1
            return True
        if not record.waiting and record.prompt.take(1, now):
            return False
        if len(self._busy) < MAX_BUSY:
            record.waiting += 1
            self._busy.append(waiting)
        else:
            self._counters.dropped_excess += 1
        return True

    def take(self) -> list[Waiting]:
        """What is to be read in this turn."""
        taken = [self._newcomers.popleft() for _ in range(min(NEWCOMERS_A_TURN, len(self._newcomers)))]
        for _ in range(min(BUSY_A_TURN, len(self._busy))):
            waiting = self._busy.popleft()
            if waiting.record is not None:
                waiting.record.waiting -= 1
            taken.append(waiting)
        return taken
