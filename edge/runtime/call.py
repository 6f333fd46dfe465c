"""One call at the edge: a carrier, a voice session and a backend, from the first sign of a caller to its end.

    held --- the caller has said who it is, and the handshake is no replay ---> admitted
    admitted --- its connection is lost ---> detached --- it comes back on another ---> admitted
    any --- either side hangs up; nobody comes back in time ---> over

While it is held nothing is done for the caller but reading: no backend exists, no frame reaches one.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final, Protocol

from edge.auth import Grant, Unauthorized
from edge.backend.base import BackendContext
from edge.runtime.call_settings import BackendChoice, CallSettings
from edge.runtime.carriers import Carrier, carry_out
from edge.runtime.hand_over import HandOver, Request
from edge.runtime.messages import CallRecord
from edge.runtime.resume_token import LIFETIME_S, ResumeState
from edge.runtime.seat import Seat
from edge.runtime.tally import COUNTS, Tally
from edge.voice import Code, EdgeSession, FrameLedger
from edge.voice import events as voice

log = logging.getLogger("edge.calls")

RENEWED_AFTER_S = LIFETIME_S / 3
"""From one resume token to the next, in a call in which nothing else asks for one."""
PRESENT_WITHIN_S = 5.0
"""From its connection to a caller's first record."""
MAX_UNSENT_BYTES = 1024 * 1024
"""More than any lead window holds: a caller for whom this much waits has stopped reading."""

FRAMES: Final = ("frames_heard", "frames_said", "frames_lost_up", "frames_late_up")
TOTALS: Final = (*COUNTS, *FRAMES)
_NOTHING = FrameLedger()


class Neighbours(Protocol):
    """The other calls of the worker, as one of them sees them; see `CallTable`."""

    def take_back(self, newcomer: Call, state: ResumeState, event: voice.ReconnectRequested) -> bool:
        """Give the newcomer's carrier to the call that it continues, if that is here; then the newcomer is no call."""

    def has_place(self, newcomer: Call) -> bool:
        """Whether its caller may have one more; from now on it has."""

    def supersede(self, newcomer: Call) -> None:
        """It goes on with a call that was here before, and elsewhere since: what is left of that ends."""


