"""The caller's end of a call: says, hears, and reports what has been heard."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from edge.voice import control, records
from edge.voice.actions import Action, CloseSession, SendControl, SendDatagram, StopStream
from edge.voice.base import Session
from edge.voice.deadline import PRESETS, Deadlines, Preset
from edge.voice.errors import Code, WireError
from edge.voice.events import (
    Account,
    CallContinued,
    CallerEvent,
    ErrorReceived,
    StatsReceived,
)
from edge.voice.frame import Codec
from edge.voice.hearing import Hearing
from edge.voice.lead import DEFAULT_LEAD_MS, Lead
from edge.voice.ledger import FrameLedger, LedgerCount
from edge.voice.notices import NOTICES
from edge.voice.playout import DEFAULT_START_MS
from edge.voice.reports import Reports
from edge.voice.utterances import Clear, Commit, Step, StreamNumbers, UtteranceWriter

GAP_MS = PRESETS["accurate"].uplink_ms
"""Without a deadline, for how long the edge waits for what a caller could not keep long enough; all else gets through."""


class CallerSession(Session[CallerEvent, control.EdgeEvent]):
    """One call at the caller; see `Session` for how to drive it."""

    def __init__(
        self,
        now: float,
        *,
        lead_ms: Lead | None = None,
        deadline: Preset | Deadlines | None = None,
        token: str | None = None,
        backend: str | None = None,
        fields: Mapping[str, Any] | None = None,
        codec: Codec = Codec.OPUS,
        start_ms: int = DEFAULT_START_MS,
    ) -> None:
        """The call begins ``now``; what is None is left to the edge. ``fields`` of the session are for the backend."""
        super().__init__(records.edge_events)
        self._hearing = Hearing(start_ms)
        self.playout = self._hearing.playout
        self.deadlines = Deadlines(None, None)
        """What holds as far as is known here."""
        self.lead_ms: Lead = lead_ms or DEFAULT_LEAD_MS
        """How far ahead of the playout the edge writes, as far as is known here."""
        self.resume_token: str | None = None
        """By which `reconnect` can continue the call."""
        self.frames_unheard = 0
        """Of utterances that the edge has to their end, by its own word: neither heard nor declared lost."""
        self._numbers = StreamNumbers()
        self._words = UtteranceWriter(codec, self._numbers, None)
        self._reports = Reports(self.playout, now)
        self._now = now
        self._detached = False
        self._later: list[Action] | None = None  # until the edge has said that it knows the call
        self._gap_in: int | None = None  # an utterance of which words are lost, which should not be
        self._leaving = False
        self._left: control.Left | None = None
        self._place: control.EdgeSessionInfo | None = None  # as it was told last
        self._settings: dict[str, Any] = {}
        # What is neither here nor in `NOTICES` needs no answer: the same is learned from the audio.
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            control.DeadlineChanged: lambda event: self._agree(Deadlines(event.uplink_ms, event.downlink_ms)),
            control.AudioCommitted: self._committed,
            control.AudioCleared: lambda event: self._words.confirm(event.utterance),
            control.OutputItemAdded: lambda event: self._hearing.items.expect(control.number(event.item.id)),
            control.OutputAudioDone: self._output_audio_done,
            control.OutputItemDone: self._output_item_done,
            control.OutputCleared: lambda event: self._give_up_item(control.number(event.response_id)),
            control.SessionCreated: self._session_state,
            control.SessionUpdated: self._session_state,
            control.EdgeSessionInfo: self._session_info,
            control.Left: self._left_by_edge,
            control.Reconnected: self._reconnected,
            control.Stats: self._stats,
        }
        self._choose(deadline, {**(fields or {}), "lead_ms": lead_ms, "token": token, "backend": backend})

    # Counts are of what the edge has part in that has the call now.

    @property
    def said(self) -> FrameLedger:
        return self._words.said

    @property
    def heard(self) -> FrameLedger:
        return self._hearing.ledger

    @property
    def received(self) -> LedgerCount:
        """Frames heard, and lost."""
        return self._hearing.count

    @property
    def frames_late(self) -> int:
        """Frames that came after they had been declared lost."""
        return self._hearing.late

    @property
    def open_ms(self) -> int:
        """How much has been said of utterances that the edge has not confirmed."""
        return self._words.open_ms

    @property
    def leaving(self) -> bool:
        """Whether what is said is only kept: the edge has been asked to let go (`leave`)."""
        return self._leaving

    # --- verbs -----------------------------------------------------------------------------------------

    def update_session(
        self,
        *,
        lead_ms: Lead | None = None,
        deadline: Preset | Deadlines | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Choose settings; an edge answers an impossible one by an `ErrorReceived`."""
        self._choose(deadline, {**(fields or {}), "lead_ms": lead_ms})

    def set_rtt(self, rtt_s: float) -> None:
        """The carrier's smoothed round-trip time."""
        self._words.set_rtt(rtt_s)

    def send_frames(self, payloads: Sequence[bytes], now: float) -> None:
        """Say the next frames of the utterance, 20 ms each. Raises ValueError for a size that none can have."""
        self._now = now
        _, steps = self._words.write(payloads, now)
        self._say(steps)

    def commit(self, now: float) -> int:
        """The utterance is over; its number. Raises ValueError if nothing was said."""
        self._now = now
        utterance, steps = self._words.commit(now)
        self._say(steps)
        return utterance

    def clear(self, now: float) -> int:
        """Take back what was said since the last commit; its number. Raises ValueError if nothing was."""
        self._now = now
        utterance, steps = self._words.clear()
        self._say(steps)
        return utterance

    def request_response(self, fields: Mapping[str, Any] | None = None) -> None:
        """Ask the backend to speak; ``fields`` are further members of the event."""
        self.send_control({**(fields or {}), "type": "response.create"})

    def cancel(self, now: float) -> None:
        """Interrupt: silence at once, and nothing more of what is being said, unless it is taken back in time."""
        self._now = now
        items, streams = self._hearing.interrupt(now)
        for stream in streams:
            self._act(StopStream(stream, Code.CANCELLED))
        self._act(SendDatagram(self._reports.make(now)))
        for item in items:
            self.send_control(control.CancelResponse(response_id=control.response_id(item)))
        self._settle()

    def resume(self, now: float) -> bool:
        """It was no interruption: go on. False if it is too late for that, `RESUME_S` after `cancel`."""
        self._now = now
        heard = self._hearing.resume(now)
        if heard is None:
            return False
        self._tell_all(heard)
        item, frames = self._hearing.items.position
        self.send_control(control.Resume(item_id=control.item_id(item), frames=frames))
        self._settle()
        return True

    def truncate(self, item: int, audio_end_ms: int) -> None:
        """Have the backend forget what it said in ``item`` behind ``audio_end_ms``; `Truncated` is the answer."""
        self.send_control(control.TruncateItem(item_id=control.item_id(item), audio_end_ms=audio_end_ms))

    # --- one carrier after another ---------------------------------------------------------------------

    def detach(self, now: float) -> None:
        """The carrier is gone. What is heard is played on, what is said is kept for `reconnect`."""
        self._now = now
        self._detached = True
        self._leaving = False
        if self._later is None:
            self._later = [action for action in self._actions if isinstance(action, SendControl)]
        self._actions.clear()
        self._records = records.RecordStream()
        self._words.detach()
        self._tell_all(self._hearing.detach(now))

    def leave(self, now: float) -> None:
        """Another carrier stands: have the edge let go of this one. `EdgeLeft` is told when it has said all it had.

        Nothing but heartbeats is sent from now on; `reconnect` must follow.
        """
        self._now = now
        self.send_control(control.Leave())
        self._leaving, self._later = True, []
        self._words.detach()

    def hello(self) -> bytes:
        """What asks an edge, on another carrier, to continue the call. Raises ValueError without a `resume_token`."""
        if self.resume_token is None:
            raise ValueError("no edge has said how to continue this call")
        item, frames = self._hearing.items.position
        hello = control.Reconnect(
            resume_token=self.resume_token, item=item, frames=frames, utterance=self._words.unconfirmed
        )
        return records.encode(hello) + records.encode(control.SessionUpdate(session=self._settings))

    def change_carrier(self, now: float) -> None:
        """Go on with another carrier, on which the edge has been asked (`hello`) and has agreed."""
        self.detach(now)
        self._detached = False
        self._numbers.restart()

    def reconnect(self, now: float) -> None:
        """There is another carrier: ask the edge to continue the call on it. `CallContinued` is told when it does.

        An `ErrorReceived` with the code ``unknown_session`` is told if it does not; then the carrier is good for another
        session. Raises ValueError without a `resume_token`.
        """
        hello = self.hello()
        self.change_carrier(now)
        super()._act(SendControl(hello))
        self._settle()

    # --- time ------------------------------------------------------------------------------------------

    def get_timer(self) -> float | None:
        """When a report is due, the playout reaches its end, or something is too late."""
        if self.closed:
            return None
        timers = [self._hearing.get_timer()]
        if not self._detached:
            timers += [self._reports.due_at, self._words.get_timer()]
        return min((at for at in timers if at is not None), default=None)

    def _settle(self) -> None:
        self._tell_all(self._hearing.settle(self._now))
        for expired in self._words.handle_timer(self._now):
            self._act(expired)
        report = self._reports.take(self._now)
        if report is not None:
            self._act(SendDatagram(report))

    # --- the edge's bytes ------------------------------------------------------------------------------

    def _on_stream(self, stream_id: int, data: bytes, fin: bool) -> None:
        self._tell_all(self._hearing.receive(stream_id, data, fin, self._now))

    def _on_reset(self, stream_id: int, code: int) -> None:
        self._tell_all(self._hearing.reset(stream_id, code, self._now))

    def _on_stop(self, stream: int, _code: int) -> None:
        raise WireError(f"own stream {stream}", "refused by the edge, so the utterance cannot be completed")

    def _on_datagram(self, data: bytes) -> None:
        self._tell_all(self._hearing.receive_datagram(data, self._now))

    def _on_event(self, event: control.EdgeEvent | records.OpenEvent) -> None:
        handler, notice = self._handlers.get(type(event)), NOTICES.get(type(event))
        if handler is not None:
            handler(event)
        if notice is not None and not self._is_old_news(event):
            self._tell(notice(event))

    def _on_event_error(self, error: records.EventError) -> None:
        self._tell(ErrorReceived(error.code, str(error), error.event_id))

    def _tell_all(self, events: Iterable[CallerEvent]) -> None:
        for event in events:
            self._tell(event)

    # --- what the edge says by event -------------------------------------------------------------------

    def _committed(self, event: control.AudioCommitted) -> None:
        said = self._words.frames_of(event.utterance)
        if said is not None:
            self.frames_unheard += said - event.frames - event.lost
        self._words.confirm(event.utterance)
        if self._gap_in is not None and event.utterance >= self._gap_in:
            self._gap_in = None
            self.send_control(control.SetDeadline(uplink_ms=None))

    def _output_audio_done(self, event: control.OutputAudioDone) -> None:
        self._tell_all(self._hearing.finish(control.number(event.item_id), event.frames, self._now))

    def _output_item_done(self, event: control.OutputItemDone) -> None:
        if event.item.status == "incomplete":
            self._give_up_item(control.number(event.item.id))

    def _give_up_item(self, item: int) -> None:
        self._tell_all(self._hearing.give_up(item, self._now))

    def _session_state(self, event: control.SessionCreated | control.SessionUpdated) -> None:
        self.lead_ms = event.session.lead_ms

    def _session_info(self, event: control.EdgeSessionInfo) -> None:
        self.resume_token = event.resume_token

    def _is_old_news(self, event: object) -> bool:
        """Another resume token, and nothing else."""
        if not isinstance(event, control.EdgeSessionInfo):
            return False
        before, self._place = self._place, msgspec.structs.replace(event, resume_token=None)
        return before == self._place

    def _left_by_edge(self, event: control.Left) -> None:
        self._left = event
        self.resume_token = event.resume_token

    def _reconnected(self, event: control.Reconnected) -> None:
        if self._later is None:
            raise WireError("control stream", "edge.reconnected, and nothing was lost")
        later, self._later = self._later, None
        before = self._close_account() if event.elsewhere else None
        self._left = None
        rewound = self._words.rewind(event.utterance, event.frames, self._now)
        if not rewound.whole and self.deadlines.uplink_ms is None:
            # What is not kept any more would be waited for without end.
            self._gap_in = self._words.in_hand
            self.send_control(control.SetDeadline(uplink_ms=GAP_MS))
        self._say(rewound.steps)
        for item in self._hearing.refused:
            self.send_control(control.CancelResponse(response_id=control.response_id(item)))
        for action in later:
            self._act(action)
        # Until the edge knows what has been played it may not write further.
        self._act(SendDatagram(self._reports.make(self._now)))
        self._tell(CallContinued(event.utterance, event.frames, rewound.whole, before))

    def _close_account(self) -> Account:
        """Of the edge before; with this one counting begins anew."""
        left, frames = self._left, None
        if left is not None:
            frames = left.heard.frames + left.heard.lost
        account = Account(
            sent=self._words.said_until(frames),
            heard_by_edge=left.heard if left else None,
            said_by_edge=left.said if left else None,
            received=self.received,
            received_late=self.frames_late,
            unheard=self.frames_unheard,
        )
        self.frames_unheard = 0
        self._words.count_anew()
        self._hearing.count_anew()
        self._place = None
        return account

    def _stats(self, event: control.Stats) -> None:
        if event.heard is None or event.said is None:
            self.answer_stats(self._hearing.count, self.said.count())
        else:
            self._tell(StatsReceived(event.heard, event.said))

    # --- common ----------------------------------------------------------------------------------------

    def _choose(self, deadline: Preset | Deadlines | None, others: Mapping[str, Any]) -> None:
        chosen = {name: value for name, value in others.items() if value is not None}
        if deadline is not None:
            self._agree(deadline if isinstance(deadline, Deadlines) else PRESETS[deadline])
            chosen["deadline"] = asdict(deadline) if isinstance(deadline, Deadlines) else deadline
        self._settings.update(chosen)
        self.send_control(control.SessionUpdate(session=chosen))

    def _agree(self, deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self._words.set_deadline(deadlines.uplink_ms)
        self._hearing.items.deadline_ms = deadlines.downlink_ms

    def _say(self, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case Commit(utterance, groups, frames):
                    self.send_control(control.CommitAudio(utterance=utterance, groups=groups, frames=frames))
                case Clear(utterance):
                    self.send_control(control.ClearAudio(utterance=utterance))
                case _:
                    self._act(step)

    def _act(self, action: Action) -> None:
        """Between two connections events wait; streams and datagrams are of the one that is gone."""
        if self._later is None or isinstance(action, CloseSession):
            super()._act(action)
        elif isinstance(action, SendControl):
            self._later.append(action)
        elif self._leaving and isinstance(action, SendDatagram):
            super()._act(action)
