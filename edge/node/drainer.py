"""Emptying the node: `edge.drain` decides, this has the workers do it and keeps the report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from bgp.view import NO_VIEW
from edge.config import NodeConfig
from edge.config.fleet_file import FleetFile
from edge.drain import Account, Ask, Close, Drain, Entry, Evidence, Fate, Phase, Seen, spread
from edge.node.control import Control
from edge.node.elsewhere import candidates
from edge.node.routing import Routing
from edge.quic import BEHIND_NLB
from edge.runtime import metric_table as metric
from edge.runtime.documents import DrainedCall, DrainReport, DrainStatus
from edge.runtime.holds import Draining, Hold
from edge.runtime.messages import CallRecord, HandOver
from edge.runtime.metrics import NodeMetrics
from edge.runtime.supervisor import Supervisor

log = logging.getLogger("edge.drain")

LOOK_S: Final = 0.5
NONE: Final = "none"
ENDED: Final = "ended"


class Drainer:
    """At most one drain. Times are of the event loop's clock, but for ``wall``."""

    def __init__(self, config: NodeConfig, control: Control, metrics: NodeMetrics) -> None:
        self._config = config
        self._control = control
        self._metrics = metrics
        self._ordered: Draining | None = None
        self._drain: Drain | None = None
        self._account = Account()
        self._shown = NONE
        self._since = 0.0
        self._hand_over = True
        self._names: dict[str, str] = {}
        self._pids: dict[int, int] = {}
        self._asks = False  # workers may still be about it
        metrics.set_state(metric.DRAIN_PHASE, NONE)

    @property
    def is_draining(self) -> bool:
        return self._drain is not None

    def follow(self, hold: Hold | None, *, now: float, wall: float) -> None:
        """Begin, change or end the drain as the hold in force at this moment says."""
        ordered = hold.drain if hold is not None else None
        if ordered == self._ordered:
            return
        self._ordered = ordered
        if ordered is None:
            self._drain = None
            self._control.let_in(True, now)
            log.info("event=drain_ended phase=%s left=%d", self._shown, self._account.left)
            self._show(ENDED, now)
            self._metrics.set_state(metric.DRAIN_PHASE, NONE)
            return
        deadline = None if ordered.deadline is None else now + (ordered.deadline - wall)
        self._hand_over = ordered.hand_over
        if self._drain is not None:
            self._drain.deadline, self._drain.hand_over = deadline, ordered.hand_over
            return
        params = self._config.drain
        if self._config.bgp is None and self._config.cid.profile != BEHIND_NLB:
            # Nobody was ever told. A balancer asks, and sends newcomers until it has been told twice.
            params = msgspec.structs.replace(params, settle_s=0.0)
        self._drain = Drain(params, now, hand_over=ordered.hand_over, deadline=deadline)
        self._account = Account()
        self._show(Phase.WITHDRAWING, now)

    async def look(
        self, supervisor: Supervisor, routing: Routing | None, fleet: FleetFile | None, now: float
    ) -> None:
        """See how far it is, and do what comes next. Call it every `LOOK_S`."""
        drain, workers = self._drain, supervisor.workers
        if self._asks and (drain is None or drain.phase is not Phase.HANDING_OVER):
            self._asks = False
            for worker in workers:
                worker.call_off("drain")
        if drain is None:
            return
        answers = await asyncio.gather(*(worker.calls() for worker in workers))
        if drain is not self._drain:
            return  # it was ended, or another has begun, while the workers were counting
        closing = drain.phase is Phase.CLOSING
        self._note_deaths(supervisor)
        for worker, records in zip(workers, answers, strict=True):
            if records is not None:
                seen = map(_seen, records)
                self._tell(self._account.take(worker.slot, seen, self._names, closing=closing))
        evidence = Evidence(
            withdrawn=routing is None or routing.is_withdrawn,
            visible=None if routing is None else routing.is_visible(now),
            calls=max(self._account.left, _reported(supervisor)),
        )
        step = drain.update(evidence, now)
        self._control.let_in(drain.admits, now)
        self._show(drain.phase, now)
        match step:
            case Ask(within_s):
                self._ask(within_s, supervisor, routing, fleet, now)
            case Close():
                for worker in supervisor.workers:
                    worker.close_calls("the node is drained, and its time is over")

    def _note_deaths(self, supervisor: Supervisor) -> None:
        pids = {
            worker.slot: worker.process.pid for worker in supervisor.workers if worker.process is not None
        }
        for slot, pid in self._pids.items():
            if pids.get(slot) != pid:
                self._tell(self._account.worker_died(slot))
        self._pids = pids

    def _ask(
        self,
        within_s: float,
        supervisor: Supervisor,
        routing: Routing | None,
        fleet: FleetFile | None,
        now: float,
    ) -> None:
        others = NO_VIEW if routing is None else routing.others(now)
        seen = () if routing is None else routing.nodes_seen(now)
        targets = spread(candidates(self._config, fleet, seen, reliable=not others.problem))
        self._names |= {url: one.node for one in targets for url in (one.v4, one.v6) if url is not None}
        log.info(
            "event=drain_asks calls=%d within_s=%.1f nodes=%s",
            *(self._account.left, within_s, ",".join(sorted({one.node for one in targets}))),
        )
        self._asks = True
        for number, worker in enumerate(supervisor.workers):
            first = number % len(targets)  # or all of them would begin with the same node
            turns = (*targets[first:], *targets[:first])
            worker.hand_over(
                HandOver(
                    urls=[one.v4 for one in turns],
                    urls_v6=[one.v6 for one in turns],
                    reason="drain",
                    within_ms=int(within_s * 1000),
                    leave=True,
                )
            )

    def _tell(self, changed: Iterable[Entry]) -> None:
        for entry in changed:
            log.info(
                "event=call_drained call=%s fate=%s node=%s took_ms=%s frames_missing=%s",
                *(entry.call_id, entry.fate, entry.node, entry.took_ms, entry.frames_missing),
            )
            if entry.fate in metric.HANDOVERS:
                self._metrics.increment(metric.HANDOVERS_DONE, entry.fate)

    def _show(self, phase: str, now: float) -> None:
        if phase == self._shown:
            return
        if phase != ENDED:
            log.info("event=drain_phase from=%s to=%s calls=%d", self._shown, phase, self._account.left)
            self._metrics.set_state(metric.DRAIN_PHASE, phase)
        self._shown, self._since = str(phase), now

    # --- what an operator sees ----------------------------------------------------------------------------

    def problem(self) -> str:
        """What ``/readyz`` says of it; empty if the node is not drained."""
        if not self.is_draining:
            return ""
        left = self._account.left
        return f"draining ({self._shown}): {left or 'no'} call{'' if left == 1 else 's'} left"

    def status(self, now: float) -> DrainStatus | None:
        """None if the node is not drained."""
        return self._status(now) if self.is_draining else None

    def report(self, now: float) -> DrainReport:
        """Of this drain, or of the last one."""
        return DrainReport(
            node=str(self._config.node.name),
            drain=self._status(now),
            calls=tuple(
                DrainedCall(**{**msgspec.structs.asdict(entry), "fate": str(entry.fate)})
                for entry in self._account
            ),
        )

    def _status(self, now: float) -> DrainStatus:
        deadline = None if self._drain is None else self._drain.deadline
        return DrainStatus(
            phase=self._shown,
            since_s=now - self._since,
            hand_over=self._hand_over,
            deadline_in_s=None if deadline is None else deadline - now,
            left=self._account.left,
            fates={str(fate): count for fate, count in self._account.counts().items()},
        )


_FATES: Final[Mapping[str, Fate]] = {
    "asked": Fate.ASKED,
    "left": Fate.ASKED,
    "refused": Fate.REFUSED,
}
"""Of a call that is up. One that has moved and is up has done so within this node."""


def _reported(supervisor: Supervisor) -> int:
    """Calls by what the workers report now and then, as ``/status`` counts them. A node is not called empty while one of
    its documents still tells of a call, nor when a worker is too slow to say which calls it has.
    """
    return sum(int(worker.report.load.calls) for worker in supervisor.workers if worker.report is not None)


def _seen(record: CallRecord) -> Seen:
    """What a worker's record means."""
    was_let_go = record.hand_over_ms is not None
    if not record.ended:
        fate = _FATES.get(record.hand_over, Fate.STAYS)
    else:
        fate = Fate.MOVED if record.hand_over == "moved" and was_let_go else Fate.ENDED
    return Seen(
        call_id=record.call_id,
        fate=fate,
        to=record.hand_over_url or "",
        took_ms=record.hand_over_ms,
        frames_missing=record.frames_lost if was_let_go else None,
    )
