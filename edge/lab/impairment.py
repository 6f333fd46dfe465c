"""What a link does to packets: delay, jitter, loss. Pure; time comes in as an argument.

Every packet of a direction throws the same two dice (one for loss, one for jitter) from a generator seeded
by seed, link and direction, whatever the link's values are at that moment. So the n-th packet of a direction
meets the same luck in every run, and changing the delay in mid-run does not change which packets are lost.
"""

import random

import msgspec


class Impairment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both directions of a link, or one of them, at one moment.

    ``delay_ms`` is one way. Each packet takes ``delay_ms`` plus or minus up to ``jitter_ms``, evenly spread;
    packets keep their order unless ``reorder``. ``loss`` is a probability, of each packet for itself; with
    ``burst`` it is the share that is lost over time, in runs of ``burst`` packets on average, as radio and full
    queues lose them (Gilbert's model: a link is good or bad, and whatever it carries while it is bad is lost).
    A link that is ``cut`` loses everything while both interfaces stay up, like a cable pulled out behind a switch.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    burst: float | None = None
    reorder: bool = False
    cut: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.jitter_ms <= self.delay_ms <= 60_000:
            raise ValueError("0 <= jitter_ms <= delay_ms <= 60000 does not hold")
        if not 0 <= self.loss <= 1:
            raise ValueError("loss is a probability, from 0 to 1")
        if self.burst is not None and not (self.burst >= 1 and self.loss * (1 + self.burst) <= self.burst):
            raise ValueError(
                "burst is at least 1 packet, and loss a probability of burst / (1 + burst) at most"
            )

    def loss_after(self, lost: bool) -> float:
        """The probability that a packet is lost, given the fate of the one before it."""
        if self.burst is None:
            return self.loss
        if lost:
            return 1 - 1 / self.burst
        return self.loss / (self.burst * (1 - self.loss))


class Direction:
    """One direction of a link: the fate of each packet, and how many met which."""

    def __init__(self, impairment: Impairment, seed: str) -> None:
        self.impairment = impairment
        self.packets = 0
        self.dropped = 0
        self._dice = random.Random(seed).random
        self._last_arrival = 0.0
        self._bad = False  # whether the last packet was lost, but by a cut

    def arrival(self, now: float) -> float | None:
        """When the packet that enters at ``now`` leaves at the far end; None: it is lost."""
        impairment = self.impairment
        luck, jitter = self._dice(), 2 * self._dice() - 1
        self.packets += 1
        self._bad = luck < impairment.loss_after(self._bad)
        if impairment.cut or self._bad:
            self.dropped += 1
            return None
        at = now + (impairment.delay_ms + impairment.jitter_ms * jitter) / 1000
        if not impairment.reorder:
            at = self._last_arrival = max(at, self._last_arrival)
        return at
