"""What the node's changes have cost with its upstreams, kept over restarts, and what a node that kept dying must wait.

The ledger counts what neighbors hear, not what was asked for: an acknowledged route counts while its session is up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from bgp.clocks import Clocks
from bgp.ledger import Allowance
from bgp.ledger_file import LedgerFile
from bgp.neighbor import Advertisement
from bgp.route import Address, Prefix
from bgp.speaker import SpeakerEvent, SpeakerLost
from bgp.starts import StartLog
from bgp.state_file import StateFileError
from bgp.table import NeighborChanged, RouteAcknowledged
from edge.config import NodeConfig
from edge.config.schema import Bgp
from edge.runtime.documents import LedgerEntry

log = logging.getLogger("edge.costs")

RETRY_S = 10.0
"""After the disk refused to keep something."""


class Costs:
    """The ledger and the log of starts of one node. Times are of the event loop's clock."""

    def __init__(self, config: NodeConfig, bgp: Bgp, now: float) -> None:
        directory, clocks = config.state.directory, Clocks.read()
        self._damping = {
            session.address: neighbor.damping
            for neighbor, session in zip(bgp.neighbors, bgp.sessions(), strict=True)
            if neighbor.role == "upstream"
        }
        self._carried = {
            (session.address, route.prefix)
            for session in bgp.sessions()
            for route in bgp.routes()
            if session.advertisement(route) is not None
        }
        prefixes = [route.prefix for route in bgp.routes()]
        self._ledger_file = LedgerFile(directory / "ledger.json")
        self._ledger, problem = self._ledger_file.load(self._damping, prefixes, clocks=clocks, now=now)
        if problem:
            log.warning('event=ledger_damaged problem="%s" assumed="every budget is used up"', problem)
        self._start_log = StartLog(
            directory / "starts.json", delays_s=config.restart.delays_s, stable_s=config.restart.stable_s
        )
        start = self._start_log.begin(clocks)
        if start.problem:
            log.warning('event=start_log_damaged problem="%s"', start.problem)
        if start.wait_s:
            log.warning("event=crash_loop announces_in_s=%.0f", start.wait_s)
        self._announce_from = now + start.wait_s
        self._stable_from = now + start.stable_after_s
        self._told: defaultdict[Address, dict[Prefix, Advertisement]] = defaultdict(dict)
        self._up: set[Address] = set()
        self._is_kept = False
        self._keep_from = now
        self._keeping: asyncio.Future[bool] | None = None

    def start_wait_s(self, now: float) -> float:
        """How long a node that kept dying still waits before it announces."""
        return max(0.0, self._announce_from - now)

    def allowance(self, now: float) -> Allowance:
        return self._ledger.allowance(now)

    def penalties(self, now: float) -> dict[tuple[Address, Prefix], float]:
        """What each upstream is supposed to have counted: nothing where it does not count."""
        known = self._ledger.penalties(now)
        return {key: known.get(key, 0.0) for key in self._carried if key[0] in self._damping}

    def entries(self, now: float) -> tuple[LedgerEntry, ...]:
        """The accounts, for people."""
        return tuple(
            LedgerEntry(
                prefix=str(standing.prefix),
                neighbor=str(standing.neighbor),
                penalty=standing.penalty,
                budget=standing.budget,
                profile=self._damping[standing.neighbor],
                suppressed_likely=standing.reuse_in_s > 0,
            )
            for standing in self._ledger.standings(now)
            if (standing.neighbor, standing.prefix) in self._carried
        )

    def take(self, event: SpeakerEvent, now: float) -> None:
        """Charge what a neighbor hears differently by this event."""
        ledger = self._ledger
        match event:
            case RouteAcknowledged(neighbor=neighbor, prefix=prefix, advertisement=advertisement):
                told = self._told[neighbor]
                if advertisement is None:
                    told.pop(prefix, None)
                else:
                    told[prefix] = advertisement
                changed = neighbor in self._up and ledger.heard(neighbor, prefix, advertisement, now)
            case NeighborChanged(neighbor=neighbor, is_up=True):
                self._up.add(neighbor)
                told = self._told[neighbor]
                changed = bool(
                    sum(ledger.heard(neighbor, prefix, heard, now) for prefix, heard in told.items())
                )
            case NeighborChanged(neighbor=neighbor):
                self._up.discard(neighbor)
                changed = ledger.session_lost(neighbor, now)
            case SpeakerLost():
                self._told.clear()
                changed = False
            case _:
                return
        if changed:
            self._is_kept = False
            self.keep(now)

    def keep(self, now: float) -> None:
        """Write what has changed, if nothing is being written. The disk may be slow: that is a thread's business."""
        if self._keeping is not None:
            return
        if self._stable_from <= now:
            self._stable_from = float("inf")
            self._keep(partial(self._start_log.stable, Clocks.read()))
        elif not self._is_kept and now >= self._keep_from:
            self._is_kept = True
            self._keep(self._saving(now))

    def _keep(self, save: Callable[[], None]) -> None:
        self._keeping = asyncio.get_running_loop().run_in_executor(None, _tried, save)
        self._keeping.add_done_callback(self._tried_to_keep)

    def _tried_to_keep(self, keeping: asyncio.Future[bool]) -> None:
        self._keeping = None
        if not keeping.result():
            self._is_kept = False
            self._keep_from = asyncio.get_running_loop().time() + RETRY_S

    def _saving(self, now: float) -> Callable[[], None]:
        return partial(self._ledger_file.save, self._ledger.state(now), Clocks.read())

    async def close(self) -> None:
        """The node stops because it was asked to."""
        if self._keeping is not None:
            await self._keeping
        _tried(self._saving(asyncio.get_running_loop().time()))
        _tried(partial(self._start_log.clean_stop, Clocks.read()))


def _tried(save: Callable[[], None]) -> bool:
    try:
        save()
        return True
    except StateFileError as error:
        # The node goes on: it remembers less after its next start, and routes matter more than files.
        log.error('event=state_not_kept problem="%s"', error)
        return False
