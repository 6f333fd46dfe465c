"""Keeps the service manager informed: that the workers serve, and in a line how the node stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from edge.runtime.service_manager import ServiceManager

LOOK_S = 1.0
FEEDS = 4
"""In the manager's time. One that is late by half of it is no reason to end a node with its calls."""


async def keep_informed(
    manager: ServiceManager, serves: Callable[[], bool], status: Callable[[], Mapping[str, Any]]
) -> None:
    """For as long as the node runs and there is a manager. The watchdog is fed only while ``serves``: by what every worker's loop last said."""
    interval_s = min(LOOK_S, (manager.watchdog_s or LOOK_S) / FEEDS)
    while manager.is_there:
        if manager.watchdog_s is not None and serves():
            manager.feed()
        manager.status(line(status()))
        await asyncio.sleep(interval_s)


def line(status: Mapping[str, Any]) -> str:
    """``announced; 12 calls, 11 moved; pressure 0.41 (cpu); BGP 2 of 2 up; drained by alice: a new disk``"""
    calls, connections = status["calls"], status["connections"]
    parts = [status["state"]]
    if status["state"] != "announced":
        parts[0] += f" ({status['reason']})"
    parts.append(f"{calls} call{'' if calls == 1 else 's'}, {connections['migrated']} moved")
    parts.append(f"pressure {status['pressure']:.2f} ({status['pressure_signal']})")
    if status["bgp"] is not None:
        sessions = list(status["bgp"]["neighbors"].values())
        parts.append(f"BGP {sessions.count('up')} of {len(sessions)} up")
    if status["drain"] is not None:
        parts.append(f"drain: {status['drain'].phase}, {status['drain'].left} left")
    if status["config"] is not None and status["config"]["changed_on_disk"]:
        parts.append("its file has changed since the start")
    return "; ".join(parts)
