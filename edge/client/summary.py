"""What became of a call, counted at both ends.

A call has connections (`LegSummary`) and sessions (`SessionSummary`); mostly one of each. A session outlives its
connections, so what was counted belongs to it. A sum of which one part is not known is not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from edge.client.session_summary import Account, Said, SessionSummary, Timing
from edge.voice import FRAME_MS, LedgerCount

__all__ = ["Account", "CallSummary", "Ending", "LegSummary", "Move", "Said", "SessionSummary", "Timing"]

API_VERSION = "edge/v1"
KIND = "CallSummary"

Ending = Literal["in_progress", "hung_up", "closed_by_edge", "refused", "lost"]


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """The call went elsewhere because its edge asked for it, for ``reason``.

    ``elsewhere``: to where nobody had it. ``after_ms``: from being asked. ``silence_ms``: how long nothing sounded that
    should have.
    """

    reason: str
    from_node: str
    to_node: str
    elsewhere: bool
    after_ms: float
    silence_ms: int


class LegSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of a call. None is what was not measured.

    ``migration_ms`` counts from the ClientHello to the first answer from the preferred address. ``early_data``: the
    edge has taken what was said before the handshake was complete. ``resumed``: it continued the session of the one
    before, ``elsewhere``: on a node that did not have it; ``resumed_after_ms``: since that was lost.
    """

    session_id: str
    node: str
    carrier: str
    path: str
    handshake_ms: float | None
    early_data: bool
    resumed: bool
    elsewhere: bool = False
    resumed_after_ms: float | None = None
    migrated: bool
    migration_ms: float | None
    rtt_ms: float | None
    ended: str | None
    """Why, if it was not we who hung up."""


class CallSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A whole call; its connections and its sessions in order."""

    ending: Ending
    reason: str
    duration_s: float
    first_audio_ms: float | None
    """To the first frame heard, from the first that was said or asked, or else from the call's beginning."""
    utterances: int
    """Said, and confirmed by the edge."""
    legs: tuple[LegSummary, ...]
    sessions: tuple[SessionSummary, ...]
    moves: tuple[Move, ...] = ()

    @property
    def last(self) -> LegSummary:
        """The connection on which the call ended: its node, path, migration, round-trip time."""
        return self.legs[-1]

    @property
    def reconnects(self) -> int:
        """How often another connection took the place of one that was lost."""
        return len(self.legs) - 1 - len(self.moves)

    @property
    def resumed(self) -> int:
        """How often the session went on after its connection was lost."""
        return sum(leg.resumed for leg in self.legs) - len(self.moves)

    @property
    def handshake_ms(self) -> float | None:
        return self.legs[0].handshake_ms

    @property
    def frames_sent(self) -> int:
        return sum(session.sent.frames for session in self.sessions)

    @property
    def frames_received(self) -> int:
        return sum(session.received.frames for session in self.sessions)

    @property
    def frames_heard_by_edge(self) -> int | None:
        return _total(_of(session.heard_by_edge, "frames") for session in self.sessions)

    @property
    def frames_said_by_edge(self) -> int | None:
        return _total(_of(session.said_by_edge, "frames") for session in self.sessions)

    @property
    def lost_up(self) -> int | None:
        """Frames of ours that the edge gave up at their deadline."""
        return _total(_of(session.heard_by_edge, "lost") for session in self.sessions)

    @property
    def lost_down(self) -> int:
        """Frames of the edge's that were given up here."""
        return sum(session.received.lost for session in self.sessions)

    @property
    def late_down(self) -> int:
        """Frames that came after they had been given up."""
        return sum(session.received_late for session in self.sessions)

    @property
    def missing_up(self) -> int | None:
        """Frames of ours that the edge's backend should have got and has not."""
        return _total(session.missing_up for session in self.sessions)

    @property
    def missing_down(self) -> int | None:
        """Frames of the edge's backend that we should have got and have not."""
        return _total(session.missing_down for session in self.sessions)

    @property
    def ledgers_equal(self) -> bool | None:
        """Whether both ends counted the same frames with the same content in both directions.

        But for what was given up at a deadline, and for answers that were interrupted: of these the numbers must add up.
        """
        verdicts = [
            verdict for session in self.sessions for verdict in (session.agrees_up, session.agrees_down)
        ]
        return None if None in verdicts else all(verdicts)

    @property
    def underruns(self) -> int:
        return sum(session.underruns for session in self.sessions)

    @property
    def underrun_ms(self) -> int:
        return sum(session.underrun_ms for session in self.sessions)

    @property
    def underrun_ratio(self) -> float:
        """The part of the time in which the edge was heard that was silence it had not meant."""
        speech_ms = (self.frames_received + self.lost_down) * FRAME_MS
        return round(self.underrun_ms / (speech_ms + self.underrun_ms), 4) if self.underrun_ms else 0.0

    @property
    def barge_ins(self) -> list[Account]:
        return [account for session in self.sessions for account in session.barge_ins]

    @property
    def turns(self) -> list[Timing]:
        return [turn for session in self.sessions for turn in session.turns]

    @property
    def transcripts(self) -> list[Said]:
        return [said for session in self.sessions for said in session.transcripts]

    @property
    def flawless(self) -> bool:
        """Hung up by the caller, and proved to have lost nothing that was not given up, and wasted no more than agreed."""
        frugal = all(account.within_lead for account in self.barge_ins)
        return self.ending == "hung_up" and self.ledgers_equal is True and frugal

    def document(self) -> dict[str, Any]:
        """The published JSON form."""
        last, agreed = self.last, self.sessions[-1]
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "ending": self.ending,
            "reason": self.reason,
            "node": last.node,
            "path": last.path,
            "carrier": last.carrier,
            "early_data": self.legs[0].early_data,
            "deadlines": {"uplink_ms": agreed.uplink_ms, "downlink_ms": agreed.downlink_ms},
            "duration_s": self.duration_s,
            "handshake_ms": self.handshake_ms,
            "first_audio_ms": self.first_audio_ms,
            "migrated": last.migrated,
            "migration_ms": last.migration_ms,
            "rtt_ms": last.rtt_ms,
            "utterances": self.utterances,
            "frames_sent": self.frames_sent,
            "frames_heard_by_edge": self.frames_heard_by_edge,
            "frames_lost_up": self.lost_up,
            "frames_missing_up": self.missing_up,
            "frames_said_by_edge": self.frames_said_by_edge,
            "frames_received": self.frames_received,
            "frames_lost_down": self.lost_down,
            "frames_late_down": self.late_down,
            "frames_missing_down": self.missing_down,
            "ledgers_equal": self.ledgers_equal,
            "underruns": self.underruns,
            "underrun_ms": self.underrun_ms,
            "underrun_ratio": self.underrun_ratio,
            "reconnects": self.reconnects,
            "resumed": self.resumed,
            "moves": msgspec.to_builtins(self.moves),
            "barge_ins": msgspec.to_builtins(self.barge_ins),
            "turns": msgspec.to_builtins(self.turns),
            "transcripts": msgspec.to_builtins(self.transcripts),
            "legs": msgspec.to_builtins(self.legs),
            "sessions": msgspec.to_builtins(self.sessions),
        }


def _of(count: LedgerCount | None, what: Literal["frames", "lost"]) -> int | None:
    return None if count is None else getattr(count, what)


def _total(counts: Iterable[int | None]) -> int | None:
    """Not measured if one of them was not."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)
