"""The life of a response item at the edge. One table, and why it is so.

Theory. An item has three ends, and they come at different times: the backend has said all of it, the edge has
written all of it, and the caller has heard all of it. Only the last one is the end. A reply of one sentence is on the
wire as a whole before its first word is heard, and the caller can still interrupt it, or lose the network and come
back for the rest. So an item that is written lives on (`SENT`), with all that has not been played, until a playout
report says that it has (`PLAYED`).

    WAITING  ->  SPEAKING  ->  SENT  ->  PLAYED          one item after the other
    PAUSED                                              the caller made a noise; from any of the first three
    CANCELLED                                           and meant it, or the backend says so

*An interruption is a question first.* A cough sounds like the beginning of an objection for some 200 ms. So the edge
stops at once, resets the stream, and then waits for `RESUME_S`: to be told that it was nothing, and go on at the frame
the caller has come to, or to learn by the clock that it was meant. The backend is told when it is certain and not
before, for it cannot take a cancellation back. Where the backend itself has heard the caller there is nothing to
wait for.

*A paused item lets none pass.* Were a later item begun meanwhile, the earlier could not be taken back in order.

*Being on a stream is a stage, and not more than that.* Streams come and go: an interruption resets one, a reconnect
loses all. What goes on, goes on as `WAITING`, from a frame that the caller names, on a new stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

RESUME_S: Final = 0.4
"""For so long an interruption can be taken back."""


class Stage(Enum):
    """Where an item stands. The value is what a person reads."""

    WAITING = "waiting"
    """On no stream: its turn has not come."""
    SPEAKING = "speaking"
    """Being written, as fast as the lead window lets it."""
    SENT = "sent"
    """All of it is written, not all is played."""
    PAUSED = "paused"
    """Interrupted, and perhaps not for good."""
    PLAYED = "played"
    """The caller has heard all of it."""
    CANCELLED = "cancelled"
    """The caller shall hear no more of it."""


class Trigger(Enum):
    """What can happen to an item."""

    OPENED = "its turn has come, and a stream is opened"
    WRITTEN = "all of it is written"
    HEARD = "the caller reports that it has played it"
    INTERRUPTED = "the caller interrupts"
    RESUMED = "taken back; it goes on"
    KEPT = "taken back, and nothing is missing"
    LAPSED = "not taken back in time, or another answer is wanted"
    STOPPED = "the backend heard the caller"
    CARRIER_LOST = "the connection is gone"
    MISSING = "reconnected, and some is missing"


@dataclass(frozen=True, slots=True)
class Row:
    """From any of ``sources`` to ``target`` when ``trigger`` happens."""

    sources: frozenset[Stage]
    trigger: Trigger
    target: Stage


def _from(*stages: Stage) -> frozenset[Stage]:
    return frozenset(stages)


TRANSITIONS: Final = (
    # Said and heard.
    Row(_from(Stage.WAITING), Trigger.OPENED, Stage.SPEAKING),
    Row(_from(Stage.SPEAKING), Trigger.WRITTEN, Stage.SENT),
    Row(_from(Stage.SENT, Stage.PAUSED), Trigger.HEARD, Stage.PLAYED),
    # Interrupted.
    Row(_from(Stage.WAITING, Stage.SPEAKING, Stage.SENT), Trigger.INTERRUPTED, Stage.PAUSED),
    Row(_from(Stage.PAUSED), Trigger.RESUMED, Stage.WAITING),
    Row(_from(Stage.PAUSED), Trigger.KEPT, Stage.SENT),
    Row(_from(Stage.PAUSED), Trigger.LAPSED, Stage.CANCELLED),
    Row(_from(Stage.WAITING, Stage.SPEAKING, Stage.SENT, Stage.PAUSED), Trigger.STOPPED, Stage.CANCELLED),
    # The network went away and came back.
    Row(_from(Stage.SPEAKING), Trigger.CARRIER_LOST, Stage.WAITING),
    Row(_from(Stage.SENT), Trigger.MISSING, Stage.WAITING),
)

_TARGETS: Final = {(source, row.trigger): row.target for row in TRANSITIONS for source in row.sources}


def can(stage: Stage, trigger: Trigger) -> bool:
    """Whether ``trigger`` means anything to an item at ``stage``."""
    return (stage, trigger) in _TARGETS


def after(stage: Stage, trigger: Trigger) -> Stage:
    """The next stage. Raises KeyError where the table has no row: whoever asks must know (`can`)."""
    return _TARGETS[stage, trigger]
