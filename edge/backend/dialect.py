"""What an adapter for a backend behind a WebSocket has to know: its protocol, as a machine without a network.

`edge.backend.websocket` drives it: dials, sends what waits in `Dialect.outgoing`, hands in what comes.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from edge.backend.base import BackendInput, BackendReply, Control
from edge.voice.frame import Frame

Message = str | bytes

MAX_EVENT: Final = 60 * 1024
"""Bytes of JSON in an event for the caller, who takes records of 64 KiB."""
MAX_TEXT: Final = 300
"""Characters of what a backend says about an error."""


class Fault(Exception):
    """The backend cannot be talked to any further: this turn is lost, and the connection with it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message[:MAX_TEXT])
        self.code = code


def nonsense(message: str) -> Fault:
    """The backend says what its protocol does not allow."""
    return Fault("backend_protocol", message)


class Outbox:
    """Messages that wait to be sent, and how large they are together."""

    def __init__(self) -> None:
        self.size = 0
        self._messages: deque[Message] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message) -> None:
        self._messages.append(message)
        self.size += len(message)

    def put_first(self, message: Message) -> None:
        self._messages.appendleft(message)
        self.size += len(message)

    def take(self) -> Message:
        message = self._messages.popleft()
        self.size -= len(message)
        return message

    def clear(self) -> None:
        self._messages.clear()
        self.size = 0


class Dialect(Protocol):
    """One call's conversation with a backend, over one connection after the other.

    The iterators are lazy: what they have not yielded yet may still be cancelled by `notify`. `receive` and
    `handle_silence` raise `Fault` and nothing else, whatever the backend sends.
    """

    outgoing: Outbox

    @property
    def patience_s(self) -> float | None:
        """How long the backend may say nothing before `handle_silence` is called; None for ever."""

    def opened(self) -> None:
        """A new connection is up, to a backend that knows nothing of the call; see to what must be said first."""

    def closed(self) -> Iterable[BackendReply]:
        """It is gone, and with it all that the backend knew; what is being said ends. Clears `outgoing`."""

    def hear(self, frames: Sequence[Frame]) -> None:
        """As `Backend.hear`."""

    def notify(self, event: BackendInput) -> Iterable[Control]:
        """As `Backend.notify`; the result is what the caller must be told of its event. A RecursionError may pass."""

    def receive(self, message: Message) -> Iterator[BackendReply]:
        """What the backend says."""

    def handle(self) -> bytes:
        """As `Portable.handle`: what the next backend needs to know of the conversation; empty for nothing."""

    def handle_silence(self) -> Iterator[BackendReply]:
        """The backend has said nothing for `patience_s`."""


def control(event: Mapping[str, Any]) -> Control:
    """An event for the caller; where it is none that the caller can be sent, an error that says so."""
    name = str(event.get("type"))[:80]
    try:
        size = len(msgspec.json.encode(event))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return error("backend_event", f"the backend's {name} cannot be passed on")
    if size > MAX_EVENT:
        return error("backend_event", f"the backend's {name} has {size} bytes, too many to pass on")
    return Control(event)


def error(code: str, message: str, event_id: str | None = None, kind: str = "server_error") -> Control:
    """An ``error`` event of ``kind``; the turn goes on."""
    body = {"type": kind, "code": code, "message": message[:MAX_TEXT]}
    if event_id is not None:
        body["event_id"] = event_id
    return Control({"type": "error", "error": body})
