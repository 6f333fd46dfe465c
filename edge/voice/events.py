"""What has happened on a call, as the two sessions tell their owners. The order is the order of happening."""

from dataclasses import dataclass
from typing import Any

from edge.voice.frame import Frame
from edge.voice.ledger import LedgerCount
from edge.voice.wire import PlayoutReport

# --- told by EdgeSession -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """The caller chose its settings; this is what now holds."""

    lead_ms: int


@dataclass(frozen=True, slots=True)
class FramesHeard:
    """The next frames of what the caller says, in order and without holes, all of one utterance."""

    frames: list[Frame]


@dataclass(frozen=True, slots=True)
class UtteranceCommitted:
    """All ``frames`` of an utterance have been heard (the edge tells its backend, the caller is told)."""

    utterance: int
    frames: int


@dataclass(frozen=True, slots=True)
class ResponseRequested:
    """The caller wants an answer."""


@dataclass(frozen=True, slots=True)
class ResponseCancelled:
    """The caller does not want the rest of ``item``, of which it had played ``played_ms``."""

    item: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class StatsRequested:
    """The caller asks what was counted here; answer with `EdgeSession.answer_stats`."""


@dataclass(frozen=True, slots=True)
class PlayoutReported:
    """The caller's latest report; the session has taken it into account."""

    report: PlayoutReport


# --- told by CallerSession -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionReady:
    """The edge has said who it is; told again when ``migrated`` changes."""

    session_id: str
    node: str
    unicast_url: str
    resume_token: str | None
    migrated: bool


@dataclass(frozen=True, slots=True)
class FramesReceived:
    """The next frames of ``item``, in order and without holes; items follow each other."""

    item: int
    frames: list[Frame]


@dataclass(frozen=True, slots=True)
class ItemDone:
    """All ``frames`` of ``item`` have been received, or, if it was cancelled, all that ever will be."""

    item: int
    frames: int
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Underran:
    """Speech goes on after ``silence_ms`` that nobody spoke, ``played_ms`` into ``item``."""

    item: int
    played_ms: int
    silence_ms: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is being said in ``item``: the next piece of text, or with ``done`` the whole."""

    item: int
    text: str
    done: bool


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The edge could not do something; the call goes on."""

    code: str
    message: str
    event_id: str | None


@dataclass(frozen=True, slots=True)
class ControlReceived:
    """An event that the session has no use for, passed on as it came."""

    event: dict[str, Any]


# --- told by both --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StatsReceived:
    """What the other end has counted: frames it heard and frames it said."""

    heard: LedgerCount
    said: LedgerCount


EdgeEvent = (
    SessionUpdated
    | FramesHeard
    | UtteranceCommitted
    | ResponseRequested
    | ResponseCancelled
    | PlayoutReported
    | StatsRequested
    | StatsReceived
)
CallerEvent = (
    SessionReady
    | UtteranceCommitted
    | FramesReceived
    | ItemDone
    | Underran
    | Transcript
    | ErrorReceived
    | ControlReceived
    | StatsReceived
)
