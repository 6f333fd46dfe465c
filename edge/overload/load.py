"""What a node measures about itself, and how much of it the node can take."""

from collections.abc import Container
from enum import StrEnum

import msgspec


class Signal(StrEnum):
    """The fields that a sample and a capacity have in common; any of them can be what a node runs out of."""

    CPU = "cpu"
    LOOP_LAG = "loop_lag_s"
    HANDSHAKES = "handshakes_per_s"
    CALLS = "calls"
    SOCKET_DROPS = "socket_drops_per_s"
    BACKEND_QUEUE = "backend_queue"


SHARED = (Signal.HANDSHAKES, Signal.CALLS, Signal.SOCKET_DROPS, Signal.BACKEND_QUEUE)
"""What the workers of a node use up together; of the others, one of them alone can have too much."""


class LoadSample(msgspec.Struct, frozen=True):
    """One look at the node, or at one of its workers. Rates are per second since the look before."""

    cpu: float = 0.0
    """Busy share of the busiest worker's core, 0 to 1."""
    loop_lag_s: float = 0.0
    """How late the event loop woke up, at worst."""
    handshakes_per_s: float = 0.0
    """QUIC handshakes begun."""
    calls: float = 0.0
    """Calls that are up."""
    socket_drops_per_s: float = 0.0
    """Datagrams the kernel threw away because a receive queue was full."""
    backend_queue: float = 0.0
    """Turns waiting for a backend."""


class Capacity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sample at which a node is full: each field is where that signal alone counts as pressure 1.

    The defaults are for one worker on one core. A loop that is 0.1 s late is late by a whole group of audio
    frames; 25 drops a second are 1 % of what 50 calls of 50 frames a second send.
    """

    cpu: float = 1.0
    loop_lag_s: float = 0.1
    handshakes_per_s: float = 300.0
    calls: float = 50.0
    socket_drops_per_s: float = 25.0
    backend_queue: float = 50.0

    def __post_init__(self) -> None:
        for signal in Signal:
            if not getattr(self, signal) > 0.0:
                raise ValueError(f"{signal} {getattr(self, signal)}: capacity needs more than 0")

    def of_workers(self, count: int, *, given: Container[str] = ()) -> "Capacity":
        """What ``count`` workers can take together, if this is one worker's; what is ``given`` is all of theirs."""
        return msgspec.structs.replace(
            self, **{signal: count * getattr(self, signal) for signal in SHARED if signal not in given}
        )

    def fractions(self, sample: LoadSample) -> dict[Signal, float]:
        """Each signal of the sample as a fraction of this capacity; 1 is full, more is too much."""
        return {signal: getattr(sample, signal) / getattr(self, signal) for signal in Signal}
