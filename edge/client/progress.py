"""What has come of a session so far, put together from what it told."""

from __future__ import annotations

from collections import deque

from edge.client.session_summary import Account, Said, SessionSummary, Timing
from edge.voice import (
    FRAME_MS,
    GROUP_MS,
    MAX_LEAD_MS,
    BargedIn,
    BargeIn,
    CallerEvent,
    CallerSession,
    CallerTranscript,
    FramesReceived,
    ItemDone,
    SessionReady,
    StatsReceived,
    Transcript,
    TurnTimed,
    UtteranceCommitted,
)

REMEMBERED = 1000
"""Interruptions, turns and transcripts each; of a longer call the latest."""

REMEMBERED_ITEMS = 8
"""The edge's account of an item comes after the next one may have begun."""


class Progress:
    """Told of every event, in order."""

    def __init__(self, session: CallerSession) -> None:
        self.confirmed = 0
        """The latest utterance that the edge has to its end, or knows to be lost."""
        self.items_done = 0
        self.speaking = False
        """Part of an item has been received, and not its end."""
        self.stats: StatsReceived | None = None
        self._session = session
        self._session_id = ""
        self._sizes: dict[int, list[int]] = {}  # of the frames of each item; 0 is lost
        self._barge_ins: deque[Account] = deque(maxlen=REMEMBERED)
        self._turns: deque[Timing] = deque(maxlen=REMEMBERED)
        self._transcripts: deque[Said] = deque(maxlen=REMEMBERED)

    def note(self, event: CallerEvent) -> None:
        match event:
            case SessionReady(session_id=session_id):
                self._session_id = session_id
            case UtteranceCommitted(utterance=utterance):
                self.confirmed = utterance
            case FramesReceived():
                self.speaking = True
                self._receive(event)
            case ItemDone():
                self.speaking = False
                self.items_done += 1
            case StatsReceived():
                self.stats = event
            case BargedIn(account=account):
                self._barge_ins.append(self._account(account))
            case TurnTimed(turn=turn):
                self._turns.append(
                    Timing(
                        item=turn.item,
                        backend_ms=turn.backend_ms,
                        wire_ms=turn.wire_ms,
                        played_ms=turn.played_ms,
                        edge_added_ms=turn.edge_added_ms,
                    )
                )
            case CallerTranscript(text=text, done=True):
                self._transcripts.append(Said(who="caller", text=text))
            case Transcript(item=item, text=text, done=True):
                self._transcripts.append(Said(who="edge", text=text, item=item))
            case _:
                pass

    def summary(self) -> SessionSummary:
        """As of now."""
        session, stats = self._session, self.stats
        return SessionSummary(
            session_id=self._session_id,
            uplink_ms=session.deadlines.uplink_ms,
            downlink_ms=session.deadlines.downlink_ms,
            sent=session.said.count(),
            heard_by_edge=stats.heard if stats else None,
            said_by_edge=stats.said if stats else None,
            received=session.received,
            received_late=session.frames_late,
            speaking=self.speaking,
            underruns=session.playout.underruns,
            underrun_ms=session.playout.underrun_ms,
            barge_ins=tuple(self._barge_ins),
            turns=tuple(self._turns),
            transcripts=tuple(self._transcripts),
        )

    def _receive(self, event: FramesReceived) -> None:
        oldest = self._session.playout.item - REMEMBERED_ITEMS
        self._sizes = {item: sizes for item, sizes in self._sizes.items() if item > oldest}
        sizes = self._sizes.setdefault(event.item, [])
        for frame in event.frames:
            sizes += [0] * (frame.seq - len(sizes))
            sizes.append(len(frame.payload))

    def _account(self, told: BargeIn) -> Account:
        sizes = self._sizes.pop(told.item, [])
        played = told.played_ms // FRAME_MS
        wasted_frames = len(sizes[played:])
        under_way = told.wasted_bytes - sum(sizes[played:])
        if under_way > 0 and any(sizes):
            wasted_frames += round(under_way * len(sizes) / sum(sizes))
        lead = self._session.lead_ms
        return Account(
            item=told.item,
            played_ms=told.played_ms,
            heard_ms=self._heard_ms(told.item),
            generated_bytes=told.generated_bytes,
            wire_bytes=told.wire_bytes,
            wasted_bytes=told.wasted_bytes,
            saved_bytes=told.saved_bytes,
            cancel_ms=told.cancel_ms,
            received_bytes=sum(sizes),
            wasted_ms=wasted_frames * FRAME_MS,
            allowed_ms=(MAX_LEAD_MS if lead == "auto" else lead) + 2 * GROUP_MS,
        )

    def _heard_ms(self, item: int) -> int | None:
        playout = self._session.playout
        if playout.item > item:
            return None
        return playout.played_ms if playout.item == item else 0
