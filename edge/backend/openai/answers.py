"""What the backend says, event by event, and what it thereby owes.

The edge speaks of items and responses itself, for it knows what the caller has heard of them (`edge.voice.session`).
So an event of the backend's goes one of four ways:

    understood: speech, transcripts, errors     a reply of the adapter
    said by the edge: how speech begins, ends    not repeated
    said by the edge, but telling: sessions,     wrapped as ``edge.backend``
        how a response ended, its usage
    all else                                     to the caller as it is, names translated
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, get_args

from edge.backend.base import BackendReply, Failed, Interrupted, SpeechStarted, SpeechStopped
from edge.backend.dialect import MAX_TEXT, Fault, Message, control, error, nonsense
from edge.backend.openai import events
from edge.backend.openai.requests import Purpose, purpose_of
from edge.backend.openai.session import TurnDetection, turn_detection
from edge.backend.openai.speech import Speech
from edge.backend.openai.uplink import Uplink
from edge.voice import control as vocabulary

MAX_ACTIVE: Final = 64
"""Responses that a backend may give at once."""
MAX_ANNOUNCED: Final = 1024
"""Items of responses that are kept in mind."""

_UNREPEATED = frozenset(
    {
        "conversation.item.truncated",
        "input_audio_buffer.cleared",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_audio.done",
    }
)
_SAID_BY_THE_EDGE = frozenset(event.__struct_config__.tag for event in get_args(vocabulary.EdgeEvent))
_FOR_THE_CALLER = "conversation.item.input_audio_transcription."
"""Of the edge's vocabulary, but never said by it."""
_NOTHING_TO_CANCEL = "response_cancel_not_active"


