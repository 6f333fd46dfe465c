"""What has come of a session so far, put together from what it told."""

from __future__ import annotations

from collections import deque

from edge.client.session_summary import Account as BargeInAccount
from edge.client.session_summary import Said, SessionSummary, Timing
from edge.voice import (
    FRAME_MS,
    GROUP_MS,
    MAX_LEAD_MS,
    Account,
    BargedIn,
    BargeIn,
    CallContinued,
    CallerEvent,
    CallerSession,
    CallerTranscript,
    EdgeLeft,
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
        self.left: EdgeLeft | None = None
        """What the edge had counted when it let go."""
        self.before: list[SessionSummary] = []
        """What was counted with the edges that had the call before."""
        self._session = session
        self._session_id = self._node = ""
        self._utterances = 0  # confirmed
        self._underruns = self._underrun_ms = 0  # before the edge had the call
        self._sizes: dict[int, list[int]] = {}  # of the frames of each item; 0 is lost
        self._barge_ins: deque[BargeInAccount] = deque(maxlen=REMEMBERED)
        self._turns: deque[Timing] = deque(maxlen=REMEMBERED)
        self._transcripts: deque[Said] = deque(maxlen=REMEMBERED)

    def note(self, event: CallerEvent) -> None:
        match event:
            case SessionReady(session_id=session_id, node=node):
                self._session_id, self._node = session_id, node
            case EdgeLeft():
                self.left = event
            case CallContinued(before=Account() as account):
                self._close(account)
            case CallContinued(utterance=utterance):
                self.left = None
                if utterance > self.confirmed + 1:  # the word of it was lost with the connection
                    self._utterances += utterance - 1 - self.confirmed
                    self.confirmed = utterance - 1
            case UtteranceCommitted(utterance=utterance):
                self.confirmed = utterance
                self._utterances += 1
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

    @property
    def has_all(self) -> bool:
        """Whether all that the edge had said when it let go is here, or given up."""
        if self.left is None:
            return False
        received = self._session.received
        return received.frames + received.lost >= self.left.said.frames

    def summary(self) -> SessionSummary:
        """As of now."""
        session, stats = self._session, self.stats
        return self._summary(
            Account(
                sent=session.said.count(),
                heard_by_edge=stats.heard if stats else None,
                said_by_edge=stats.said if stats else None,
                received=session.received,
                received_late=session.frames_late,
                unheard=session.frames_unheard,
            ),
            speaking=self.speaking,
        )

    def _summary(self, account: Account, *, speaking: bool) -> SessionSummary:
        session, playout = self._session, self._session.playout
        return SessionSummary(
            session_id=self._session_id,
            node=self._node,
            uplink_ms=session.deadlines.uplink_ms,
            downlink_ms=session.deadlines.downlink_ms,
            sent=account.sent,
            heard_by_edge=account.heard_by_edge,
            said_by_edge=account.said_by_edge,
            received=account.received,
            received_late=account.received_late,
            utterances=self._utterances,
            unheard=account.unheard,
            speaking=speaking,
            underruns=playout.underruns - self._underruns,
            underrun_ms=playout.underrun_ms - self._underrun_ms,
            barge_ins=tuple(self._barge_ins),
            turns=tuple(self._turns),
            transcripts=tuple(self._transcripts),
        )

    def _close(self, account: Account) -> None:
        """The call goes on with another edge."""
        # One that has let go has begun nothing that it has not ended, or been counted up to the cut.
        self.before.append(self._summary(account, speaking=self.speaking and account.said_by_edge is None))
        self.stats = self.left = None
        self._utterances = 0
        playout = self._session.playout
        self._underruns, self._underrun_ms = playout.underruns, playout.underrun_ms
        self._sizes.clear()
        for told in (self._barge_ins, self._turns, self._transcripts):
            told.clear()

    def _receive(self, event: FramesReceived) -> None:
        oldest = self._session.playout.item - REMEMBERED_ITEMS
        self._sizes = {item: sizes for item, sizes in self._sizes.items() if item > oldest}
        sizes = self._sizes.setdefault(event.item, [])
        for frame in event.frames:
            sizes += [0] * (frame.seq - len(sizes))
            sizes.append(len(frame.payload))

    def _account(self, told: BargeIn) -> BargeInAccount:
        sizes = self._sizes.pop(told.item, [])
        played = told.played_ms // FRAME_MS
        wasted_frames = len(sizes[played:])
        under_way = told.wasted_bytes - sum(sizes[played:])
        if under_way > 0 and any(sizes):
            wasted_frames += round(under_way * len(sizes) / sum(sizes))
        lead = self._session.lead_ms
        return BargeInAccount(
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
