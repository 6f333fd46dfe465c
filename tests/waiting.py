"""Waiting for what tells nobody when it happens, such as another process.

Who only wants to know that it happens is as patient as the slowest machine needs: a wait that is over early costs nothing.
Where the time is part of what is tested, the test says how much.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

PATIENCE_S = 60.0
"""Far more than anything here takes on a machine that is busy, and little beside a run of all tests."""
OFTEN_S, SELDOM_S = 0.005, 0.2


def until(holds: Callable[[], object], what: str = "", timeout_s: float = PATIENCE_S) -> float:
    """Wait until it holds: how many seconds that took. It fails with ``what`` after ``timeout_s``."""
    began = time.monotonic()
    for pause_s in _pauses(began, holds, what, timeout_s):
        time.sleep(pause_s)
    return time.monotonic() - began


async def eventually(holds: Callable[[], object], what: str = "", timeout_s: float = PATIENCE_S) -> float:
    """The same beside other tasks."""
    began = time.monotonic()
    for pause_s in _pauses(began, holds, what, timeout_s):
        await asyncio.sleep(pause_s)
    return time.monotonic() - began


def _pauses(began: float, holds: Callable[[], object], what: str, timeout_s: float) -> Iterator[float]:
    """A twentieth of the time that it has taken so far: some of what is looked at costs a command."""
    while not holds():
        waited_s = time.monotonic() - began
        assert waited_s < timeout_s, f"not within {timeout_s:g} s: {what or 'what is waited for'}"
        yield min(max(OFTEN_S, waited_s / 20), SELDOM_S)
