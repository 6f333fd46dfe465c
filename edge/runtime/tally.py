"""What is counted of one call, beside its frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge.voice import events as voice

COUNTS: Final = ("underruns", "barge_ins", "wasted_bytes", "saved_bytes", "resumed", "continued")
OBSERVED_OF_A_TURN: Final = ("backend_ms", "wire_ms", "played_ms", "edge_added_ms")


class Tally:
    """``observe`` gets what histograms are made of, in milliseconds."""

    def __init__(self, observe: Callable[[str, float], None]) -> None:
        self.counts: dict[str, int] = dict.fromkeys(COUNTS, 0)
        self._observe = observe

    def take(self, event: voice.EdgeEvent, said: int) -> None:
        """One event of the session, whose backend has said so many frames."""
        match event:
            case voice.PlayoutReported(report=report):
                # Nobody's playout runs dry more often than it was given something to play.
                self.counts["underruns"] = max(self.counts["underruns"], min(report.underruns, said))
            case voice.TurnTimed(turn=turn):
                for name in OBSERVED_OF_A_TURN:
                    value = getattr(turn, name)
                    if value is not None:
                        self._observe(f"turn_{name}", value)
            case voice.ResponseCancelled(account=account) if account is not None:
                self.counts["barge_ins"] += 1
                self.counts["wasted_bytes"] += account.wasted_bytes
                self.counts["saved_bytes"] += account.saved_bytes
                if account.cancel_ms is not None:
                    self._observe("cancel_ms", account.cancel_ms)
            case _:
                pass
