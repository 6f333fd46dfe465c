"""What an edge says on the control stream."""

from typing import Literal

import msgspec

from edge.voice.control_base import DeadlineMs, Event, ItemId, LeadMs, Number, ResponseId, Stats
from edge.voice.ledger import LedgerCount

ResponseStatus = Literal["in_progress", "completed", "cancelled"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
GoAwayReason = Literal["anycast", "drain", "reload", "overload"]
"""The caller is on the service address still; the node goes out of service, or is renewed, or has too much to do."""


class DeadlineState(msgspec.Struct, frozen=True):
    uplink_ms: DeadlineMs | None
    downlink_ms: DeadlineMs | None


class SessionState(msgspec.Struct, frozen=True):
    id: str
    lead_ms: LeadMs | Literal["auto"]
    deadline: DeadlineState


class SessionCreated(Event, frozen=True, tag="session.created"):
    """The first event: what holds before the caller has chosen."""

    session: SessionState


class SessionUpdated(Event, frozen=True, tag="session.updated"):
    """What holds after a ``session.update``."""

    session: SessionState


class DeadlineChanged(Event, frozen=True, tag="edge.deadline"):
    """What a frame is worth in either direction, and whether that is too short for streams at the present round trip."""

    uplink_ms: DeadlineMs | None
    downlink_ms: DeadlineMs | None
    uplink_datagrams: bool
    downlink_datagrams: bool


class AudioCommitted(Event, frozen=True, tag="input_audio_buffer.committed"):
    """A committed utterance is over: ``frames`` of it have arrived, ``lost`` never will."""

    utterance: Number
    frames: Number
    lost: Number = 0


class AudioCleared(Event, frozen=True, tag="input_audio_buffer.cleared"):
    """An utterance has been dropped, as asked."""

    utterance: Number


class SpeechStarted(Event, frozen=True, tag="input_audio_buffer.speech_started"):
    """The backend hears the caller speak, since ``audio_start_ms`` of the utterance."""

    audio_start_ms: Number


class SpeechStopped(Event, frozen=True, tag="input_audio_buffer.speech_stopped"):
    """The caller has stopped speaking, at ``audio_end_ms`` of the utterance."""

    audio_end_ms: Number


class InputTranscriptDelta(Event, frozen=True, tag="conversation.item.input_audio_transcription.delta"):
    """What the backend understands of the caller: the next piece."""

    delta: str


class InputTranscriptDone(Event, frozen=True, tag="conversation.item.input_audio_transcription.completed"):
    """What the backend has understood of the caller's utterance."""

    transcript: str


class Response(msgspec.Struct, frozen=True):
    id: ResponseId
    status: ResponseStatus
    object: Literal["realtime.response"] = "realtime.response"


class ResponseCreated(Event, frozen=True, tag="response.created"):
    """The backend begins to answer."""

    response: Response


class ResponseDone(Event, frozen=True, tag="response.done"):
    """Nothing more of this response will be written: it is completed, or was cancelled."""

    response: Response


class Item(msgspec.Struct, frozen=True):
    id: ItemId
    status: ItemStatus
    object: Literal["realtime.item"] = "realtime.item"
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"


class OutputItemAdded(Event, frozen=True, tag="response.output_item.added"):
    """A response has this item; its audio may have come before this event."""

    response_id: ResponseId
    item: Item
    output_index: Number = 0


class OutputItemDone(Event, frozen=True, tag="response.output_item.done"):
    """An item is completed, or stays incomplete because it was interrupted."""

    response_id: ResponseId
    item: Item
    output_index: Number = 0


class OutputAudioDone(Event, frozen=True, tag="response.output_audio.done"):
    """All ``frames`` of the item have been written, or all that ever will be."""

    response_id: ResponseId
    item_id: ItemId
    frames: Number
    output_index: Number = 0
    content_index: Number = 0


class TranscriptDelta(Event, frozen=True, tag="response.output_audio_transcript.delta"):
    """What is said in an item, as text: the next piece."""

    item_id: ItemId
    delta: str


class TranscriptDone(Event, frozen=True, tag="response.output_audio_transcript.done"):
    """What is said in an item, as text: the whole."""

    item_id: ItemId
    transcript: str


class ItemTruncated(Event, frozen=True, tag="conversation.item.truncated"):
    """The backend is told that ``audio_end_ms`` of the item were heard: never more than was received."""

    item_id: ItemId
    audio_end_ms: Number
    content_index: Number = 0


class OutputCleared(Event, frozen=True, tag="output_audio_buffer.cleared"):
    """Nothing more of this response shall be heard: throw away what is not yet played."""

    response_id: ResponseId


class BargedIn(Event, frozen=True, tag="edge.barge_in"):
    """What an interruption saved. Bytes are payload: generated = wire + saved, wasted = wire - played."""

    item_id: ItemId
    played_ms: Number
    generated_bytes: Number
    wire_bytes: Number
    wasted_bytes: Number
    saved_bytes: Number
    cancel_ms: float | None


class TurnTimed(Event, frozen=True, tag="edge.turn"):
    """An answer's first steps, in milliseconds since the end of the caller's speech; null is not known."""

    response_id: ResponseId
    item_id: ItemId
    backend_ms: float
    wire_ms: float | None
    played_ms: float | None
    edge_added_ms: float | None


class Reconnected(Event, frozen=True, tag="edge.reconnected"):
    """The call goes on: ``frames`` of ``utterance`` are here, all before it is whole. Say again what is behind them.

    With ``elsewhere`` the call was another node's: both ends count frames from 0 again.
    """

    utterance: Number
    frames: Number
    elsewhere: bool = False


class GoAway(Event, frozen=True, tag="edge.goaway"):
    """Please go on at ``url``, or null at the service address, ``within_ms``; with ``leave`` say `edge.leave` here first."""

    url: str | None
    reason: GoAwayReason
    within_ms: Number
    leave: bool


class Left(Event, frozen=True, tag="edge.left"):
    """The answer to `edge.leave`: all has been written, nothing follows, and this is what was counted here."""

    resume_token: str
    heard: LedgerCount
    said: LedgerCount


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """``type`` says whose fault, ``code`` what, ``event_id`` which event of the peer is meant."""

    type: Literal["invalid_request_error", "server_error"]
    code: str
    message: str
    event_id: str | None = None


class Error(Event, frozen=True, tag="error"):
    """Something could not be done, or made no sense; the call goes on."""

    error: ErrorBody


class EdgeSessionInfo(Event, frozen=True, tag="edge.session"):
    """Who answered and where the call lives; sent again when ``migrated`` changes."""

    session_id: str
    node: str
    unicast_url: str
    resume_token: str | None
    migrated: bool


EdgeEvent = (
    SessionCreated
    | SessionUpdated
    | DeadlineChanged
    | AudioCommitted
    | AudioCleared
    | SpeechStarted
    | SpeechStopped
    | InputTranscriptDelta
    | InputTranscriptDone
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | OutputAudioDone
    | TranscriptDelta
    | TranscriptDone
    | ItemTruncated
    | OutputCleared
    | BargedIn
    | TurnTimed
    | Reconnected
    | GoAway
    | Left
    | Error
    | EdgeSessionInfo
    | Stats
)
