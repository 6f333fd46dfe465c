"""The vocabulary of the control stream: one struct for each event.

Names and fields are those of the OpenAI Realtime API; fields that it lacks are ours, and so are the events
under the prefix ``edge.``. Unknown fields are ignored: a newer peer may say more than an older one knows.

JSON names responses and items ``resp_3`` and ``item_3``, the wire just 3.
"""

from typing import Annotated, Literal

import msgspec

from edge.voice.lead import MAX_LEAD_MS, MIN_LEAD_MS
from edge.voice.ledger import LedgerCount
from edge.voice.varint import MAX_VARINT

Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_VARINT)]
LeadMs = Annotated[int, msgspec.Meta(ge=MIN_LEAD_MS, le=MAX_LEAD_MS)]
EventId = Annotated[str, msgspec.Meta(max_length=128)]
ItemId = Annotated[str, msgspec.Meta(pattern="^item_[0-9]{1,15}\\Z")]
ResponseId = Annotated[str, msgspec.Meta(pattern="^resp_[0-9]{1,15}\\Z")]


def item_id(number: int) -> ItemId:
    return f"item_{number}"


def response_id(number: int) -> ResponseId:
    return f"resp_{number}"


def number(identifier: ItemId | ResponseId) -> int:
    """The number in an identifier that has been decoded."""
    return int(identifier.partition("_")[2])


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """What all events may carry: an identifier of the sender's choice, repeated in an `Error` about it."""

    event_id: EventId | None = None


# --- caller to edge ------------------------------------------------------------------------------------


class SessionSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a caller may choose; None leaves it as it is."""

    lead_ms: LeadMs | None = None


class SessionUpdate(Event, frozen=True, tag="session.update"):
    session: SessionSettings


class CommitAudio(Event, frozen=True, tag="input_audio_buffer.commit"):
    """The utterance is over; it consists of ``groups`` streams, some of which may not have arrived."""

    utterance: Number
    groups: Number


class CreateResponse(Event, frozen=True, tag="response.create"):
    """The caller wants to be answered."""


class CancelResponse(Event, frozen=True, tag="response.cancel"):
    """Stop one response, or with None whatever is being said."""

    response_id: ResponseId | None = None


# --- edge to caller ------------------------------------------------------------------------------------


class SessionState(msgspec.Struct, frozen=True):
    id: str
    lead_ms: LeadMs


class SessionCreated(Event, frozen=True, tag="session.created"):
    session: SessionState


class SessionUpdated(Event, frozen=True, tag="session.updated"):
    session: SessionState


class AudioCommitted(Event, frozen=True, tag="input_audio_buffer.committed"):
    """All ``frames`` of a committed utterance have arrived."""

    utterance: Number
    frames: Number


class Response(msgspec.Struct, frozen=True):
    id: ResponseId
    status: Literal["in_progress", "completed", "cancelled"]
    object: Literal["realtime.response"] = "realtime.response"


class ResponseCreated(Event, frozen=True, tag="response.created"):
    response: Response


class ResponseDone(Event, frozen=True, tag="response.done"):
    response: Response


class Item(msgspec.Struct, frozen=True):
    id: ItemId
    status: Literal["in_progress", "completed", "incomplete"]
    object: Literal["realtime.item"] = "realtime.item"
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"


class OutputItemAdded(Event, frozen=True, tag="response.output_item.added"):
    response_id: ResponseId
    item: Item
    output_index: Number = 0


class OutputItemDone(Event, frozen=True, tag="response.output_item.done"):
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
    item_id: ItemId
    delta: str


class TranscriptDone(Event, frozen=True, tag="response.output_audio_transcript.done"):
    item_id: ItemId
    transcript: str


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """``type`` says whose fault, ``code`` what, ``event_id`` which event of the peer is meant."""

    type: Literal["invalid_request_error", "server_error"]
    code: str
    message: str
    event_id: str | None = None


class Error(Event, frozen=True, tag="error"):
    error: ErrorBody


class EdgeSessionInfo(Event, frozen=True, tag="edge.session"):
    """Who answered and where the call lives; sent again when ``migrated`` changes."""

    session_id: str
    node: str
    unicast_url: str
    resume_token: str | None
    migrated: bool


# --- both ways -----------------------------------------------------------------------------------------


class Stats(Event, frozen=True, tag="edge.stats"):
    """Without counts a question, with both the answer: what the sender has heard and said so far."""

    heard: LedgerCount | None = None
    said: LedgerCount | None = None


CallerEvent = SessionUpdate | CommitAudio | CreateResponse | CancelResponse | Stats
EdgeEvent = (
    SessionCreated
    | SessionUpdated
    | AudioCommitted
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | OutputAudioDone
    | TranscriptDelta
    | TranscriptDone
    | Error
    | EdgeSessionInfo
    | Stats
)
