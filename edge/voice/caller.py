"""The caller's end of a call: says, hears, and reports what has been heard."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge.voice import control, records, wire
from edge.voice.actions import SendDatagram, StopStream
from edge.voice.base import Session
from edge.voice.errors import Code, WireError
from edge.voice.events import (
    CallerEvent,
    ControlReceived,
    ErrorReceived,
    FramesReceived,
    SessionReady,
    StatsReceived,
    Transcript,
    UtteranceCommitted,
)
from edge.voice.frame import Codec
from edge.voice.groups import GroupWriter
from edge.voice.items import ItemReader, Progress
from edge.voice.ledger import FrameLedger
from edge.voice.playout import DEFAULT_START_MS, Playout

PLAYING_REPORT_S = 0.1
HEARTBEAT_S = 1.0
"""Reports are also the heartbeat by which the edge knows that the caller is there, so silence has them too."""


class CallerSession(Session[CallerEvent, control.EdgeEvent]):
    """One call at the caller; see `Session` for how to drive it."""

    def __init__(
        self,
        now: float,
        *,
        lead_ms: int | None = None,
        codec: Codec = Codec.OPUS,
        start_ms: int = DEFAULT_START_MS,
    ) -> None:
        """The call begins ``now``; None as ``lead_ms`` leaves the lead to the edge."""
        super().__init__(records.edge_events)
        self.said = FrameLedger()
        self.heard = FrameLedger()
        self.playout = Playout(start_ms)
        self._groups = GroupWriter(codec)
        self._items = ItemReader()
        self._began_at = self._now = now
        self._report_at = now + HEARTBEAT_S
        self._reported_transitions = 0
        # What is not listed needs no answer: the same is learned from the audio streams.
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            control.EdgeSessionInfo: self._session_info,
            control.AudioCommitted: self._audio_committed,
            control.OutputItemAdded: self._output_item_added,
            control.OutputItemDone: self._output_item_done,
            control.TranscriptDelta: self._transcript_delta,
            control.TranscriptDone: self._transcript_done,
            control.Error: self._error,
            control.Stats: self._stats,
            records.UnknownEvent: self._unknown,
        }
        self.update_session(lead_ms)

    # --- verbs -----------------------------------------------------------------------------------------

    def update_session(self, lead_ms: int | None) -> None:
        """Choose settings; an edge answers an impossible one by an `ErrorReceived`."""
        self.send_control(control.SessionUpdate(session=control.SessionSettings(lead_ms=lead_ms)))

    def send_frames(self, payloads: Sequence[bytes]) -> None:
        """Say the next frames of the utterance, 20 ms each. Raises ValueError for a size that none can have."""
        frames, sends = self._groups.write(payloads)
        self.said.record(frames)
        for send in sends:
            self._act(send)

    def commit(self) -> int:
        """The utterance is over; its number. Raises ValueError if nothing was said."""
        utterance, groups, ends = self._groups.commit()
        for end in ends:
            self._act(end)
        self.send_control(control.CommitAudio(utterance=utterance, groups=groups))
        return utterance

    def request_response(self) -> None:
        """Ask the backend to speak."""
        self.send_control(control.CreateResponse())

    def cancel(self, now: float) -> None:
        """Interrupt: silence at once, and nothing more of what is being said."""
        self._now = now
        self.playout.flush(now)
        items, streams = self._items.silence()
        for stream in streams:
            self._act(StopStream(stream, Code.CANCELLED))
        # By name, lest it hit an answer that the edge begins before this arrives.
        for item in items or [self.playout.item]:
            self.send_control(control.CancelResponse(response_id=control.response_id(item)))
        self._settle()

    # --- time ------------------------------------------------------------------------------------------

    def get_timer(self) -> float | None:
        """When the next report is due or the playout reaches its end."""
        if self.closed:
            return None
        ends_at = self.playout.get_timer()
        return self._report_at if ends_at is None else min(self._report_at, ends_at)

    def _settle(self) -> None:
        self.playout.advance(self._now)
        while self.playout.gaps:
            self._tell(self.playout.gaps.popleft())
        if self._now >= self._report_at or self.playout.transitions != self._reported_transitions:
            self._report()

    def _report(self) -> None:
        playout = self.playout
        self._reported_transitions = playout.transitions
        self._report_at = self._now + (PLAYING_REPORT_S if playout.playing else HEARTBEAT_S)
        report = wire.PlayoutReport(
            item=playout.item,
            played_ms=playout.played_ms,
            buffered_ms=playout.buffered_ms,
            underruns=playout.underruns,
            highest_group=playout.highest_group,
            client_ts_ms=int((self._now - self._began_at) * 1000),
        )
        self._act(SendDatagram(wire.encode_datagram(report)))

    # --- the edge's bytes ------------------------------------------------------------------------------

    def _on_stream(self, stream_id: int, data: bytes, fin: bool) -> None:
        self._listen(self._items.receive(stream_id, data, fin))

    def _on_reset(self, stream_id: int, _code: int) -> None:
        self._items.reset(stream_id)

    def _on_stop(self, stream: int, _code: int) -> None:
        raise WireError(f"own stream {stream}", "refused by the edge, so the utterance cannot be completed")

    def _on_datagram(self, data: bytes) -> None:
        raise WireError("datagram", f"{len(data)} bytes, but the edge has none to send")

    def _on_event(self, event: control.EdgeEvent | records.UnknownEvent) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _on_event_error(self, error: records.EventError) -> None:
        self._tell(ErrorReceived(error.code, str(error), error.event_id))

    def _listen(self, progress: list[Progress]) -> None:
        for event in progress:
            if isinstance(event, FramesReceived):
                self.heard.record(event.frames)
                self.playout.push(event.item, len(event.frames), self._now)
            else:
                self.playout.end(event.item, self._now)
            self._tell(event)

    # --- what the edge says by event -------------------------------------------------------------------

    def _session_info(self, event: control.EdgeSessionInfo) -> None:
        self._tell(
            SessionReady(event.session_id, event.node, event.unicast_url, event.resume_token, event.migrated)
        )

    def _audio_committed(self, event: control.AudioCommitted) -> None:
        self._tell(UtteranceCommitted(event.utterance, event.frames))

    def _output_item_added(self, event: control.OutputItemAdded) -> None:
        self._items.expect(control.number(event.item.id))

    def _output_item_done(self, event: control.OutputItemDone) -> None:
        if event.item.status == "incomplete":
            self._listen(self._items.cancel(control.number(event.item.id)))

    def _transcript_delta(self, event: control.TranscriptDelta) -> None:
        self._tell(Transcript(control.number(event.item_id), event.delta, done=False))

    def _transcript_done(self, event: control.TranscriptDone) -> None:
        self._tell(Transcript(control.number(event.item_id), event.transcript, done=True))

    def _error(self, event: control.Error) -> None:
        self._tell(ErrorReceived(event.error.code, event.error.message, event.error.event_id))

    def _stats(self, event: control.Stats) -> None:
        if event.heard is None or event.said is None:
            self.answer_stats(self.heard.count(), self.said.count())
        else:
            self._tell(StatsReceived(event.heard, event.said))

    def _unknown(self, event: records.UnknownEvent) -> None:
        self._tell(ControlReceived(event.fields))