class Answers:
    """The backend's side of the conversation."""

    def __init__(self, speech: Speech, uplink: Uplink) -> None:
        self.detection: TurnDetection | None = None
        """How the backend finds turns: as it says, or until then as it is asked to. None if it does not."""
        self.asked = False
        """An answer is asked for, and has not begun."""
        self._greeted = False
        self._speech = speech
        self._uplink = uplink
        self._active: dict[str, bool] = {}  # responses; whether it is one of the conversation
        self._announced: dict[str, events.OutputItemAdded] = {}
        self._postponed: Mapping[str, Any] | None = None
        self._handlers: Mapping[type, Callable[[Any, Message], Iterator[BackendReply]]] = {
            events.SessionCreated: self._session,
            events.SessionUpdated: self._session,
            events.Error: self._error,
            events.SpeechStarted: self._speech_started,
            events.SpeechStopped: self._speech_stopped,
            events.AudioCommitted: self._audio_committed,
            events.ResponseCreated: self._response_created,
            events.ResponseDone: self._response_done,
            events.OutputItemAdded: self._item_added,
            events.OutputItemDone: self._item_done,
            events.AudioDelta: self._audio,
            events.TranscriptDelta: self._transcript,
            events.TranscriptDone: self._transcript,
            events.ArgumentsDone: self._arguments_done,
            events.ItemAdded: self._conversation_item_added,
        }

    # --- what it owes ----------------------------------------------------------------------------------

    @property
    def owed(self) -> bool:
        """The backend has to say something now."""
        return not self._greeted or self.asked or bool(self._active)

    def is_active(self, response: str) -> bool:
        return response in self._active

    def ask(self, request: Mapping[str, Any]) -> bool:
        """Whether ``request``, a ``response.create``, can be sent now; else it comes out of `next_request`.

        A backend gives one answer at a time; one that was cancelled goes on until it says that it has ended.
        """
        if self.asked or any(self._active.values()):
            self._postponed = request
            return False
        self.asked = True
        return True

    def next_request(self) -> Mapping[str, Any] | None:
        """What was postponed, once it can be sent."""
        request, self._postponed = self._postponed, None
        return request if request is not None and self.ask(request) else None

    # --- the connection --------------------------------------------------------------------------------

    def close(self) -> Iterator[BackendReply]:
        """It is gone."""
        yield from self._speech.end()
        self._speech.forget()
        self._greeted = self.asked = False
        self._active.clear()
        self._announced.clear()
        self._postponed = None

    def receive(self, message: Message) -> Iterator[BackendReply]:
        """Raises `Fault`."""
        event = events.decode(message)
        if event is not None:
            yield from self._handlers[type(event)](event, message)
            return
        fields = events.whole(message)
        name = fields["type"]
        if name in _UNREPEATED:
            return
        ours = name in _SAID_BY_THE_EDGE and not name.startswith(_FOR_THE_CALLER)
        yield from self._wrap(message) if ours or name.startswith("edge.") else self._pass_on(fields)

    def _pass_on(self, fields: Mapping[str, Any]) -> Iterator[BackendReply]:
        yield control(self._speech.names.for_caller(fields))

    def _wrap(self, message: Message) -> Iterator[BackendReply]:
        fields = self._speech.names.for_caller(events.whole(message))
        yield control({"type": "edge.backend", "event": fields})

    # --- sessions and errors ---------------------------------------------------------------------------

    def _session(
        self, event: events.SessionCreated | events.SessionUpdated, message: Message
    ) -> Iterator[BackendReply]:
        self._greeted = True
        if isinstance(event, events.SessionUpdated):
            # The one before it is the backend's own choice, which ours has already followed.
            self.detection = turn_detection(event.session, self.detection)
        yield from self._wrap(message)

    def _error(self, event: events.Error, _: Message) -> Iterator[BackendReply]:
        body = event.error
        reason = f"the backend says: {body.message}" + (f" ({body.code})" if body.code else "")
        purpose = purpose_of(body.event_id)
        if purpose is Purpose.SESSION or (not self._greeted and body.event_id is None):
            raise Fault("backend_refused", reason)
        if purpose is Purpose.UPKEEP or body.code == _NOTHING_TO_CANCEL:
            return
        if purpose is Purpose.TURN or (self.asked and body.event_id is None):
            self.asked = False
            yield self._failed(reason)
            return
        kind = "invalid_request_error" if body.type == "invalid_request_error" else "server_error"
        yield error(body.code or "backend_error", body.message, body.event_id, kind)

    def _failed(self, reason: str) -> BackendReply:
        """A turn has; if an earlier one is still being answered, that shall go on."""
        return (
            error("backend_error", reason)
            if self._speech.speaking
            else Failed("backend_error", reason[:MAX_TEXT])
        )

    # --- the caller's speech ---------------------------------------------------------------------------

    def _speech_started(self, event: events.SpeechStarted, _: Message) -> Iterator[BackendReply]:
        yield SpeechStarted(self._uplink.in_utterance_ms(event.audio_start_ms))
        if self.detection is None or self.detection.interrupts_response:
            self._speech.silence()
            yield Interrupted()

    def _speech_stopped(self, event: events.SpeechStopped, _: Message) -> Iterator[BackendReply]:
        yield SpeechStopped(self._uplink.in_utterance_ms(event.audio_end_ms))

    def _audio_committed(self, _event: events.AudioCommitted, _: Message) -> Iterator[BackendReply]:
        # The edge has said that to the caller. Here it means that the backend has found a turn.
        self.asked |= self.detection is not None and self.detection.creates_response
        yield from ()

    # --- responses and items ---------------------------------------------------------------------------

    def _response_created(self, event: events.ResponseCreated, _: Message) -> Iterator[BackendReply]:
        if len(self._active) >= MAX_ACTIVE:
            raise nonsense(f"the backend gives more than {MAX_ACTIVE} answers at once")
        of_conversation = event.response.conversation_id is not None
        self._active[event.response.id] = of_conversation
        self.asked &= not of_conversation
        yield from ()

    def _response_done(self, event: events.ResponseDone, message: Message) -> Iterator[BackendReply]:
        response = event.response
        if self._active.pop(response.id, None) is None:
            raise nonsense(f"the backend ends an answer that it did not begin: {response.id}")
        yield from self._speech.end(response=response.id)
        yield from self._wrap(message)
        if response.status == "failed":
            yield self._failed(f"the backend has failed: {_why(response.status_details)}")

    def _item_added(self, event: events.OutputItemAdded, _: Message) -> Iterator[BackendReply]:
        if event.response_id not in self._active:
            raise nonsense(f"the backend begins an item of no answer: {event.response_id}")
        self._announced[event.item.id] = event
        if len(self._announced) > MAX_ANNOUNCED:
            del self._announced[next(iter(self._announced))]
        yield from ()

    def _item_done(self, event: events.OutputItemDone, message: Message) -> Iterator[BackendReply]:
        if self._speech.find(event.item.id) is None:
            yield from self._wrap(message)
        else:
            yield from self._speech.end(item=event.item.id)

    def _audio(self, event: events.AudioDelta, _: Message) -> Iterator[BackendReply]:
        yield from self._begin(event.item_id, event.response_id)
        spoken = self._speech.find(event.item_id)
        if spoken is not None:
            spoken.content_index = event.content_index
            yield from spoken.speaker.say(event.delta)

    def _transcript(
        self, event: events.TranscriptDelta | events.TranscriptDone, message: Message
    ) -> Iterator[BackendReply]:
        yield from self._begin(event.item_id, event.response_id)
        spoken = self._speech.find(event.item_id)
        if spoken is not None and not spoken.cancelled:
            yield from self._pass_on(events.whole(message))

    def _begin(self, item: str, response: str) -> Iterator[BackendReply]:
        """An item becomes ours with its first sound, or the first word of it: not all are to be heard."""
        announced = self._announced.get(item)
        if announced is None or announced.response_id != response:
            raise nonsense(f"the backend speaks an item that it did not begin: {item} of {response}")
        if self._speech.find(item) is None:
            yield from self._speech.begin(item, response)

    def _arguments_done(self, event: events.ArgumentsDone, message: Message) -> Iterator[BackendReply]:
        fields = events.whole(message)
        announced = self._announced.get(event.item_id)
        if event.name is None and announced is not None and announced.item.name is not None:
            fields["name"] = announced.item.name  # some backends say it at the beginning only
        yield from self._pass_on(fields)

    def _conversation_item_added(self, event: events.ItemAdded, message: Message) -> Iterator[BackendReply]:
        if event.item.status != "in_progress":  # else it comes again when there is something in it
            yield from self._pass_on(events.whole(message))


def _why(details: Mapping[str, Any] | None) -> str:
    problem = (details or {}).get("error")
    if not isinstance(problem, Mapping):
        return "no reason given"
    known = [str(problem[name]) for name in ("code", "type", "message") if problem.get(name)]
    return ", ".join(known) or "no reason given"
