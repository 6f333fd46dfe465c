"""What the backend may say, as far as the adapter has to understand it: parsed, or refused."""

from typing import Annotated, Any

import msgspec

from edge.backend.dialect import Fault, Message, nonsense

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=2**48)]


class Event(msgspec.Struct, frozen=True, tag_field="type"):
    """The base of all; fields that are not understood are ignored."""


class SessionCreated(Event, frozen=True, tag="session.created"):
    session: dict[str, Any]


class SessionUpdated(Event, frozen=True, tag="session.updated"):
    session: dict[str, Any]


class ErrorBody(msgspec.Struct, frozen=True):
    message: str = "no reason given"
    type: str | None = None
    code: str | None = None
    event_id: str | None = None


class Error(Event, frozen=True, tag="error"):
    error: ErrorBody


class SpeechStarted(Event, frozen=True, tag="input_audio_buffer.speech_started"):
    audio_start_ms: Milliseconds


class SpeechStopped(Event, frozen=True, tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: Milliseconds


class AudioCommitted(Event, frozen=True, tag="input_audio_buffer.committed"):
    pass


class Response(msgspec.Struct, frozen=True):
    """``conversation_id`` is null for one beside the conversation; ``status_details`` says why one ended."""

    id: Id
    status: str | None = None
    status_details: dict[str, Any] | None = None
    conversation_id: str | msgspec.UnsetType | None = msgspec.UNSET


class ResponseCreated(Event, frozen=True, tag="response.created"):
    response: Response


class ResponseDone(Event, frozen=True, tag="response.done"):
    response: Response


class Item(msgspec.Struct, frozen=True):
    id: Id
    type: str
    status: str | None = None
    name: str | None = None


class OutputItemAdded(Event, frozen=True, tag="response.output_item.added"):
    response_id: Id
    item: Item


class OutputItemDone(Event, frozen=True, tag="response.output_item.done"):
    response_id: Id
    item: Item


class AudioDelta(Event, frozen=True, tag="response.output_audio.delta"):
    """``delta`` travels as base64."""

    response_id: Id
    item_id: Id
    delta: bytes
    content_index: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0


class TranscriptDelta(Event, frozen=True, tag="response.output_audio_transcript.delta"):
    response_id: Id
    item_id: Id
    delta: str


class TranscriptDone(Event, frozen=True, tag="response.output_audio_transcript.done"):
    response_id: Id
    item_id: Id
    transcript: str


class ArgumentsDone(Event, frozen=True, tag="response.function_call_arguments.done"):
    item_id: Id
    name: str | None = None


class ItemAdded(Event, frozen=True, tag="conversation.item.added"):
    item: Item


Understood = (
    SessionCreated
    | SessionUpdated
    | Error
    | SpeechStarted
    | SpeechStopped
    | AudioCommitted
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | AudioDelta
    | TranscriptDelta
    | TranscriptDone
    | ArgumentsDone
    | ItemAdded
)

_TAGS = frozenset(event.__struct_config__.tag for event in Understood.__args__)
_understood: msgspec.json.Decoder[Understood] = msgspec.json.Decoder(Understood)


class _Envelope(msgspec.Struct):
    type: Annotated[str, msgspec.Meta(max_length=200)]


_envelope = msgspec.json.Decoder(_Envelope)


def decode(message: Message) -> Understood | None:
    """None for an event that is not understood. Raises `Fault` for what is none, or an understood one spoilt."""
    if isinstance(message, bytes):
        raise nonsense("the backend sends binary messages, which this protocol has not")
    try:
        name = _envelope.decode(message).type
        return _understood.decode(message) if name in _TAGS else None
    except (ValueError, RecursionError) as error:
        raise _spoilt(error) from None


def whole(message: Message) -> dict[str, Any]:
    """All fields of an event. Raises `Fault`."""
    try:
        return msgspec.json.decode(message, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise _spoilt(error) from None


def _spoilt(error: Exception) -> Fault:
    return nonsense(f"the backend sends what is no event: {error}")
