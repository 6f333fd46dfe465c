"""The calls of one worker, whatever they run on.

Whoever reads a wire says `begin` when a carrier stands, wakes its call when something has arrived, and says `ended`
when it is over. A step of the worker is a `turn`: every call that has something to do does it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable

from edge.quic.timers import Timers
from edge.runtime.call import TOTALS, Call, CallSettings
from edge.runtime.carriers import Carrier
from edge.runtime.messages import CallRecord
from edge.voice import Code
from edge.voice.events import ReconnectRequested

log = logging.getLogger("edge.calls")

MIN_TIMER_S = 0.001
REMEMBERED = 256  # ended calls that can still be asked about


class CallTable:
    """``call_ids`` makes a new one each time it is called."""

    def __init__(self, settings: CallSettings, call_ids: Callable[[], str]) -> None:
        self._settings = settings
        self._call_ids = call_ids
        self._calls: dict[Call, None] = {}
        self._awake: dict[Call, None] = {}
        self._timers: Timers[Call] = Timers()
        self._ended: deque[CallRecord] = deque(maxlen=REMEMBERED)
        self._endings: set[asyncio.Task[None]] = set()
        self._totals = Counter(dict.fromkeys(TOTALS, 0))

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, carrier: Carrier, *, confirmed: bool = True) -> Call:
        """A caller is there. Not ``confirmed``: what it says first may be a replay, until `Call.confirm`."""
        call = Call(self._settings, carrier, self._call_ids(), self._reconnect)
        if confirmed:
            call.confirm()
        self._calls[call] = None
        self.wake(call)
        return call

    def wake(self, call: Call) -> None:
        """Something has happened to ``call``."""
        if call in self._calls:
            self._awake[call] = None

    def ended(self, carrier: Carrier, code: int, reason: str, *, by_peer: bool, by_application: bool) -> None:
        """Its connection is over. A call that nobody has hung up waits for its caller to come back."""
        call = carrier.call
        if call is None:
            return
        hung_up = by_application and code != Code.GOING_AWAY
        if not hung_up and call.detach():
            log.info('event=call_detached call=%s code=%d reason="%s"', call.call_id, code, reason)
            self.wake(call)
            return
        log.info(
            'event=call_ended call=%s carrier=%s code=%d by_peer=%s reason="%s"',
            call.call_id,
            carrier.name,
            code,
            by_peer,
            reason,
        )
        self._end(call)

    def turn(self, now: float) -> None:
        """Let every call that has something to do take its turn. Call it before asking what to send."""
        for call in self._timers.due(now):
            if call not in self._calls:
                continue
            if call.handle_timer(now):
                self._awake[call] = None
            else:
                log.info('event=call_ended call=%s reason="its caller did not come back"', call.call_id)
                self._end(call)
        while self._awake:
            call, _ = self._awake.popitem()
            call.turn(now)
            at = call.get_timer()
            if at is not None and call in self._calls:
                self._timers.arm(call, max(at, now + MIN_TIMER_S))

    def get_timer(self) -> float | None:
        """When to call `turn`, if nothing happens before."""
        return self._timers.next()

    def _reconnect(self, newcomer: Call, event: ReconnectRequested) -> bool:
        call = next((one for one in self._calls if one.is_resumed_by(event.resume_token)), None)
        carrier = newcomer.carrier
        if call is None or carrier is None:
            return False
        self._calls.pop(newcomer, None)
        newcomer.carrier = None
        call.attach(carrier, event.item, event.frames)
        self.wake(call)
        return True

    def _end(self, call: Call) -> None:
        del self._calls[call]
        self._awake.pop(call, None)
        self._ended.append(call.record(ended=True))
        self._totals.update(call.totals())
        ending = asyncio.create_task(call.end())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def counters(self) -> dict[str, int]:
        """Totals over all calls since the worker began; they only grow."""
        totals = Counter(self._totals)
        for call in self._calls:
            totals.update(call.totals())
        return dict(totals)

    def by_carrier(self) -> dict[str, int]:
        """How many calls are up on each kind of carrier."""
        return dict(Counter(call.carrier_name for call in self._calls))

    def records(self) -> list[CallRecord]:
        """The last calls that ended, then those that are up."""
        return [*self._ended, *(call.record(ended=False) for call in self._calls)]

    def say_goodbye(self, reason: str) -> None:
        """Hang up every call."""
        for call in list(self._calls):
            if call.carrier is not None:
                call.carrier.close(Code.GOING_AWAY, reason)

    async def close(self) -> None:
        """Give every call's backend back."""
        await asyncio.gather(*(call.end() for call in self._calls), *self._endings)
