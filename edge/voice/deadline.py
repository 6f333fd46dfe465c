"""How long a frame is worth waiting for: the one choice by which a caller trades completeness for delay.

A frame that is not there by its deadline is declared lost, and speech goes on without it. None is no deadline:
nothing is ever lost, however long it takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MIN_DEADLINE_MS = 20
MAX_DEADLINE_MS = 60_000

Preset = Literal["live", "chat", "accurate"]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Of both directions, in milliseconds: 20 to 60000, or None. Raises ValueError for any other.

    ``uplink_ms`` counts from when a frame is said, ``downlink_ms`` from the moment at which it is due to be
    played.
    """

    uplink_ms: int | None
    downlink_ms: int | None

    def __post_init__(self) -> None:
        for deadline_ms in (self.uplink_ms, self.downlink_ms):
            if deadline_ms is not None and not MIN_DEADLINE_MS <= deadline_ms <= MAX_DEADLINE_MS:
                raise ValueError(
                    f"a deadline of {deadline_ms} ms is not {MIN_DEADLINE_MS} to {MAX_DEADLINE_MS}"
                )


PRESETS: Mapping[Preset, Deadlines] = {
    "live": Deadlines(50, 50),
    "chat": Deadlines(500, None),
    "accurate": Deadlines(5000, None),
}
DEFAULT_PRESET: Preset = "chat"


def worth_datagrams(deadline_ms: int | None, rtt_s: float | None) -> bool:
    """Whether streams cannot help: a loss is noticed and repaired after 1.5 round trips and the peer's ACK delay.

    With a shorter deadline a stream would only be reset, which costs more than it saves. A round-trip time of
    None is not known yet; streams are then the safe guess.
    """
    if deadline_ms is None or rtt_s is None:
        return False
    return deadline_ms < 1500 * rtt_s + 25
