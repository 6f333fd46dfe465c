"""What an interruption cost and what it saved: exact, in payload bytes of whole frames.

    0 ........ played ............ wire ...................... generated
               |<---- wasted ---->|<---------- saved ---------->|

Wire is what was handed to the carrier, each frame counted once however often it had to be said; so
``generated == wire + saved`` is an equality and not an estimate. A frame of which the caller heard a part is wasted.
"""

from dataclasses import dataclass

from edge.voice.frame import FRAME_MS


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The account of one item that was cancelled.

    ``played_ms`` is `truncation_ms` of the caller's last report: where a transcript must be cut. ``cancel_ms`` is how
    long the edge still spoke when the caller had gone silent, half a round trip; None where that is not known.
    """

    item: int
    played_ms: int
    generated_bytes: int
    wire_bytes: int
    played_bytes: int
    cancel_ms: float | None

    @property
    def wasted_bytes(self) -> int:
        return self.wire_bytes - self.played_bytes

    @property
    def saved_bytes(self) -> int:
        return self.generated_bytes - self.wire_bytes


def truncation_ms(played_ms: int, *, received: int, generated: int) -> int:
    """How much of an item has been heard, if the caller says ``played_ms``: never more than can be true.

    ``received`` and ``generated`` count frames. Backends refuse a truncation behind the end of what they have said.
    """
    return min(played_ms, received * FRAME_MS, generated * FRAME_MS)
