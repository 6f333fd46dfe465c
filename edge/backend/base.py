"""What stands behind an edge: one adapter to a voice-AI backend for each call.

A host gives the adapter what the caller says (`hear`, `notify`) and pulls what the caller shall hear
(`replies`), slower than the adapter could speak: not pulling is the backpressure. Both directions are counted
in the adapter, the last place that this project can see, so that "no frame was lost" means the whole way.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from edge.errors import UsageError
from edge.voice.frame import Frame
from edge.voice.ledger import FrameLedger

ENTRY_POINTS = "edge.backends"


# --- host to backend -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Committed:
    """All frames of ``utterance`` have been heard, or are lost."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """The caller takes ``utterance`` back: no answer is wanted to what was heard of it."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller does not want the rest of ``item``, of which it had played ``played_ms``."""

    item: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class Truncated:
    """The caller heard ``audio_end_ms`` of ``item``, which is over; what the backend remembers must end there."""

    item: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class ResponseRequested:
    """The caller wants an answer; ``fields`` is its whole ``response.create`` event."""

    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """An event that is the backend's to understand: ``conversation.item.create``, settings of ``session.update``."""

    fields: Mapping[str, Any]


BackendInput = Committed | Cleared | Cancelled | Truncated | ResponseRequested | ClientEvent


# --- backend to host -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemBegun:
    """The backend begins to speak. Items count from `BackendContext.first_item`, as `EdgeSession.begin_item` does."""

    item: int


@dataclass(frozen=True, slots=True)
class ItemFrames:
    """More of ``item``: at most `edge.voice.CHUNK_MS` of frames, whose ``utterance`` is the item."""

    item: int
    frames: Sequence[Frame]


@dataclass(frozen=True, slots=True)
class ItemEnded:
    """All of ``item`` has been said."""

    item: int


@dataclass(frozen=True, slots=True)
class Control:
    """An event for the caller's control stream, passed on as it is."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The backend hears the caller speak, since ``at_ms`` of the utterance."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller has stopped speaking, at ``at_ms`` of the utterance; an answer may follow."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The caller speaks while it is spoken to: all that is being said ends now. `Cancelled` follows for each item."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The backend cannot answer this turn. ``code`` is for a program, ``message`` for a person; the call goes on.

    After it the adapter is as it was before the turn: it may be asked again.
    """

    code: str
    message: str


Signal = Control | SpeechStarted | SpeechStopped | Interrupted | Failed
BackendReply = ItemBegun | ItemFrames | ItemEnded | Signal


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What an adapter is told of its call.

    ``settings`` is its table ``[backends.NAME]`` of the node's file; `settings_of` reads it. ``claims`` is what the
    caller's token says, empty where tokens are not asked for. ``first_item`` is the number of the first item it begins:
    an adapter that replaces one that failed goes on counting.

    A call that goes on after another node had it: ``handle`` is what the adapter there gave (`Portable`), empty if it gave
    nothing. ``open_item`` is an item of which the caller has ``open_frames`` frames, and not the rest: an adapter that says
    so (`Portable.continues`) gives `ItemFrames` of it from there on, and `ItemEnded`, without an `ItemBegun`.

    ``signal`` tells the host at once what must not wait until the speech before it has been pulled: that the caller
    interrupts, above all. Call it from the event loop only.
    """

    call_id: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    first_item: int = 1
    handle: bytes = b""
    open_item: int | None = None
    open_frames: int = 0
    signal: Callable[[Signal], None] = lambda _: None


class Backend(Protocol):
    """One call's backend. It holds a bounded amount of speech, whatever the caller or the host does."""

    heard: FrameLedger
    """Frames taken in by `hear`."""
    said: FrameLedger
    """Frames given out by `replies`."""

    def hear(self, frames: Sequence[Frame]) -> None:
        """The next frames of what the caller says, in order; a hole in `Frame.seq` is speech that was lost."""

    def notify(self, event: BackendInput) -> None:
        """Something besides speech has happened. A `Cancelled` item gets no further replies."""

    def replies(self) -> AsyncIterator[BackendReply]:
        """Everything the backend has to say, in order, until `close`. Iterated once."""

    async def close(self) -> None:
        """The call is over."""


@runtime_checkable
class Portable(Protocol):
    """A backend whose call can go on on another node with more than nothing."""

    continues: bool
    """Made for a call that goes on: it says the rest of `BackendContext.open_item`."""

    def handle(self) -> bytes:
        """What another adapter needs to know to go on in its place, at most 2048 bytes. It says no secrets."""


BackendFactory = Callable[[BackendContext], Backend]


S = TypeVar("S")


def settings_of(context: BackendContext, kind: type[S]) -> S:
    """The adapter's settings as ``kind``, a msgspec struct. Raises `UsageError` that names what is wrong with them."""
    try:
        return msgspec.convert(context.settings, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"[backends]: {error}") from error


def installed_backends() -> dict[str, EntryPoint]:
    """By the name under which a distribution has registered it."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def load_backend(name: str) -> BackendFactory:
    """The adapter that a distribution has registered under ``name`` as an entry point of `ENTRY_POINTS`.

    Raises `UsageError` that lists what there is, or says why it cannot be loaded.
    """
    installed = installed_backends()
    if name not in installed:
        raise UsageError(f"backend {name!r}: not installed; choose one of {', '.join(sorted(installed))}")
    try:
        factory: BackendFactory = installed[name].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"backend {name!r}: {installed[name].value} cannot be loaded: {error}") from error
    return factory