class Call:
    def __init__(
        self, settings: CallSettings, carrier: Carrier, call_id: str, neighbours: Neighbours
    ) -> None:
        self.call_id = call_id
        self.host = carrier.host
        """Where its caller was when the call began."""
        self.session = EdgeSession(call_id, lead_ms=settings.lead_ms, deadlines=settings.deadlines, held=True)
        self.carrier: Carrier | None = carrier
        self.deadlines: list[float] = []  # of `Timers`
        self.hand_over = HandOver()
        self._settings = settings
        self._neighbours = neighbours
        self._started_at = settings.clock()
        self._gives_up_at: float | None = self._started_at + PRESENT_WITHIN_S
        self.confirmed = False
        self._presented: voice.Presented | None = None
        self._stays: tuple[bytes, ...] = (
            settings.resuming.stay(),
        )  # this one's; before it, the one it continues
        self._grant: Grant | None = None
        self._announced: tuple[int, int, bool] | None = None
        self._renew_at = 0.0
        self._seat: Seat | None = None
        self._outcome: str = carrier.outcome
        self._carrier_name = carrier.name
        self._tally = Tally(settings.observe)
        self._unread_since: float | None = None
        carrier.call = self

    # --- its connection ----------------------------------------------------------------------------------

    def confirm(self) -> None:
        """The handshake is complete: what was said until now is no replay."""
        self.confirmed = True

    def is_meant_by(self, state: ResumeState) -> bool:
        """Whether a token is of this call's time here, or has brought it here."""
        return self._seat is not None and state.call_id == self.call_id and state.stay in self._stays

    @property
    def stay(self) -> bytes:
        """The name of its time here."""
        return self._stays[0]

    def renew(self) -> None:
        """Its caller needs another resume token."""
        self._renew_at = 0.0

    def moved(self) -> None:
        """Its connection has a new path."""
        self._announce()

    def detach(self) -> bool:
        """Its connection is gone. False if nothing is worth waiting for: then the call is over."""
        self.let_go()
        if self._seat is None or self._settings.resume_s == 0 or self.session.closed:
            return False
        now = self._settings.clock()
        self.session.detach(now)
        self._gives_up_at = now + self._settings.resume_s
        return True

    def attach(self, carrier: Carrier, item: int, frames: int, *, anew: bool) -> None:
        """The caller is back, on ``carrier``, and has ``frames`` of ``item``.

        ``anew``: it knows nothing of its time here, for the answer to its first question was lost.
        """
        old = self.let_go()
        now = self._settings.clock()
        if old is not None:
            self.session.detach(now)
            old.close(Code.GOING_AWAY, "the call goes on on another connection")
        self.carrier = carrier
        carrier.call = self
        self._gives_up_at = None
        self.hand_over.attached(now)
        self._tally.counts["resumed"] += 1
        self.session.attach(item, frames, now, elsewhere=anew)
        self._announce()

    def let_go(self) -> Carrier | None:
        """Have nothing more to do with its connection, whatever comes on it."""
        carrier, self.carrier = self.carrier, None
        if carrier is not None:
            self._outcome, self._carrier_name = carrier.outcome, carrier.name
            carrier.call = None
        return carrier

    # --- its turn ----------------------------------------------------------------------------------------

    def turn(self, now: float) -> None:
        """Tell the backend what there is to tell, and do what the session asks of the carrier."""
        self.hear_out()
        self._admit(now)
        self._renew(now)
        self._move(now)
        while (action := self.session.next_action()) is not None:
            if self.carrier is not None:
                carry_out(self.carrier, action)
        if self._seat is not None:
            self._seat.make_room(self.session.wants_audio and self.hand_over.state != "left")
        self._look_after(now)

    def hear_out(self) -> None:
        """Tell the backend what the session has to tell."""
        while (event := self.session.next_event()) is not None:
            self._tell(event)

    def get_timer(self) -> float | None:
        """When it must have a turn."""
        timers = [self.session.get_timer(), self._gives_up_at]
        if self._serves:
            timers.append(self.hand_over.get_timer())
            if self.hand_over.state != "left":
                timers.append(self._renew_at)
            timers.append(self._last_heard + self._settings.limits.silent_s)
            if self._unread_since is not None:
                timers.append(self._unread_since + self._settings.limits.unread_s)
        return min((at for at in timers if at is not None), default=None)

    def handle_timer(self, now: float) -> bool:
        """False if the call is over because nobody came."""
        self.session.handle_timer(now)
        self.hand_over.handle_timer(now)
        if self._gives_up_at is None or now < self._gives_up_at:
            return True
        if self.carrier is None:
            return False
        self._gives_up_at = None
        self.session.close(Code.UNAUTHORIZED, f"no session.update within {PRESENT_WITHIN_S:g} s")
        return True

    @property
    def _serves(self) -> bool:
        return self._seat is not None and self.carrier is not None and not self.session.closed

    @property
    def _last_heard(self) -> float:
        heard = self.session.last_heard
        return self._started_at if heard is None else heard

    def _look_after(self, now: float) -> None:
        """Whether its caller still reads, and is still there. A connection alone, an engine keeps alive for ever."""
        if self.carrier is None or not self._serves:
            return
        limits = self._settings.limits
        if not self.carrier.awaits_credit:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        if self.carrier.unsent_bytes > MAX_UNSENT_BYTES:
            self._cut(f"does not read: {self.carrier.unsent_bytes} bytes wait for it")
        elif self._unread_since is not None and now >= self._unread_since + limits.unread_s:
            self._cut(f"does not read: nothing has left for {limits.unread_s:g} s")
        elif now >= self._last_heard + limits.silent_s:
            self._cut(f"silent: not a sign of it for {limits.silent_s:g} s")

    def _admit(self, now: float) -> None:
        if self._seat is not None or not self.confirmed or self._presented is None:
            return
        if self.session.closed or self.carrier is None:
            return
        presented, self._presented = self._presented, None
        resumes, state = self.session.resumes, None
        if resumes is not None:
            state = self._settings.resuming.open(resumes.resume_token)
            if state is not None and self._neighbours.take_back(self, state, resumes):
                return
        if not self._neighbours.has_place(self):
            most = self._settings.limits.per_address
            self.session.close(Code.LIMIT, f"{most} calls from one address, and no more")
            return
        if state is not None and not (self.session.can_continue and self._settings.resuming.use(state)):
            state = None
        if resumes is not None and state is None:
            self.session.refuse_reconnect()
        origin, doorkeeper = self.carrier.origin, self._settings.doorkeeper
        try:
            if state is None:
                grant = doorkeeper.admit(presented.token, presented.backend, origin)
            else:
                grant = doorkeeper.readmit(presented.token, state.backend, origin, state.caller)
        except Unauthorized as error:
            self.session.close(Code.UNAUTHORIZED, str(error))
            return
        self._begin(grant, state, now)

    def _begin(self, grant: Grant, state: ResumeState | None, now: float) -> None:
        """With a backend of its own; a call that was elsewhere goes on where its caller says that it is."""
        item = frames = 0
        if state is not None and self.session.resumes is not None:
            self.call_id = state.call_id
            self._neighbours.supersede(self)
            self._stays = (*self._stays, state.stay)
            utterance = self.session.resumes.utterance or state.utterance
            item, frames = self.session.continue_elsewhere(state.call_id, utterance, now)
            self._tally.counts["continued"] += 1
            log.info(
                "event=call_continued call=%s server_id=%s worker=%d",
                self.call_id,
                state.server_id.hex(),
                state.worker,
            )
        choice = self._settings.backends[grant.backend]
        context = BackendContext(
            self.call_id,
            choice.settings,
            grant.claims,
            first_item=item + 1,
            handle=b"" if state is None else state.handle,
            open_item=item if frames else None,
            open_frames=frames,
        )
        try:
            self._seat = self._seated(choice, context)
        except Exception as error:
            log.exception("event=backend_not_made call=%s", self.call_id)
            self.session.close(Code.SESSION_CLOSED, f"no backend for this call: {type(error).__name__}")
            return
        self._grant = grant
        self._gives_up_at = None
        if self._settings.unicast_goaway:
            leave = not self._settings.is_alone()
            url = self._settings.unicast_url_for(self.host)
            self.hand_over.plan(Request.to_unicast(url, leave=leave, now=now))
        self._announce()
        self.session.admit(now)
        self.hear_out()  # what it was held back from telling

    def _seated(self, choice: BackendChoice, context: BackendContext) -> Seat:
        """Without its handle, if the backend fails for that: the version that gave it may be another than ours."""

        def take(context: BackendContext) -> Seat:
            settings = self._settings
            return Seat(
                choice.make,
                context,
                self.session,
                clock=settings.clock,
                changed=lambda: settings.changed(self),
            )

        try:
            return take(context)
        except Exception:
            if not context.handle:
                raise
            log.exception("event=handle_not_taken call=%s bytes=%d", self.call_id, len(context.handle))
            return take(replace(context, handle=b""))

    def _announce(self) -> None:
        """Tell the caller where it is, and how to go on from here."""
        if self._seat is None or self.carrier is None:
            return
        self._renew_at = self._settings.clock() + RENEWED_AFTER_S
        self._announced = self._place_in_call
        self.session.announce_session(
            self._settings.node,
            self._settings.unicast_url_for(self.carrier.host),
            migrated=self.carrier.outcome == "migrated",
            resume_token=self._resume_token(),
        )

    def _renew(self, now: float) -> None:
        """A call that is lost with its node goes on where its last token says: so that is never long ago."""
        if not self._serves or self.hand_over.state == "left":
            return
        if self._place_in_call != self._announced or now >= self._renew_at:
            self._announce()

    @property
    def _place_in_call(self) -> tuple[int, int, bool]:
        """Changes when an item begins or ends, and when an utterance is over."""
        if self._seat is None:
            return (0, 0, False)
        return (self.session.next_utterance, self._seat.items, self._seat.speaks)

    def _resume_token(self) -> str:
        assert self._seat is not None
        assert self._grant is not None
        return self._settings.resuming.issue(
            call_id=self.call_id,
            stay=self._stays[0],
            backend=self._grant.backend,
            caller=self._grant.caller,
            utterance=self.session.next_utterance,
            handle=self._seat.handle(),
        )

    def _move(self, now: float) -> None:
        """Ask the caller to go elsewhere, if it is time; let go of one that wants to, as soon as it has everything."""
        if not self._serves or self._seat is None:
            return
        on_anycast = self.carrier is not None and self.carrier.outcome == "on_anycast"
        if (request := self.hand_over.ask(now, on_anycast=on_anycast)) is not None:
            self.session.go_away(request.url, request.reason, request.within_ms(now), request.leave)
        if not self.hand_over.leaving:
            return
        if (self.session.is_written and not self._seat.speaks) or self.hand_over.may_cut(now):
            self.session.leave(self._resume_token(), self.heard.count(), self.said.count(), now)
            self.hand_over.left(now)

    def _cut(self, what: str) -> None:
        self.session.close(Code.LIMIT, what)
        if self.carrier is not None:
            self.carrier.close(Code.LIMIT, what)

    def _tell(self, event: voice.EdgeEvent) -> None:
        self._tally.take(event, self.said.frames)
        match event:
            case voice.Presented():
                self._presented = event
            case voice.LeaveRequested() if self._seat is not None and self.hand_over.state != "left":
                now = self._settings.clock()
                self.hand_over.leave(now)
                self.session.lift_lead(now)
            case voice.StatsRequested():
                self.session.answer_stats(self.heard.count(), self.said.count())
            case voice.PlayoutReported():
                rtt_s = self.carrier.rtt_s() if self.carrier is not None else None
                if rtt_s is not None:
                    self.session.set_rtt(rtt_s)
            case _:
                if self._seat is not None:
                    self._seat.tell(event)

    # --- its end -----------------------------------------------------------------------------------------

    def over(self) -> None:
        """Nobody can go on with it here any more."""
        self.hand_over.ended()
        if self._seat is not None:  # or there is no token of it, and strangers could have others forgotten
            self._settings.resuming.end(self._stays[0])

    async def end(self) -> None:
        """Give its backend back."""
        if self._seat is not None:
            await self._seat.close()

    @property
    def carrier_name(self) -> str:
        """Of the connection it is on, or was on last."""
        return self._carrier_name if self.carrier is None else self.carrier.name

    @property
    def heard(self) -> FrameLedger:
        """What its backend has taken in."""
        return self._seat.heard if self._seat is not None else _NOTHING

    @property
    def said(self) -> FrameLedger:
        return self._seat.said if self._seat is not None else _NOTHING

    def totals(self) -> dict[str, int]:
        """What has been counted of it, by `TOTALS`; grows only."""
        frames = (self.heard.frames, self.said.frames, self.session.frames_lost, self.session.frames_late)
        return {**self._tally.counts, **dict(zip(FRAMES, frames, strict=True))}

    def record(self, *, ended: bool) -> CallRecord:
        return CallRecord(
            call_id=self.call_id,
            worker=self._settings.worker,
            carrier=self.carrier_name,
            outcome=self._outcome if self.carrier is None else self.carrier.outcome,
            age_s=self._settings.clock() - self._started_at,
            ended=ended,
            hand_over=self.hand_over.state,
            hand_over_url=self.hand_over.url,
            hand_over_ms=self.hand_over.took_ms,
            frames_lost=self.session.frames_lost,
            heard=self.heard.count(),
            said=self.said.count(),
        )
