"""The calls of one worker, whatever they run on.

Whoever reads a wire says `begin` when a carrier stands, wakes its call when something has arrived, and says `ended`
when it is over. A step of the worker is a `turn`: every call that has something to do does it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from edge.keys import KeyRing
from edge.overload.clients import Shares, client_of
from edge.quic.timers import Timers
from edge.runtime.call import TOTALS, Call
from edge.runtime.call_settings import CallSettings
from edge.runtime.carriers import Carrier
from edge.runtime.hand_over import Request
from edge.runtime.messages import CallRecord
from edge.runtime.resume_token import ResumeState
from edge.runtime.sockets import is_ipv6
from edge.voice import Code
from edge.voice.control import GoAwayReason
from edge.voice.events import ReconnectRequested

log = logging.getLogger("edge.calls")

MIN_TIMER_S = 0.001
SPREAD: Final = 0.25
"""The part of the time in which callers shall go elsewhere over which they are asked: they must not arrive in step."""
REMEMBERED = 256  # ended calls that can still be asked about
CUTS: Final[dict[int, str]] = {
    Code.LIMIT: "cut_limit",
    Code.TOO_FAR_BEHIND: "cut_too_far_behind",
    Code.PROTOCOL_ERROR: "cut_protocol_error",
    Code.UNAUTHORIZED: "cut_unauthorized",
}
"""The codes by which this end gives a caller up for what it does -> what counts that."""


class CallTable:
    """``call_ids`` makes a new one each time it is called.

    Until it is confirmed a call is kept and not counted: it may be a replay.
    """

    def __init__(self, settings: CallSettings, call_ids: Callable[[], str]) -> None:
        self._settings = settings
        self._call_ids = call_ids
        self._calls: dict[Call, None] = {}
        self._awake: dict[Call, None] = {}
        self._timers: Timers[Call] = Timers()
        self._ended: deque[CallRecord] = deque(maxlen=REMEMBERED)
        self._endings: set[asyncio.Task[None]] = set()
        self._totals = Counter(dict.fromkeys((*TOTALS, *CUTS.values()), 0))
        self._shares = Shares(settings.limits.per_address)
        self._places: dict[Call, str] = {}  # those that are admitted, and whose share they take

    def __len__(self) -> int:
        return sum(1 for _ in self._confirmed)

    def begin(self, carrier: Carrier, *, confirmed: bool = True) -> Call:
        """A caller is there. Not ``confirmed``: what it says first may be a replay, until `Call.confirm`."""
        call = Call(self._settings, carrier, self._call_ids(), self)
        if confirmed:
            call.confirm()
        self._calls[call] = None
        self.wake(call)
        return call

    @property
    def _confirmed(self) -> Iterator[Call]:
        return (call for call in self._calls if call.confirmed)

    def wake(self, call: Call) -> None:
        """Something has happened to ``call``."""
        if call in self._calls:
            self._awake[call] = None

    def ended(self, carrier: Carrier, code: int, reason: str, *, by_peer: bool, by_application: bool) -> None:
        """Its connection is over. A call that nobody has hung up waits for its caller to come back."""
        call = carrier.call
        if call is None:
            return
        try:
            call.hear_out()  # its last words may have come in the same turn
        except Exception as error:  # noqa: BLE001 - logged there
            self.failed(call, error)
            return
        hung_up = by_application and code != Code.GOING_AWAY
        if not hung_up and call.detach():
            log.info("event=call_detached call=%s code=%d reason=%s", call.call_id, code, _quoted(reason))
            self.wake(call)
            return
        if not call.confirmed:
            # Anybody may have sent what it said: that was no caller, and whoever is meant by the address does no harm.
            log.debug("event=call_not_begun call=%s host=%s code=%d", call.call_id, call.host, code)
            self._end(call)
            return
        cut = None if by_peer or not by_application else CUTS.get(code)
        if cut is not None:
            self._totals[cut] += 1
        log.log(
            logging.INFO if cut is None else logging.WARNING,
            "event=%s call=%s carrier=%s host=%s code=%d by_peer=%s reason=%s",
            "call_ended" if cut is None else "caller_cut",
            call.call_id,
            carrier.name,
            call.host,
            code,
            by_peer,
            _quoted(reason),
        )
        self._end(call)

    def failed(self, call: Call, error: Exception) -> None:
        """A defect of ours has shown in ``call``: it costs this call and no other."""
        log.error("event=call_failed call=%s", call.call_id, exc_info=error)
        if call in self._calls:
            carrier = self._end(call)
            if carrier is not None:
                carrier.close(Code.SESSION_CLOSED, "internal error")

    def turn(self, now: float) -> None:
        """Let every call that has something to do take its turn. Call it before asking what to send."""
        for call in self._timers.due(now):
            if call in self._calls:
                self._awake[call] = None
                self._handle_timer(call, now)
        while self._awake:
            call, _ = self._awake.popitem()
            try:
                call.turn(now)
                at = call.get_timer()
            except Exception as error:  # noqa: BLE001 - logged there
                self.failed(call, error)
                continue
            if at is not None and call in self._calls:
                self._timers.arm(call, max(at, now + MIN_TIMER_S))

    def _handle_timer(self, call: Call, now: float) -> None:
        try:
            goes_on = call.handle_timer(now)
        except Exception as error:  # noqa: BLE001 - as above
            self.failed(call, error)
            return
        if not goes_on:
            log.info('event=call_ended call=%s reason="its caller did not come back"', call.call_id)
            self._end(call)

    def get_timer(self) -> float | None:
        """When to call `turn`, if nothing happens before."""
        return self._timers.next()

    # --- as a call sees them ---------------------------------------------------------------------------

    def take_back(self, newcomer: Call, state: ResumeState, event: ReconnectRequested) -> bool:
        call = next((one for one in self._calls if one.is_meant_by(state)), None)
        carrier = newcomer.carrier
        if call is None or carrier is None:
            return False
        if call.session.closed:
            call.over()
            return False
        self._calls.pop(newcomer, None)
        newcomer.carrier = None
        call.attach(carrier, event.item, event.frames, anew=call.stay != state.stay)
        self.wake(call)
        return True

    def has_place(self, newcomer: Call) -> bool:
        """It has it until it ends, also while nobody is connected to it."""
        client = client_of(newcomer.host)
        if not self._shares.has_room(client):
            return False
        self._shares.add(client)
        self._places[newcomer] = client
        return True

    def supersede(self, newcomer: Call) -> None:
        for call in [one for one in self._calls if one.call_id == newcomer.call_id and one is not newcomer]:
            carrier = self._end(call)
            if carrier is not None:
                carrier.close(Code.GOING_AWAY, "the call goes on on another connection")

    def _end(self, call: Call) -> Carrier | None:
        """Forget it; the result is the connection that it was on."""
        del self._calls[call]
        carrier = call.let_go()
        call.over()
        self._awake.pop(call, None)
        client = self._places.pop(call, None)
        if client is not None:
            self._shares.drop(client)
        if call.confirmed:
            self._ended.append(call.record(ended=True))
            self._totals.update(call.totals())
        ending = asyncio.create_task(call.end())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return carrier

    def counters(self) -> dict[str, int]:
        """Totals over all calls since the worker began; they only grow."""
        totals = Counter(self._totals)
        for call in self._confirmed:
            totals.update(call.totals())
        return dict(totals)

    def by_carrier(self) -> dict[str, int]:
        """How many calls are up on each kind of carrier."""
        return dict(Counter(call.carrier_name for call in self._confirmed))

    def records(self) -> list[CallRecord]:
        """The last calls that ended, then those that are up."""
        return [*self._ended, *(call.record(ended=False) for call in self._confirmed)]

    def set_keys(self, keys: KeyRing) -> None:
        """Seal with this ring from now on; every caller gets a token that it has made."""
        self._settings.resuming.set_keys(keys)
        for call in self._calls:
            call.renew()
            self.wake(call)

    def hand_over(
        self,
        urls: Sequence[str | None],
        reason: GoAwayReason,
        within_ms: int,
        leave: bool,
        urls_v6: Sequence[str | None] = (),
    ) -> None:
        """Ask all callers to go on elsewhere, dealt out over ``urls`` (None: the service address) and over some time.

        ``urls_v6``, if there are any, are for those that called over IPv6. With ``leave``, those places do not know the
        calls. `CallRecord.hand_over` tells what became of it.
        """
        now = self._settings.clock()
        until, spread_s = now + within_ms / 1000, within_ms / 1000 * SPREAD
        for number, call in enumerate(self._calls):
            at = now + spread_s * number / len(self._calls)
            reached = urls_v6 if urls_v6 and is_ipv6(call.host) else urls
            call.hand_over.plan(Request(reached[number % len(reached)], reason, leave, at, until))
            self.wake(call)

    def call_off(self, reason: GoAwayReason) -> None:
        """Nobody is asked to go for that any more; who has been asked may still do so."""
        for call in self._calls:
            call.hand_over.call_off(reason)

    def close_all(self, reason: str) -> None:
        """End every call. Its caller may go on elsewhere with what it has; here nobody waits for it."""
        for call in list(self._calls):
            call.hand_over.cut()
            log.info("event=call_closed call=%s reason=%s", call.call_id, _quoted(reason))
            carrier = self._end(call)
            if carrier is not None:
                carrier.close(Code.GOING_AWAY, reason)

    def say_goodbye(self, reason: str) -> None:
        """Hang up every call."""
        for call in list(self._calls):
            if call.carrier is not None:
                call.carrier.close(Code.GOING_AWAY, reason)

    async def close(self) -> None:
        """Give every call's backend back."""
        await asyncio.gather(*(call.end() for call in self._calls), *self._endings)


def _quoted(reason: str) -> str:
    """In one line and in quotes, whatever somebody else has put into it."""
    return json.dumps(reason)
