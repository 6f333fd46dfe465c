"""What became of a call, counted at both ends.

Each connection of a call has its own session with its own counts. "No frame is missing" is an equality: the
number of frames, their bytes and their digest here are those that the edge's backend counted. Where the edge
could not be asked, there is no number, and no zero either.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from edge.voice import LedgerCount

API_VERSION = "edge/v1"
KIND = "CallSummary"

Ending = Literal["in_progress", "hung_up", "closed_by_edge", "lost"]


class LegSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of a call, with the session on it. None is what was not measured.

    ``migration_ms`` counts from the ClientHello to the first answer from the preferred address. ``speaking``: the edge
    had begun an item and not ended it, so what it said and what was received need not be equal.
    """

    session_id: str
    node: str
    path: str
    handshake_ms: float
    migrated: bool
    migration_ms: float | None
    rtt_ms: float
    sent: LedgerCount
    heard_by_edge: LedgerCount | None
    said_by_edge: LedgerCount | None
    received: LedgerCount
    speaking: bool
    underruns: int
    underrun_ms: int
    ended: str | None
    """Why, if it was not we who hung up."""


class CallSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A whole call; ``legs`` are its connections in order."""

    ending: Ending
    reason: str
    duration_s: float
    first_audio_ms: float | None
    """To the first frame heard, from the first that was said or asked, or else from the call's beginning."""
    utterances: int
    """Said, and confirmed by the edge."""
    legs: tuple[LegSummary, ...]

    @property
    def handshake_ms(self) -> float:
        return self.legs[0].handshake_ms

    @property
    def last(self) -> LegSummary:
        """The connection on which the call ended: its node, path, migration, round-trip time."""
        return self.legs[-1]

    @property
    def reconnects(self) -> int:
        return len(self.legs) - 1

    @property
    def frames_sent(self) -> int:
        return sum(leg.sent.frames for leg in self.legs)

    @property
    def frames_received(self) -> int:
        return sum(leg.received.frames for leg in self.legs)

    @property
    def frames_heard_by_edge(self) -> int | None:
        return _total(_frames(leg.heard_by_edge) for leg in self.legs)

    @property
    def frames_said_by_edge(self) -> int | None:
        return _total(_frames(leg.said_by_edge) for leg in self.legs)

    @property
    def missing_up(self) -> int | None:
        """Frames of ours that the edge's backend has not got."""
        return _total(_missing(leg.sent, leg.heard_by_edge) for leg in self.legs)

    @property
    def missing_down(self) -> int | None:
        """Frames of the edge's backend that we have not got; not measured if it was cut short."""
        return _total(None if leg.speaking else _missing(leg.said_by_edge, leg.received) for leg in self.legs)

    @property
    def ledgers_equal(self) -> bool | None:
        """Whether both ends counted the same frames with the same content in both directions."""
        if self.missing_up is None or self.missing_down is None:
            return None
        return all(leg.sent == leg.heard_by_edge and leg.said_by_edge == leg.received for leg in self.legs)

    @property
    def underruns(self) -> int:
        return sum(leg.underruns for leg in self.legs)

    @property
    def underrun_ms(self) -> int:
        return sum(leg.underrun_ms for leg in self.legs)

    @property
    def flawless(self) -> bool:
        """Hung up by the caller, and proved to have lost nothing."""
        return self.ending == "hung_up" and self.ledgers_equal is True

    def document(self) -> dict[str, Any]:
        """The published JSON form."""
        last = self.last
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "ending": self.ending,
            "reason": self.reason,
            "node": last.node,
            "path": last.path,
            "duration_s": self.duration_s,
            "handshake_ms": self.handshake_ms,
            "first_audio_ms": self.first_audio_ms,
            "migrated": last.migrated,
            "migration_ms": last.migration_ms,
            "rtt_ms": last.rtt_ms,
            "utterances": self.utterances,
            "frames_sent": self.frames_sent,
            "frames_heard_by_edge": self.frames_heard_by_edge,
            "frames_missing_up": self.missing_up,
            "frames_said_by_edge": self.frames_said_by_edge,
            "frames_received": self.frames_received,
            "frames_missing_down": self.missing_down,
            "ledgers_equal": self.ledgers_equal,
            "underruns": self.underruns,
            "underrun_ms": self.underrun_ms,
            "reconnects": self.reconnects,
            "legs": msgspec.to_builtins(self.legs),
        }


def _frames(count: LedgerCount | None) -> int | None:
    return None if count is None else count.frames


def _missing(sent: LedgerCount | None, received: LedgerCount | None) -> int | None:
    return None if sent is None or received is None else sent.frames - received.frames


def _total(counts: Iterable[int | None]) -> int | None:
    """Not measured if one of them was not."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)
