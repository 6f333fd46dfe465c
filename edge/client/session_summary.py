"""What was counted in one session of a call, at both ends.

"No frame is missing" is an equality: the number of frames, their bytes and their digest here are those that the edge's
backend counted. Where frames were given up at a deadline that both ends had agreed, they are shown, and the numbers must
add up. Where the edge could not be asked, there is no number, and no zero either.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from edge.voice import Codec, LedgerCount
from edge.voice.frame import PAYLOAD_SIZES

_MAX_PAYLOAD = max(PAYLOAD_SIZES[Codec.OPUS])


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An interruption, in bytes of speech, as the edge counted them: generated = wire + saved; wasted = wire - played."""

    item: int
    played_ms: int
    """Where the backend was told to forget the rest."""
    heard_ms: int | None
    """Until when it was really played here; None if something else was played since."""
    generated_bytes: int
    wire_bytes: int
    wasted_bytes: int
    saved_bytes: int
    cancel_ms: float | None
    received_bytes: int
    """Of the item, counted here, until it was interrupted."""
    wasted_ms: int
    """How long it would have taken to hear what was wasted. What was still under way is reckoned at the item's mean."""
    allowed_ms: int
    """The most that may be: the lead window and two groups."""

    @property
    def adds_up(self) -> bool:
        """Whether the edge's numbers do, and nothing came that it did not send."""
        return (
            self.generated_bytes == self.wire_bytes + self.saved_bytes
            and 0 <= self.wasted_bytes <= self.wire_bytes
            and self.received_bytes <= self.wire_bytes
        )

    @property
    def within_lead(self) -> bool:
        return self.wasted_ms <= self.allowed_ms


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long the caller waited for an answer: milliseconds since the end of its speech; None is not known."""

    item: int
    backend_ms: float
    wire_ms: float | None
    played_ms: float | None
    edge_added_ms: float | None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What was understood of the caller, or said by the edge in ``item``."""

    who: Literal["caller", "edge"]
    text: str
    item: int | None = None


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One session on one node: what was counted in both directions, at both ends where the edge could be asked.

    ``speaking``: the edge had begun an item and not ended it, so what it said and what was received need not agree.
    ``utterances`` were confirmed to be there to their end, ``unheard`` frames of them were by the same word neither heard
    nor given up. ``received.lost`` are frames that were given up here, ``heard_by_edge.lost`` those that were there.
    """

    session_id: str
    node: str = ""
    uplink_ms: int | None
    downlink_ms: int | None
    sent: LedgerCount
    heard_by_edge: LedgerCount | None
    said_by_edge: LedgerCount | None
    received: LedgerCount
    received_late: int
    utterances: int = 0
    unheard: int = 0
    speaking: bool
    underruns: int
    underrun_ms: int
    barge_ins: tuple[Account, ...]
    turns: tuple[Timing, ...]
    transcripts: tuple[Said, ...]

    @property
    def missing_up(self) -> int | None:
        """Frames of ours that the edge's backend has not got, and that were not given up."""
        if self.heard_by_edge is None:
            return None
        return self.sent.frames - self.heard_by_edge.frames - self.heard_by_edge.lost

    @property
    def missing_down(self) -> int | None:
        """Frames of the edge's backend that we have not got. Not measured if it was cut short, by us or otherwise."""
        if self.said_by_edge is None or self.speaking or self.barge_ins:
            return None
        return self.said_by_edge.frames - self.received.frames - self.received.lost

    @property
    def agrees_up(self) -> bool | None:
        """Whether the edge's backend got what was said: all of it, or all but what was given up."""
        return None if self.heard_by_edge is None else self.heard_by_edge.accounts_for(self.sent)

    @property
    def agrees_down(self) -> bool | None:
        """The same for what it said itself; of items that were interrupted it is their accounts that must add up."""
        if self.said_by_edge is None or self.speaking:
            return None
        if not self.barge_ins:
            return self.received.accounts_for(self.said_by_edge)
        whole_said = self.said_by_edge.bytes - sum(account.generated_bytes for account in self.barge_ins)
        whole_received = self.received.bytes - sum(account.received_bytes for account in self.barge_ins)
        # Nobody knows how large a frame was that never came.
        in_lost = range(self.received.lost, self.received.lost * _MAX_PAYLOAD + 1)
        return whole_said - whole_received in in_lost and all(account.adds_up for account in self.barge_ins)
