"""The conversation with the backend: the caller's part, and the state of both. What the backend says is in `answers`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from edge.backend.base import (
    BackendInput,
    BackendReply,
    Cancelled,
    Cleared,
    ClientEvent,
    Committed,
    Control,
    ResponseRequested,
    Truncated,
)
from edge.backend.dialect import Fault, Message, Outbox, error
from edge.backend.memory import Memory, Turn
from edge.backend.openai.answers import Answers
from edge.backend.openai.ids import UnknownNameError
from edge.backend.openai.requests import Purpose, Requests
from edge.backend.openai.session import FIXED, TurnDetection, merge, turn_detection
from edge.backend.openai.speech import Speech
from edge.backend.openai.uplink import Uplink
from edge.voice.frame import Frame

_CALLER_SAID: Final = "conversation.item.input_audio_transcription.completed"
_SAID: Final = "response.output_audio_transcript.done"
MARGIN_MS: Final = 200
"""More silence than the backend waits for, behind an utterance."""
MAX_SESSION: Final = 64 * 1024
"""Bytes of JSON that a caller's updates of the session may come to."""


class Conversation:
    """An `edge.backend.dialect.Dialect`; the arguments are those of `OpenAiSettings`."""

    def __init__(
        self,
        *,
        session: Mapping[str, Any],
        caller_session: bool,
        create_response: bool,
        timeout_s: float,
        bitrate: int,
        first_item: int,
        handle: bytes = b"",
    ) -> None:
        self.outgoing = Outbox()
        self._session = session
        self._callers: dict[str, Any] = {}  # what the caller has updated of it
        self._caller_session = caller_session
        self._create_response = create_response
        self._timeout_s = timeout_s
        self._up = False
        self._uplink = Uplink(self.outgoing)
        self._requests = Requests(self.outgoing)
        self._speech = Speech(first_item, bitrate)
        self._answers = Answers(self._speech, self._uplink)
        self._memory = Memory(handle)
        self._expect()

    @property
    def patience_s(self) -> float | None:
        return self._timeout_s if self._up and self._answers.owed else None

    # --- the connection --------------------------------------------------------------------------------

    def opened(self) -> None:
        self._up = True
        for turn in reversed(self._memory.turns):
            self._requests.send(Purpose.UPKEEP, _remembered(turn), first=True)
        update = {"type": "session.update", "session": self._expect()}
        self._requests.send(Purpose.SESSION, update, first=True)

    def closed(self) -> Iterable[BackendReply]:
        self._up = False
        self._uplink.reset()
        self.outgoing.clear()
        replies = list(self._answers.close())
        self._expect()
        return replies

    def receive(self, message: Message) -> Iterator[BackendReply]:
        for reply in self._answers.receive(message):
            self._remember(reply)
            yield reply
        request = self._answers.next_request()
        if request is not None:
            self._requests.send(Purpose.TURN, request)

    def handle(self) -> bytes:
        return self._memory.handle()

    def _remember(self, reply: BackendReply) -> None:
        event = reply.event if isinstance(reply, Control) else {}
        text = event.get("transcript")
        if not isinstance(text, str):
            return
        if event["type"] == _CALLER_SAID:
            self._memory.note("user", text)
        elif event["type"] == _SAID:
            self._memory.note("assistant", text, _number(event.get("item_id")))

    def handle_silence(self) -> Iterator[BackendReply]:
        raise Fault("backend_timeout", f"the backend has said nothing for {self._timeout_s:g} s")

    def _expect(self) -> dict[str, Any]:
        """What the next backend is asked to be: a turn may end before it has said that it is."""
        session = merge(merge(self._session, self._callers), FIXED)
        self._answers.detection = turn_detection(session, TurnDetection())
        return session

    # --- the caller ------------------------------------------------------------------------------------

    def hear(self, frames: Sequence[Frame]) -> None:
        self._uplink.hear(frames)

    def notify(self, event: BackendInput) -> Iterable[Control]:
        match event:
            case Committed():
                return self._commit()
            case Cleared():
                self._uplink.clear()
                self._requests.send(Purpose.UPKEEP, {"type": "input_audio_buffer.clear"})
            case Cancelled(item=item, played_ms=played_ms):
                self._cancel(item, played_ms)
            case Truncated(item=item, audio_end_ms=audio_end_ms):
                self._truncate(item, audio_end_ms)
            case ResponseRequested(fields=fields):
                return self._pass_on({"type": "response.create", **fields})
            case ClientEvent(fields=fields) if fields.get("type") == "session.update":
                return self._update(fields)
            case ClientEvent(fields=fields):
                return self._pass_on(fields)
        return ()

    def _commit(self) -> Iterable[Control]:
        detection = self._answers.detection
        if detection is not None:
            self._uplink.fall_silent(detection.silence_ms + MARGIN_MS)
            return ()
        if not self._uplink.commit():
            return [error("nothing_heard", "nothing of what was said has arrived")]
        self._requests.send(Purpose.TURN, {"type": "input_audio_buffer.commit"})
        if self._create_response:
            self._ask({"type": "response.create"})
        return ()

    def _cancel(self, item: int, played_ms: int) -> None:
        spoken = self._speech.cancel(item)
        if spoken is not None and self._answers.is_active(spoken.response):
            request = {"type": "response.cancel", "response_id": spoken.response}
            self._requests.send(Purpose.UPKEEP, request)
        self._truncate(item, played_ms)
        received_ms = self._speech.received_ms(item)
        if received_ms:
            self._memory.cut(item, min(1.0, played_ms / received_ms))

    def _truncate(self, item: int, heard_ms: int) -> None:
        request = self._speech.truncation(item, heard_ms)
        if request is not None:
            self._requests.send(Purpose.UPKEEP, request)

    def _ask(self, request: Mapping[str, Any]) -> None:
        if self._answers.ask(request):
            self._requests.send(Purpose.TURN, request)

    def _pass_on(self, fields: Mapping[str, Any]) -> Iterable[Control]:
        try:
            event = self._speech.names.for_backend(fields)
        except UnknownNameError as unknown:
            event_id = fields.get("event_id")
            why = f"{fields.get('type')}: there is no {unknown}"
            return [error("unknown_item", why, event_id, kind="invalid_request_error")]
        if event.get("type") != "response.create" or ("response" in event and _beside(event["response"])):
            self._requests.send_for_caller(event)
        elif "response" in event or not self._answers.asked:
            # Without wishes of its own it may be behind a commit, which has asked already.
            self._ask(event)
        return ()

    def _update(self, fields: Mapping[str, Any]) -> Iterable[Control]:
        if not self._caller_session:
            return [error("session_fixed", "this node lets no caller change its backend's session")]
        session = fields.get("session")
        merged = merge(self._callers, session if isinstance(session, Mapping) else {})
        if len(msgspec.json.encode(merged)) > MAX_SESSION:
            return [error("session_too_large", f"a session takes {MAX_SESSION} bytes of settings at most")]
        self._callers = merged
        if self._up:
            update = {"type": "session.update", "session": merge(merged, FIXED)}
            self._requests.send_for_caller(update)
        return ()


def _remembered(turn: Turn) -> dict[str, Any]:
    """As the backend is told of a turn that it has not heard."""
    kind = "input_text" if turn.who == "user" else "output_text"
    item = {"type": "message", "role": turn.who, "content": [{"type": kind, "text": turn.text}]}
    return {"type": "conversation.item.create", "item": item}


def _number(item: Any) -> int:
    """Of an item of ours by its name, 0 of any other."""
    digits = str(item).removeprefix("item_")
    return int(digits) if digits.isdecimal() and digits.isascii() else 0


def _beside(response: Any) -> bool:
    """Whether an answer is wanted that is none of the conversation, and may come while another is given."""
    return isinstance(response, Mapping) and response.get("conversation") == "none"
