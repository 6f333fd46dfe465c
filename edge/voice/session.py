"""The edge's end of a call: speech of the caller in, speech of the backend out, within the lead window.

Between carrier and backend, and knowing neither: a carrier brings bytes of streams and carries out actions,
a host hands events to a backend and the backend's replies to the verbs. What the caller asks for by event is in
`requests`, what may not be said yet in `gate`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from edge.voice import control, events, records, wire
from edge.voice.actions import Action, SendControl
from edge.voice.agreement import Agreement
from edge.voice.anatomy import Turn
from edge.voice.base import P, Session
from edge.voice.deadline import DEFAULT_PRESET, PRESETS, Deadlines
from edge.voice.downlink import Downlink, Dropped, Finished
from edge.voice.errors import WireError
from edge.voice.frame import Frame
from edge.voice.gate import Gate
from edge.voice.item_events import ItemEvents
from edge.voice.lead import DEFAULT_LEAD_MS, Lead
from edge.voice.ledger import LedgerCount
from edge.voice.patience import Patience
from edge.voice.requests import Requests
from edge.voice.speech_clock import SpeechClock
from edge.voice.uplink import Progress, Uplink, UplinkLimits

Outcome = events.EdgeEvent | control.Event | Action | Finished | Dropped | Turn
"""What the owner is told, what the caller is sent, what the carrier is asked, and what has become of items."""


class EdgeSession(Session[events.EdgeEvent, control.CallerEvent]):
    """One call at the edge; see `Session` for how to drive it.

    With ``held`` nothing that happens is told or answered until `admit`, but `Presented`; what waits is bounded.
    """

    def __init__(
        self,
        session_id: str,
        *,
        lead_ms: Lead = DEFAULT_LEAD_MS,
        deadlines: Deadlines = PRESETS[DEFAULT_PRESET],
        limits: UplinkLimits | None = None,
        held: bool = False,
    ) -> None:
        super().__init__(records.caller_events)
        limits = limits or UplinkLimits()
        self._agreement = Agreement(session_id, lead_ms, deadlines)
        self._downlink = Downlink(lead_ms, deadlines)
        self._uplink = Uplink(limits, deadlines.uplink_ms)
        self._requests = Requests(self._agreement, self._uplink, self._downlink)
        self._gate = Gate(admitted=not held, max_held_bytes=limits.held_bytes)
        self._patience = Patience()
        self._items = ItemEvents()
        self._speech = SpeechClock()
        self._announced: control.EdgeSessionInfo | None = None
        self._detached = False
        self.send_control(control.SessionCreated(session=self._agreement.state()))

    # --- the host's side -------------------------------------------------------------------------------

    def admit(self, now: float) -> None:
        """The handshake is confirmed and the caller may be served: what it has done so far now counts."""
        self._now = now
        told, asked = self._gate.admit()
        self._events.extend(told)
        self._actions.extend(asked)
        self._settle()

    @property
    def session_id(self) -> str:
        return self._agreement.session_id

    @property
    def resumes(self) -> events.ReconnectRequested | None:
        """The call that the caller asks to continue, as far as it has asked; known when `Presented` is told."""
        return self._requests.resumes

    def announce_session(
        self, node: str, unicast_url: str, migrated: bool, resume_token: str | None = None
    ) -> None:
        """Tell the caller where it is, now and whenever that changes; saying the same twice sends it once."""
        info = control.EdgeSessionInfo(
            session_id=self.session_id,
            node=node,
            unicast_url=unicast_url,
            resume_token=resume_token,
            migrated=migrated,
        )
        if info != self._announced:
            self._announced = info
            self.send_control(info)

    def set_rtt(self, rtt_s: float) -> None:
        """The carrier's smoothed round-trip time."""
        self._agreement.rtt_s = rtt_s
        self._downlink.set_rtt(rtt_s)
        self._carry_out(self._agreement.news())

    @property
    def wants_audio(self) -> bool:
        """False while the ring is full: the backend must not be asked for more."""
        return self._downlink.wants_audio

    @property
    def next_utterance(self) -> int:
        """The one that the caller says, or will."""
        return self._uplink.position[0]

    @property
    def frames_lost(self) -> int:
        """Frames of the caller that were declared lost."""
        return self._uplink.lost

    @property
    def frames_late(self) -> int:
        """Frames of the caller that came after they had been declared lost."""
        return self._uplink.late

    def begin_item(self) -> int:
        """The backend begins to answer; items count from 1."""
        number = self._downlink.begin()
        self._carry_out(self._items.begun(number))
        return number

    def speak(self, item: int, frames: Sequence[Frame], now: float) -> None:
        """More of ``item``, at most `CHUNK_MS` at once; dropped if the item has been cancelled meanwhile.

        Raises ValueError for a payload that cannot be a frame of its codec, or a change of codec.
        """
        self._now = now
        self._downlink.speak(item, frames, now)
        self._settle()

    def end_item(self, item: int, now: float) -> None:
        """The backend has said all of ``item``."""
        self._now = now
        self._downlink.end(item)
        self._settle()

    def cut_item(self, item: int, now: float) -> None:
        """Nobody can say the rest of it: whoever could was on another node."""
        self._now = now
        self._downlink.cut(item)
        self._settle()

    def interrupt(self, now: float) -> None:
        """The backend has heard the caller: all that is being said ends, at once and for good."""
        self._now = now
        self._carry_out(self._downlink.cancel(None))
        self._settle()

    def speech_started(self, at_ms: int, now: float) -> None:
        """The backend hears the caller speak, since ``at_ms`` of the utterance."""
        self._now = now
        self.send_control(control.SpeechStarted(audio_start_ms=at_ms))

    def speech_stopped(self, at_ms: int, now: float) -> None:
        """The caller stopped speaking at ``at_ms`` of the utterance; the turn is timed from when that was heard."""
        self._now = now
        self._downlink.speech_ended(self._speech.moment(at_ms, now))
        self.send_control(control.SpeechStopped(audio_end_ms=at_ms))

    def error(self, code: str, message: str) -> None:
        """Tell the caller that something failed on this side; the call goes on."""
        body = control.ErrorBody(type="server_error", code=code, message=message[: records.MAX_MESSAGE])
        self.send_control(control.Error(error=body))

    @property
    def can_continue(self) -> bool:
        """Whether the caller has kept to saying nothing before it is answered."""
        return self._uplink.is_fresh

    def continue_elsewhere(self, session_id: str, utterance: int, now: float) -> tuple[int, int]:
        """Go on, here and in this session, with the call that the caller `resumes`. ``utterance`` is said again whole.

        The result is the latest item that was begun and how many frames of it the caller has; with frames it goes on here,
        or is cut (`cut_item`).
        """
        asked = self._requests.resumes
        assert asked is not None, "nobody has asked"
        item, frames = max(1, asked.item), asked.frames
        self._now = now
        self._agreement.session_id = session_id
        self._agreement.forget()
        self._uplink.begin_at(utterance)
        self._downlink.begin_at(item, frames, now)
        self._gate.forget_records()
        self.send_control(control.Reconnected(utterance=utterance, frames=0, elsewhere=True))
        self.send_control(control.SessionUpdated(session=self._agreement.state()))
        self._carry_out(self._agreement.news())
        return (item, frames) if frames else (item - 1, 0)

    def refuse_reconnect(self) -> None:
        """The call that the caller wants to continue is not known here; with this session it can begin another."""
        self.error("unknown_session", "the call to be continued is not known here")

    def answer_stats(self, heard: LedgerCount, said: LedgerCount) -> None:
        """Tell the caller what was counted here; ``heard`` is completed by what has been lost."""
        super().answer_stats(heard.without(self._uplink.lost), said)

    def go_away(self, url: str | None, reason: control.GoAwayReason, within_ms: int, leave: bool) -> None:
        """Ask the caller to go on at ``url``, or None at the service address; with ``leave`` it says so here first."""
        self.send_control(control.GoAway(url=url, reason=reason, within_ms=within_ms, leave=leave))

    def lift_lead(self, now: float) -> None:
        """Write whatever there is: the caller leaves, and takes it along."""
        self._now = now
        self._downlink.window.lift()
        self._settle()

    @property
    def is_written(self) -> bool:
        """Whether all that the backend has begun to say has been said, and written."""
        return self._downlink.is_written

    def leave(self, resume_token: str, heard: LedgerCount, said: LedgerCount, now: float) -> None:
        """Let the caller go: this is the last that it is told here, and nothing more is taken in (`LeaveRequested`).

        What happens further waits for another carrier, as if this one were gone.
        """
        self._now = now
        heard = heard.without(self._uplink.lost)
        self.send_control(control.Left(resume_token=resume_token, heard=heard, said=said))
        self._drop_carrier()

    # --- one carrier after another ---------------------------------------------------------------------

    def detach(self, now: float) -> None:
        """The carrier is gone: nothing is written and no timer runs until there is another."""
        self._now = now
        unsaid, self._actions = self._actions, deque()
        self._drop_carrier()
        for action in unsaid:
            if isinstance(action, SendControl):
                self._act(action)

    def attach(self, item: int, frames: int, now: float, *, elsewhere: bool = False) -> None:
        """There is another, to a caller that has ``frames`` of ``item`` and all before it (`ReconnectRequested`).

        ``elsewhere``: as far as it knows, somebody else has its call.
        """
        if not self._detached:
            self.detach(now)
        self._now = self.last_heard = now
        self._detached = False
        self._downlink.attach(item, frames)
        utterance, heard = self._uplink.position
        waiting = self._gate.connect()
        self._carry_out(
            [
                control.Reconnected(utterance=utterance, frames=heard, elsewhere=elsewhere),
                *self._items.again(item),
            ]
        )
        self._actions.extend(waiting)
        self._settle()

    # --- time ------------------------------------------------------------------------------------------

    def get_timer(self) -> float | None:
        """When the lead window opens, an interruption becomes final or a missing frame is lost."""
        if self.closed or self._detached:
            return None
        timers = (self._downlink.get_timer(), self._uplink.get_timer())
        return min((at for at in timers if at is not None), default=None)

    def _settle(self) -> None:
        if not self._detached:
            self._carry_out(self._uplink.handle_timer(self._now))
            self._carry_out(self._downlink.pump(self._now))

    # --- the caller's bytes ----------------------------------------------------------------------------

    def _on_stream(self, stream_id: int, data: bytes, fin: bool) -> None:
        self._gate.receive(data)
        self._hear(self._uplink.receive(stream_id, data, fin, self._now))

    def _on_reset(self, stream_id: int, code: int) -> None:
        self._carry_out(self._uplink.reset(stream_id, code, self._now))

    def _on_stop(self, stream: int, _code: int) -> None:
        item = self._downlink.item_of(stream)
        if item is not None:
            self._carry_out(self._downlink.interrupt(item, self._now))

    def _on_datagram(self, data: bytes) -> None:
        self._patience.datagram(self._now)
        self._gate.receive(data)
        datagram = wire.decode_datagram(data)
        if isinstance(datagram, wire.AudioDatagram):
            self._hear(self._uplink.receive_datagram(datagram, self._now))
        elif self._downlink.report(datagram, self._now):
            self._tell(events.PlayoutReported(datagram))

    def _on_control(self, data: bytes, fin: bool) -> None:
        self._gate.receive(data)
        self._actions.extend(self._gate.connect())
        super()._on_control(data, fin)

    def _on_event(self, event: control.CallerEvent | records.OpenEvent) -> None:
        self._patience.event(self._now)
        self._carry_out(self._requests.take(event, self._now))

    def _on_event_error(self, error: records.EventError) -> None:
        self._patience.nonsense()
        self._send_fault(error.code, str(error), error.event_id)

    # --- what follows ----------------------------------------------------------------------------------

    def _receive(self, now: float, step: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        if not self._detached:
            super()._receive(now, step, *args, **kwargs)

    def _drop_carrier(self) -> None:
        self._detached = True
        self._gate.disconnect()
        self._records = records.RecordStream()
        self._uplink.detach()
        self._downlink.detach()

    def _hear(self, progress: Sequence[Progress]) -> None:
        frames = sum(len(told.frames) for told in progress if isinstance(told, events.FramesHeard))
        self._patience.frames(frames, self._now)
        self._carry_out(progress)

    def _carry_out(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Action):
                self._act(outcome)
            elif isinstance(outcome, control.Event):
                self.send_control(outcome)
            elif isinstance(outcome, Finished | Dropped | Turn):
                self._carry_out(self._items.became(outcome))
            else:
                self._happened(outcome)

    def _happened(self, event: events.EdgeEvent) -> None:
        self._tell(event)
        match event:
            case events.FramesHeard(frames):
                self._speech.heard(frames, self._now)
            case events.UtteranceCommitted(utterance, frames, lost):
                self._downlink.speech_ended(self._now)
                self.send_control(control.AudioCommitted(utterance=utterance, frames=frames, lost=lost))
            case events.UtteranceCleared(utterance):
                self.send_control(control.AudioCleared(utterance=utterance))
            case _:
                pass

    def _send_fault(self, code: str, message: str, event_id: str | None) -> None:
        body = control.ErrorBody(type="invalid_request_error", code=code, message=message, event_id=event_id)
        self.send_control(control.Error(error=body))

    def _give_up(self, error: WireError) -> None:
        self._send_fault(error.code.name.lower(), str(error), None)
        super()._give_up(error)

    def _act(self, action: Action) -> None:
        if self.closed:
            return
        try:
            self._actions.extend(self._gate.ask(action))
        except WireError as error:
            self.close(error.code, str(error))

    def _tell(self, event: events.EdgeEvent) -> None:
        if not self.closed:
            self._events.extend(self._gate.tell(event))
