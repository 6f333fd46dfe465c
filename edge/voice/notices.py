"""What an edge says on the control stream, as the owner of a caller's session is told."""

from collections.abc import Callable, Mapping
from typing import Any

from edge.voice import control, records
from edge.voice.anatomy import Turn
from edge.voice.barge_in import BargeIn
from edge.voice.deadline import Deadlines
from edge.voice.events import (
    AskedToMove,
    BargedIn,
    CallerEvent,
    CallerTranscript,
    ControlReceived,
    DeadlinesAgreed,
    EdgeLeft,
    ErrorReceived,
    SessionReady,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    Truncated,
    TurnTimed,
    UtteranceCleared,
    UtteranceCommitted,
)


def _session_info(event: control.EdgeSessionInfo) -> CallerEvent:
    return SessionReady(event.session_id, event.node, event.unicast_url, event.resume_token, event.migrated)


def _barged_in(event: control.BargedIn) -> CallerEvent:
    return BargedIn(
        BargeIn(
            item=control.number(event.item_id),
            played_ms=event.played_ms,
            generated_bytes=event.generated_bytes,
            wire_bytes=event.wire_bytes,
            played_bytes=event.wire_bytes - event.wasted_bytes,
            cancel_ms=event.cancel_ms,
        )
    )


def _turn_timed(event: control.TurnTimed) -> CallerEvent:
    return TurnTimed(Turn(control.number(event.item_id), event.backend_ms, event.wire_ms, event.played_ms))


def _deadline(event: control.DeadlineChanged) -> CallerEvent:
    deadlines = Deadlines(event.uplink_ms, event.downlink_ms)
    return DeadlinesAgreed(deadlines, event.uplink_datagrams, event.downlink_datagrams)


NOTICES: Mapping[type, Callable[[Any], CallerEvent]] = {
    control.EdgeSessionInfo: _session_info,
    control.DeadlineChanged: _deadline,
    control.AudioCommitted: lambda event: UtteranceCommitted(event.utterance, event.frames, event.lost),
    control.AudioCleared: lambda event: UtteranceCleared(event.utterance),
    control.SpeechStarted: lambda event: SpeechStarted(event.audio_start_ms),
    control.SpeechStopped: lambda event: SpeechStopped(event.audio_end_ms),
    control.InputTranscriptDelta: lambda event: CallerTranscript(event.delta, done=False),
    control.InputTranscriptDone: lambda event: CallerTranscript(event.transcript, done=True),
    control.TranscriptDelta: lambda event: Transcript(control.number(event.item_id), event.delta, done=False),
    control.TranscriptDone: lambda event: Transcript(
        control.number(event.item_id), event.transcript, done=True
    ),
    control.ItemTruncated: lambda event: Truncated(control.number(event.item_id), event.audio_end_ms),
    control.GoAway: lambda event: AskedToMove(event.url, event.reason, event.within_ms, event.leave),
    control.Left: lambda event: EdgeLeft(event.heard, event.said),
    control.BargedIn: _barged_in,
    control.TurnTimed: _turn_timed,
    control.Error: lambda event: ErrorReceived(event.error.code, event.error.message, event.error.event_id),
    records.UnknownEvent: lambda event: ControlReceived(event.fields),
}
"""One entry for each kind of event that the owner is told of, whether or not something else follows from it."""
