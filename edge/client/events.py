"""What a call tells its owner: how its connections fare, and what its session tells.

| event | means |
|---|---|
| `Migrated`, `Moved`, `Reconnecting`, `Reconnected`, `Ended` | what became of a connection, or of the call |
| `SessionReady` | the edge has said who it is |
| `DeadlinesAgreed` | what a frame is worth from now on |
| `SpeechStarted`, `SpeechStopped` | the backend hears the caller begin and end |
| `CallerTranscript`, `Transcript` | what is understood of the caller, and what is said to it |
| `UtteranceCommitted`, `UtteranceCleared` | the edge has an utterance whole, but for what is ``lost``; or dropped it |
| `FramesReceived`, `ItemDone` | speech of the edge; an answer is over, and how much of it was ``lost`` |
| `Underran` | speech stood still, and goes on |
| `BargedIn` | the account of an answer that was interrupted |
| `Truncated` | the backend remembers an answer only so far |
| `TurnTimed` | how long the caller waited for an answer, and for whom |
| `CallContinued` | the session goes on with another connection |
| `AskedToMove`, `EdgeLeft` | the edge asks to go on elsewhere; it has let go of the call |
| `ErrorReceived` | the edge could not do something; the call goes on |
| `ControlReceived` | anything else that the backend says, as it came: function calls, for one |
"""

from dataclasses import dataclass

from edge.client.summary import Ending
from edge.voice import (
    AskedToMove,
    BargedIn,
    CallContinued,
    CallerEvent,
    CallerTranscript,
    ControlReceived,
    DeadlinesAgreed,
    EdgeLeft,
    ErrorReceived,
    FramesReceived,
    ItemDone,
    SessionReady,
    SpeechStarted,
    SpeechStopped,
    StatsReceived,
    Transcript,
    Truncated,
    TurnTimed,
    Underran,
    UtteranceCleared,
    UtteranceCommitted,
)

__all__ = [
    "AskedToMove",
    "BargedIn",
    "CallContinued",
    "CallEvent",
    "CallerTranscript",
    "ControlReceived",
    "DeadlinesAgreed",
    "EdgeLeft",
    "Ended",
    "ErrorReceived",
    "FramesReceived",
    "ItemDone",
    "Migrated",
    "Moved",
    "Reconnected",
    "Reconnecting",
    "SessionReady",
    "SpeechStarted",
    "SpeechStopped",
    "StatsReceived",
    "Transcript",
    "Truncated",
    "TurnTimed",
    "Underran",
    "UtteranceCleared",
    "UtteranceCommitted",
]


@dataclass(frozen=True, slots=True)
class Migrated:
    """The call left the service address; ``path`` is the unicast address it lives on now."""

    path: str
    after_ms: float
    """From the ClientHello to the first answer from there."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The call goes on elsewhere, as its edge asked for ``reason``: on ``node``, at ``path``."""

    node: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection is gone; another one is being dialled."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The call goes on, on ``node``: with the same session if ``resumed``, else with a new one."""

    node: str
    resumed: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event."""

    ending: Ending
    reason: str


CallEvent = CallerEvent | Migrated | Moved | Reconnecting | Reconnected | Ended
