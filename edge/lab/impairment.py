"""What a link does to packets: delay, jitter, loss. Pure; time comes in as an argument.

Every packet of a direction throws the same two dice (one for loss, one for jitter) from a generator seeded
by seed, link and direction, whatever the link's values are at that moment. So the n-th packet of a direction
meets the same luck in every run, and changing the delay in mid-run does not change which packets are lost.
Only bursts go by the clock, with dice of their own.
"""

import random

import msgspec


class Impairment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both directions of a link, or one of them, at one moment.

    ``delay_ms`` is one way. Each packet takes ``delay_ms`` plus or minus up to ``jitter_ms``, evenly spread;
    packets keep their order unless ``reorder``. ``loss`` is a probability, of each packet for itself. With
    ``burst_ms`` it is the share of the time in which the link loses everything, for ``burst_ms`` at a time on
    average, as radio does and a full queue (Gilbert's model, in time: to send less does not make a burst longer).
    A link that is ``cut`` loses everything while both interfaces stay up, like a cable pulled out behind a switch.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    burst_ms: float | None = None
    reorder: bool = False
    cut: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.jitter_ms <= self.delay_ms <= 60_000:
            raise ValueError("0 <= jitter_ms <= delay_ms <= 60000 does not hold")
        if not 0 <= self.loss <= 1:
            raise ValueError("loss is a probability, from 0 to 1")
        if self.burst_ms is not None and not (self.burst_ms > 0 and self.loss < 1):
            raise ValueError("bursts take some time, and are over at some time: burst_ms > 0, loss < 1")


class Bursts:
    """The times in which a link loses everything: ``share`` of all time, ``mean_s`` each, both exponentially spread."""

    def __init__(self, share: float, mean_s: float, dice: random.Random, now: float) -> None:
        self._means_s = {True: mean_s, False: mean_s * (1 - share) / share}
        self._dice = dice
        self._bad = dice.random() < share
        self._until = now + self._length()

    def bad_at(self, now: float) -> bool:
        """``now`` never goes back."""
        while now >= self._until:
            self._bad = not self._bad
            self._until += self._length()
        return self._bad

    def _length(self) -> float:
        return self._dice.expovariate(1 / self._means_s[self._bad])


class Direction:
    """One direction of a link: the fate of each packet, and how many met which."""

    def __init__(self, impairment: Impairment, seed: str) -> None:
        self.impairment = impairment
        self.packets = 0
        self.dropped = 0
        self._dice = random.Random(seed).random
        self._burst_dice = random.Random(f"{seed}/bursts")
        self._bursts: tuple[Impairment, Bursts] | None = None
        self._last_arrival = 0.0

    def arrival(self, now: float) -> float | None:
        """When the packet that enters at ``now`` leaves at the far end; None: it is lost."""
        impairment = self.impairment
        luck, jitter = self._dice(), 2 * self._dice() - 1
        self.packets += 1
        if impairment.cut or self._is_lost(luck, now):
            self.dropped += 1
            return None
        at = now + (impairment.delay_ms + impairment.jitter_ms * jitter) / 1000
        if not impairment.reorder:
            at = self._last_arrival = max(at, self._last_arrival)
        return at

    def _is_lost(self, luck: float, now: float) -> bool:
        impairment = self.impairment
        if impairment.burst_ms is None or impairment.loss == 0:
            return luck < impairment.loss
        if self._bursts is None or self._bursts[0] is not impairment:
            bursts = Bursts(impairment.loss, impairment.burst_ms / 1000, self._burst_dice, now)
            self._bursts = impairment, bursts
        return self._bursts[1].bad_at(now)
