"""When a caller reports how far its playout has come, and what it says then."""

from edge.voice import wire
from edge.voice.playout import Playout

PLAYING_REPORT_S = 0.1
"""Also for as long as an interruption can be taken back: the last word about it must not be a datagram that got lost."""
HEARTBEAT_S = 1.0
"""Reports are also the heartbeat by which the edge knows that the caller is there, so silence has them too."""


class Reports:
    """Of one call, from ``began_at`` on: at every transition of the playout, and so often."""

    def __init__(self, playout: Playout, began_at: float) -> None:
        self.due_at = began_at + HEARTBEAT_S
        self._playout = playout
        self._began_at = began_at
        self._transitions = 0

    def take(self, now: float) -> bytes | None:
        """The datagram that is due, if one is."""
        if now < self.due_at and self._playout.transitions == self._transitions:
            return None
        return self.make(now)

    def make(self, now: float) -> bytes:
        """A report, due or not."""
        playout = self._playout
        self._transitions = playout.transitions
        self.due_at = now + (PLAYING_REPORT_S if playout.playing or playout.paused else HEARTBEAT_S)
        return wire.encode_datagram(
            wire.PlayoutReport(
                item=playout.item,
                played_ms=playout.played_ms,
                buffered_ms=playout.buffered_ms,
                underruns=playout.underruns,
                highest_group=playout.highest_group,
                client_ts_ms=int((now - self._began_at) * 1000),
            )
        )
