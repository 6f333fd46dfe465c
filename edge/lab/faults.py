"""Ways to break the lab on purpose. A check that cannot fail proves nothing, so each fault names its check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.backend.echo import EchoBackend
from edge.voice import DEFAULT_LEAD_MS
from edge.voice.frame import Frame

DROPPED_EVERY = 50  # one frame a second


@dataclass(frozen=True, slots=True)
class Fault:
    """``check`` is the one that must fail; the rest is how the nodes are configured differently."""

    check: str
    preferred_address: bool = True
    policy_mode: str = "act"
    backend: str = "echo"
    lead_ms: int = DEFAULT_LEAD_MS
    forwarding: bool = True
    resume_s: float = 30.0
    one_ring: bool = True


NONE = Fault(check="")

FAULTS: dict[str, Fault] = {
    "no-preferred-address": Fault(check="migrated_ratio", preferred_address=False),
    "no-withdraw": Fault(check="withdrawn", policy_mode="observe"),
    "drop-frames": Fault(check="frames_missing", backend="echo-drop"),
}


class DroppingEchoBackend(EchoBackend):
    """An edge that loses one frame of `DROPPED_EVERY` between the network and its backend, and tells nobody."""

    _passing = 0

    def hear(self, frames: Sequence[Frame]) -> None:
        kept = []
        for frame in frames:
            self._passing += 1
            if self._passing % DROPPED_EVERY:
                kept.append(frame)
        super().hear(kept)
