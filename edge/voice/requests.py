"""What a caller asks for on the control stream, and what follows from it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from edge.voice import control, records
from edge.voice.actions import Action
from edge.voice.agreement import Agreement
from edge.voice.downlink import Downlink, Dropped
from edge.voice.events import (
    ClientEvent,
    EdgeEvent,
    LeaveRequested,
    Presented,
    ReconnectRequested,
    ResponseRequested,
    SessionUpdated,
    StatsReceived,
    StatsRequested,
    Truncated,
)
from edge.voice.uplink import Uplink

Outcome = EdgeEvent | control.Event | Action | Dropped
"""What the owner is told, what the caller is sent, what the carrier is asked, and what has become of items."""


class Requests:
    """Each event is understood, or raises `records.EventError` and changes nothing."""

    def __init__(self, agreement: Agreement, uplink: Uplink, downlink: Downlink) -> None:
        self.resumes: ReconnectRequested | None = None
        """What the caller asked to continue when it came."""
        self._agreement = agreement
        self._uplink = uplink
        self._downlink = downlink
        self._taken = 0
        self._presented = False
        self._handlers: Mapping[type, Callable[[Any, float], Sequence[Outcome]]] = {
            control.SessionUpdate: self._update_session,
            control.SetDeadline: self._set_deadline,
            control.CommitAudio: self._commit,
            control.ClearAudio: self._clear,
            control.TruncateItem: self._truncate,
            control.CancelResponse: self._cancel_response,
            control.ClearOutput: self._clear_output,
            control.Resume: self._resume,
            control.Reconnect: self._reconnect,
            control.Leave: lambda *_: [LeaveRequested()],
            control.Stats: self._stats,
            records.PassedOnEvent: self._pass_on,
            records.UnknownEvent: self._unknown,
        }

    def take(self, event: control.CallerEvent | records.OpenEvent, now: float) -> Sequence[Outcome]:
        """What follows from ``event``, in order."""
        self._taken += 1
        outcomes = self._handlers[type(event)](event, now)
        if self._presented or isinstance(event, control.SessionUpdate | control.Reconnect):
            return outcomes
        self._presented = True
        return [Presented(None, None), *outcomes]

    # --- settings --------------------------------------------------------------------------------------

    def _update_session(self, event: control.SessionUpdate, _now: float) -> Sequence[Outcome]:
        try:
            chosen, fields = control.settings(event)
        except msgspec.ValidationError as invalid:
            raise records.EventError("invalid_event", f"session.update: {invalid}", event.event_id) from None
        self._agreement.choose(chosen)
        self._apply()
        agreed = self._agreement
        first = [] if self._presented else [Presented(chosen.token, chosen.backend)]
        self._presented = True
        return [
            *first,
            control.SessionUpdated(session=agreed.state()),
            *agreed.news(),
            SessionUpdated(agreed.lead, agreed.deadlines, fields),
        ]

    def _set_deadline(self, event: control.SetDeadline, _now: float) -> Sequence[Outcome]:
        self._agreement.deadlines = event.change(self._agreement.deadlines)
        self._apply()
        return self._agreement.news()

    def _apply(self) -> None:
        self._downlink.window.choose(self._agreement.lead)
        self._downlink.deadlines = self._agreement.deadlines
        self._uplink.set_deadline(self._agreement.deadlines.uplink_ms)

    # --- speech ----------------------------------------------------------------------------------------

    def _commit(self, event: control.CommitAudio, now: float) -> Sequence[Outcome]:
        return self._uplink.commit(event.utterance, event.groups, event.frames, now)

    def _clear(self, event: control.ClearAudio, now: float) -> Sequence[Outcome]:
        return self._uplink.clear(event.utterance, now)

    # --- answers ---------------------------------------------------------------------------------------

    def _truncate(self, event: control.TruncateItem, _now: float) -> Sequence[Outcome]:
        item = control.number(event.item_id)
        audio_end_ms = self._downlink.truncation_ms(item, event.audio_end_ms)
        if audio_end_ms is None:
            raise records.EventError(
                "unknown_item", f"{event.item_id} is not known (any more)", event.event_id
            )
        truncated = control.ItemTruncated(
            item_id=event.item_id, content_index=event.content_index, audio_end_ms=audio_end_ms
        )
        return [truncated, Truncated(item, audio_end_ms)]

    def _cancel_response(self, event: control.CancelResponse, now: float) -> Sequence[Outcome]:
        item = None if event.response_id is None else control.number(event.response_id)
        return self._downlink.interrupt(item, now)

    def _clear_output(self, _event: control.ClearOutput, now: float) -> Sequence[Outcome]:
        return self._downlink.interrupt(None, now)

    def _resume(self, event: control.Resume, _now: float) -> Sequence[Outcome]:
        if not self._downlink.resume(control.number(event.item_id), event.frames):
            raise records.EventError(
                "too_late", f"{event.item_id} is not interrupted (any more)", event.event_id
            )
        return []

    # --- the rest --------------------------------------------------------------------------------------

    def _reconnect(self, event: control.Reconnect, _now: float) -> Sequence[Outcome]:
        if self._taken > 1:
            raise records.EventError("too_late", "edge.reconnect: not the first event", event.event_id)
        self.resumes = ReconnectRequested(event.resume_token, event.item, event.frames, event.utterance)
        return [self.resumes]

    def _stats(self, event: control.Stats, _now: float) -> Sequence[Outcome]:
        if event.heard is None or event.said is None:
            return [StatsRequested()]
        return [StatsReceived(event.heard, event.said)]

    def _pass_on(self, event: records.PassedOnEvent, _now: float) -> Sequence[Outcome]:
        if isinstance(event.event, control.CreateResponse):
            # A backend can answer only when it knows that nothing more is to be said of the last answer.
            return [*self._downlink.lapse(), ResponseRequested(event.fields)]
        return [ClientEvent(event.fields)]

    def _unknown(self, event: records.UnknownEvent, _now: float) -> Sequence[Outcome]:
        raise records.EventError("unknown_event", f"no event is called {event.type!r}", event.event_id)
