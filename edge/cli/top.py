"""edgectl top"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Any, Final

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from edge.cli.choice import parallel, timeout_s
from edge.cli.fleet_table import SORTS, page
from edge.cli.keyboard import keys
from edge.cli.looking import Look, look_at, status_of, wanted
from edge.cli.moments import Span
from edge.cli.screen import console, show
from edge.cli.session import session
from edge.cli.top_screen import screen
from edge.cli.where import Choice, Place, nodes_argument
from edge.fleet.observed import Wanted
from edge.fleet.reach import Outcome, each

REDRAW_S: Final = 0.25
"""At most so often, however many nodes answer."""

SORT_KEYS: Final = {sort[0]: sort for sort in SORTS}


@click.command(epilog="For example: edgectl top --site ams --sort calls")
@nodes_argument
@click.option(
    "--interval",
    "interval_s",
    type=Span(),
    default="2s",
    show_default=True,
    help="Ask each node again so long after it has answered.",
)
@click.option("--sort", type=click.Choice(list(SORTS)), default="trouble", show_default=True)
@click.option(
    "--count", type=click.IntRange(1), help="End after so many looks; without a terminal, one page each."
)
def top(choice: Choice, interval_s: float, sort: str, count: int | None) -> None:
    """Watch the nodes live: what is wrong, routes, pressure, calls, and the share of them that has migrated.

    Keys: q quits; t, n, s, p and c sort by trouble, name, site, pressure and calls; j and k, or the arrows, scroll. Each
    node is asked for itself, so that one that hangs holds up none. Without a terminal the same is printed page by page.
    """
    with session() as talk:
        talk.run(_Top(choice, interval_s, sort, count).run())


class _Top:
    def __init__(self, choice: Choice, interval_s: float, sort: str, count: int | None) -> None:
        self._choice = choice
        self._interval_s = interval_s
        self._sort = sort
        self._left = count
        self._wants: Mapping[str, Wanted] = wanted(choice)
        self._free = asyncio.Semaphore(parallel())
        self._outcomes: dict[str, Outcome[Any]] = {}
        self._offset = 0
        self._quit = asyncio.Event()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        follow = self._live if sys.stdout.isatty() and sys.stdin.isatty() else self._pages
        async with asyncio.TaskGroup() as group:
            watchers = [group.create_task(self._watch(place)) for place in self._choice.places]
            try:
                await follow()
            finally:
                for watcher in watchers:
                    watcher.cancel()

    async def _watch(self, place: Place) -> None:
        while True:
            async with self._free:
                self._outcomes |= await each([place], status_of, timeout_s=timeout_s())
            self._changed.set()
            await asyncio.sleep(self._interval_s)

    async def _everybody(self) -> None:
        """Until each node has answered once, or has not in its time."""
        while len(self._outcomes) < len(self._choice.places):
            self._changed.clear()
            await self._changed.wait()

    def _look(self) -> Look:
        found = {
            place.name: self._outcomes[place.name]
            for place in self._choice.places
            if place.name in self._outcomes
        }
        return look_at(self._choice, self._wants, found)

    async def _pages(self) -> None:
        while True:
            await self._everybody()
            show(page(self._look(), self._sort))
            click.echo()
            if self._counted():
                return
            await asyncio.sleep(self._interval_s)

    async def _live(self) -> None:
        out = console()
        with keys(self._pressed), Live(console=out, screen=True, auto_refresh=False) as live:
            while not self._quit.is_set():
                live.update(self._drawn(*out.size), refresh=True)
                if self._outcomes and self._counted():
                    return
                self._changed.clear()
                # The clock goes on, and so does what is told of times, also while nobody answers.
                await _first(self._quit.wait(), self._changed.wait(), asyncio.sleep(max(1.0, REDRAW_S)))
                await _first(self._quit.wait(), asyncio.sleep(REDRAW_S))

    def _drawn(self, width: int, height: int) -> Group:
        if not self._outcomes:
            return Group(Text(f"asking {len(self._choice.places)} nodes ..."))
        return Group(*screen(self._look(), sort=self._sort, offset=self._offset, width=width, height=height))

    def _pressed(self, key: str) -> None:
        match key:
            case "q":
                self._quit.set()
            case "j":
                self._offset = min(self._offset + 1, len(self._choice.places) - 1)
            case "k":
                self._offset = max(0, self._offset - 1)
            case _ if key in SORT_KEYS:
                self._sort, self._offset = SORT_KEYS[key], 0
        self._changed.set()

    def _counted(self) -> bool:
        """Whether that was the last look."""
        if self._left is not None:
            self._left -= 1
        return self._left == 0


async def _first(*work: Any) -> None:
    """Until one of them is done; the others are over then, too."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
