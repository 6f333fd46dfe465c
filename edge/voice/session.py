"""The edge's end of a call: speech of the caller in, speech of the backend out, within the lead window.

Between carrier and backend, and knowing neither: a carrier brings bytes of streams and carries out actions,
a host hands events to a backend and the backend's replies to the verbs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge.voice import control, records, wire
from edge.voice.actions import Action, SendControl, SendStream
from edge.voice.base import Session
from edge.voice.downlink import Downlink, Finished
from edge.voice.errors import WireError
from edge.voice.events import (
    EdgeEvent,
    PlayoutReported,
    ResponseCancelled,
    ResponseRequested,
    SessionUpdated,
    StatsReceived,
    StatsRequested,
    UtteranceCommitted,
)
from edge.voice.frame import Frame
from edge.voice.lead import DEFAULT_LEAD_MS
from edge.voice.uplink import Progress, Uplink, UplinkLimits

MAX_EVENT_ERRORS = 100
"""A caller that sends more nonsense than this is ended: every answer to it waits in memory to be read."""


class EdgeSession(Session[EdgeEvent, control.CallerEvent]):
    """One call at the edge; see `Session` for how to drive it."""

    def __init__(
        self, session_id: str, *, lead_ms: int = DEFAULT_LEAD_MS, limits: UplinkLimits | None = None
    ) -> None:
        super().__init__(records.caller_events)
        self.session_id = session_id
        self._downlink = Downlink(lead_ms)
        self._uplink = Uplink(limits or UplinkLimits())
        self._announced: control.EdgeSessionInfo | None = None
        self._errors = 0
        # Only the caller can open the control stream; until it has, what is to be sent on it waits here.
        self._before_open: list[Action] | None = []
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            control.SessionUpdate: self._update_session,
            control.CommitAudio: self._commit,
            control.CreateResponse: lambda _: self._tell(ResponseRequested()),
            control.CancelResponse: self._cancel_response,
            control.Stats: self._stats,
            records.UnknownEvent: self._unknown,
        }
        self.send_control(control.SessionCreated(session=self._state()))

    # --- the host's side -------------------------------------------------------------------------------

    def announce_session(self, node: str, unicast_url: str, migrated: bool) -> None:
        """Tell the caller where it is, now and whenever that changes; saying the same twice sends it once."""
        info = control.EdgeSessionInfo(
            session_id=self.session_id,
            node=node,
            unicast_url=unicast_url,
            resume_token=None,
            migrated=migrated,
        )
        if info != self._announced:
            self._announced = info
            self.send_control(info)

    @property
    def wants_audio(self) -> bool:
        """False while the ring is full: the backend must not be asked for more."""
        return self._downlink.wants_audio

    def begin_item(self) -> int:
        """The backend begins to answer; items count from 1."""
        number = self._downlink.begin()
        response = control.Response(id=control.response_id(number), status="in_progress")
        item = control.Item(id=control.item_id(number), status="in_progress")
        self.send_control(control.ResponseCreated(response=response))
        self.send_control(control.OutputItemAdded(response_id=response.id, item=item))
        return number

    def speak(self, item: int, frames: Sequence[Frame], now: float) -> None:
        """More of ``item``, at most `CHUNK_MS` at once; dropped if the item has been cancelled meanwhile.

        Raises ValueError for a payload that cannot be a frame of its codec, or a change of codec.
        """
        self._now = now
        self._downlink.speak(item, frames)
        self._settle()

    def end_item(self, item: int, now: float) -> None:
        """The backend has said all of ``item``."""
        self._now = now
        self._downlink.end(item)
        self._settle()

    def error(self, code: str, message: str) -> None:
        """Tell the caller that something failed on this side; the call goes on."""
        body = control.ErrorBody(type="server_error", code=code, message=message)
        self.send_control(control.Error(error=body))

    # --- time ------------------------------------------------------------------------------------------

    def get_timer(self) -> float | None:
        """When the lead window opens without a further report."""
        return None if self.closed else self._downlink.get_timer()

    # --- the caller's bytes ----------------------------------------------------------------------------

    def _on_stream(self, stream_id: int, data: bytes, fin: bool) -> None:
        self._heard(self._uplink.receive(stream_id, data, fin))

    def _on_reset(self, stream_id: int, code: int) -> None:
        raise WireError(f"stream {stream_id}", f"reset with code {code}, but no deadline was agreed")

    def _on_stop(self, stream: int, _code: int) -> None:
        item = self._downlink.item_of(stream)
        if item is not None:
            self._cancel(item)

    def _on_datagram(self, data: bytes) -> None:
        datagram = wire.decode_datagram(data)
        if isinstance(datagram, wire.AudioDatagram):
            raise WireError("datagram", "audio, but no datagrams were agreed")
        if self._downlink.window.report(datagram, self._now):
            self._tell(PlayoutReported(datagram))

    def _on_control(self, data: bytes, fin: bool) -> None:
        if self._before_open is not None:
            self._actions.extend(self._before_open)
            self._before_open = None
        super()._on_control(data, fin)

    def _on_event(self, event: control.CallerEvent | records.UnknownEvent) -> None:
        self._handlers[type(event)](event)

    def _on_event_error(self, error: records.EventError) -> None:
        self._errors += 1
        if self._errors > MAX_EVENT_ERRORS:
            raise WireError("control stream", f"more than {MAX_EVENT_ERRORS} events that make no sense")
        self._send_fault(error.code, str(error), error.event_id)

    # --- what the caller says by event -----------------------------------------------------------------

    def _update_session(self, event: control.SessionUpdate) -> None:
        if event.session.lead_ms is not None:
            self._downlink.window.lead_ms = event.session.lead_ms
        state = self._state()
        self.send_control(control.SessionUpdated(session=state))
        self._tell(SessionUpdated(state.lead_ms))

    def _commit(self, event: control.CommitAudio) -> None:
        self._heard(self._uplink.commit(event.utterance, event.groups))

    def _cancel_response(self, event: control.CancelResponse) -> None:
        self._cancel(None if event.response_id is None else control.number(event.response_id))

    def _stats(self, event: control.Stats) -> None:
        if event.heard is None or event.said is None:
            self._tell(StatsRequested())
        else:
            self._tell(StatsReceived(event.heard, event.said))

    def _unknown(self, event: records.UnknownEvent) -> None:
        raise records.EventError("unknown_event", f"no event is called {event.type!r}", event.event_id)

    # --- common ----------------------------------------------------------------------------------------

    def _heard(self, progress: list[Progress]) -> None:
        for event in progress:
            self._tell(event)
            if isinstance(event, UtteranceCommitted):
                self.send_control(control.AudioCommitted(utterance=event.utterance, frames=event.frames))

    def _cancel(self, item: int | None) -> None:
        for done in self._downlink.cancel(item):
            if isinstance(done, Finished):
                self._finish(done)
                self._tell(ResponseCancelled(done.item, done.played_ms or 0))
            else:
                self._act(done)

    def _settle(self) -> None:
        for done in self._downlink.pump(self._now):
            if isinstance(done, SendStream):
                self._act(done)
            else:
                self._finish(done)

    def _finish(self, done: Finished) -> None:
        response = control.Response(
            id=control.response_id(done.item), status="cancelled" if done.cancelled else "completed"
        )
        item = control.Item(
            id=control.item_id(done.item), status="incomplete" if done.cancelled else "completed"
        )
        self.send_control(
            control.OutputAudioDone(response_id=response.id, item_id=item.id, frames=done.frames)
        )
        self.send_control(control.OutputItemDone(response_id=response.id, item=item))
        self.send_control(control.ResponseDone(response=response))

    def _state(self) -> control.SessionState:
        return control.SessionState(id=self.session_id, lead_ms=self._downlink.window.lead_ms)

    def _send_fault(self, code: str, message: str, event_id: str | None) -> None:
        body = control.ErrorBody(type="invalid_request_error", code=code, message=message, event_id=event_id)
        self.send_control(control.Error(error=body))

    def _give_up(self, error: WireError) -> None:
        self._send_fault(error.code.name.lower(), str(error), None)
        super()._give_up(error)

    def _act(self, action: Action) -> None:
        if self._before_open is not None and isinstance(action, SendControl):
            self._before_open.append(action)
        else:
            super()._act(action)
