"""What has happened on a call, as the two sessions tell their owners. The order is the order of happening."""

from dataclasses import dataclass, field
from typing import Any

from edge.voice.anatomy import Turn
from edge.voice.barge_in import BargeIn
from edge.voice.control_edge import GoAwayReason
from edge.voice.deadline import Deadlines
from edge.voice.frame import Frame
from edge.voice.lead import Lead
from edge.voice.ledger import LedgerCount
from edge.voice.wire import PlayoutReport

# --- told by EdgeSession -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """The caller chose its settings: what now holds, and ``fields`` of its choice that are the backend's to understand."""

    lead_ms: Lead
    deadlines: Deadlines
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FramesHeard:
    """The next frames of what the caller says, in order, all of one utterance; a hole in `Frame.seq` is lost speech."""

    frames: list[Frame]


@dataclass(frozen=True, slots=True)
class ResponseRequested:
    """The caller wants an answer; ``fields`` is its whole event."""

    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResponseCancelled:
    """The rest of ``item`` will not be heard; ``played_ms`` of it were.

    The ``account`` is None for an item of which nothing had been said yet.
    """

    item: int
    played_ms: int
    account: BargeIn | None


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """An event that is the backend's to understand; ``fields`` is the whole of it."""

    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Presented:
    """The caller has said who it is and whom it wants, or with two None that it does not. Told once, before all else."""

    token: str | None
    backend: str | None


@dataclass(frozen=True, slots=True)
class ReconnectRequested:
    """This connection continues the call of ``resume_token``: ``frames`` of ``item`` have been received, all before whole.

    A host that knows the call does nothing further with this session and gives its carrier to the call's
    (`EdgeSession.attach`); one that does not answers with `EdgeSession.refuse_reconnect`.
    """

    resume_token: str
    item: int
    frames: int
    utterance: int = 0
    """The oldest that has not been confirmed, be it the next; 0 is not told."""


@dataclass(frozen=True, slots=True)
class LeaveRequested:
    """The caller goes elsewhere. Let it have all that there is (`EdgeSession.lift_lead`), then `EdgeSession.leave`."""


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
    """The next frames of ``item``, in order; a hole in `Frame.seq` is lost speech. Items follow each other."""

    item: int
    frames: list[Frame]


@dataclass(frozen=True, slots=True)
class ItemDone:
    """``item`` is over: ``frames`` of it have been received, ``lost`` never will be; if cancelled, nor will the rest."""

    item: int
    frames: int
    cancelled: bool
    lost: int = 0


@dataclass(frozen=True, slots=True)
class DeadlinesAgreed:
    """What a frame is worth from now on in both directions, and which of them go in datagrams for that."""

    deadlines: Deadlines
    uplink_datagrams: bool
    downlink_datagrams: bool


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
class CallerTranscript:
    """What the backend understands of the caller: the next piece of text, or with ``done`` the whole."""

    text: str
    done: bool


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The backend hears the caller speak, since ``at_ms`` of the utterance."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The backend heard the caller stop speaking, at ``at_ms`` of the utterance."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class BargedIn:
    """The edge's account of an item that was interrupted."""

    account: BargeIn


@dataclass(frozen=True, slots=True)
class Account:
    """What was counted while one edge had the call, here and, if it was left properly (`EdgeLeft`), there."""

    sent: LedgerCount
    heard_by_edge: LedgerCount | None
    said_by_edge: LedgerCount | None
    received: LedgerCount
    received_late: int
    unheard: int
    """Frames of utterances that the edge has confirmed, neither heard nor declared lost."""


@dataclass(frozen=True, slots=True)
class CallContinued:
    """The edge knows the call on this connection, and has ``frames`` of ``utterance`` and all before it.

    What is behind that has been said again, ``whole`` or as far as it was kept. ``before`` is the account of another edge,
    which had the call until now; both ends count from 0 again.
    """

    utterance: int
    frames: int
    whole: bool
    before: Account | None = None


@dataclass(frozen=True, slots=True)
class AskedToMove:
    """The edge asks to go on at ``url``, or None at the service address, ``within_ms``, and with ``leave`` to say so here."""

    url: str | None
    reason: GoAwayReason
    within_ms: int
    leave: bool


@dataclass(frozen=True, slots=True)
class EdgeLeft:
    """The edge has let the call go: it has written all that it had, and counted this."""

    heard: LedgerCount
    said: LedgerCount


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
class UtteranceCommitted:
    """An utterance is over: ``frames`` of it have been heard, ``lost`` never will be (both ends are told)."""

    utterance: int
    frames: int
    lost: int = 0


@dataclass(frozen=True, slots=True)
class UtteranceCleared:
    """The caller takes an utterance back: no answer is wanted to what was heard of it."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Truncated:
    """The caller says that it heard ``audio_end_ms`` of ``item``: not more than can be true, whatever it said."""

    item: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class TurnTimed:
    """How long the caller waited for an answer, and for whom."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class StatsReceived:
    """What the other end has counted: frames it heard and frames it said."""

    heard: LedgerCount
    said: LedgerCount


EdgeEvent = (
    SessionUpdated
    | FramesHeard
    | UtteranceCommitted
    | UtteranceCleared
    | ResponseRequested
    | ResponseCancelled
    | Truncated
    | ClientEvent
    | Presented
    | ReconnectRequested
    | LeaveRequested
    | PlayoutReported
    | TurnTimed
    | StatsRequested
    | StatsReceived
)
CallerEvent = (
    SessionReady
    | DeadlinesAgreed
    | UtteranceCommitted
    | UtteranceCleared
    | SpeechStarted
    | SpeechStopped
    | CallerTranscript
    | FramesReceived
    | ItemDone
    | Underran
    | Transcript
    | Truncated
    | BargedIn
    | TurnTimed
    | CallContinued
    | AskedToMove
    | EdgeLeft
    | ErrorReceived
    | ControlReceived
    | StatsReceived
)
