"""What stands behind an edge: one adapter to a voice-AI backend for each call.

A host gives the adapter what the caller says (`hear`, `notify`) and pulls what the caller shall hear
(`replies`), slower than the adapter could speak: not pulling is the backpressure. Both directions are counted
in the adapter, the last place that this project can see, so that "no frame was lost" means the whole way.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

from edge.errors import UsageError
from edge.voice.frame import Frame
from edge.voice.ledger import FrameLedger

ENTRY_POINTS = "edge.backends"


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What an adapter is told of its call."""

    call_id: str


# --- host to backend -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Committed:
    """All frames of ``utterance`` have been heard."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller does not want the rest of ``item``, of which it had played ``played_ms``."""

    item: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class ResponseRequested:
    """The caller wants an answer."""


BackendInput = Committed | Cancelled | ResponseRequested


# --- backend to host -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemBegun:
    """The backend begins to speak. It counts its items from 1, as `EdgeSession.begin_item` does."""

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


BackendReply = ItemBegun | ItemFrames | ItemEnded | Control


class Backend(Protocol):
    """One call's backend. It holds a bounded amount of speech, whatever the caller or the host does."""

    heard: FrameLedger
    """Frames taken in by `hear`."""
    said: FrameLedger
    """Frames given out by `replies`."""

    def hear(self, frames: Sequence[Frame]) -> None:
        """The next frames of what the caller says, in order and without holes."""

    def notify(self, event: BackendInput) -> None:
        """Something besides speech has happened. A `Cancelled` item gets no further replies."""

    def replies(self) -> AsyncIterator[BackendReply]:
        """Everything the backend has to say, in order, until `close`. Iterated once."""

    async def close(self) -> None:
        """The call is over."""


BackendFactory = Callable[[BackendContext], Backend]


def load_backend(name: str) -> BackendFactory:
    """The adapter that a distribution has registered under ``name`` as an entry point of `ENTRY_POINTS`.

    Raises `UsageError` that lists what there is, or says why it cannot be loaded.
    """
    installed = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name not in installed:
        raise UsageError(f"backend {name!r}: not installed; choose one of {', '.join(sorted(installed))}")
    try:
        factory: BackendFactory = installed[name].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"backend {name!r}: {installed[name].value} cannot be loaded: {error}") from error
    return factory
