"""Who may still come in: the first answer to overload, given in seconds and at no cost in routing.

    state      a newcomer is               left when pressure was                           for
    ACCEPTING  accepted                    high for retry_after_s                           RETRYING
    RETRYING   sent a Retry                high for refuse_after_s                          REFUSING
                                           low for accept_after_s                           ACCEPTING
    REFUSING   refused with probability p, low until p is 0                                 RETRYING
               else sent a Retry
    DRAINING   refused                     (`drain` enters, `end_drain` leaves)             ACCEPTING

A Retry costs the node one datagram and a hash instead of a handshake, and stops whoever forged an address. A
refusal costs as little, and the caller's client can try elsewhere at once instead of waiting for an answer
that comes late. Calls that are up are never touched.

While REFUSING, p climbs when pressure is high, sinks more slowly when it is low, and stays when it is
neither. That is the hysteresis: between the thresholds nothing changes, so load that settles there cannot
make the node flap. Sinking slowly is also the slow start: a node that returns enters by `warm_up` at p = 1,
and lets the callers that routing moves to it all at once in over ramp_down_s.
"""

from enum import Enum, StrEnum
from typing import NamedTuple

import msgspec

from edge.overload.params import OverloadParams
from edge.overload.pressure import Pressure
from edge.overload.ratio import SlidingRatio


class AdmissionState(StrEnum):
    ACCEPTING = "accepting"
    RETRYING = "retrying"
    REFUSING = "refusing"
    DRAINING = "draining"


class Condition(StrEnum):
    """What the rest of the fleet is told; it does not care in which way a node sheds."""

    SERVING = "serving"
    SHEDDING = "shedding"
    DRAINING = "draining"


class Band(Enum):
    """Where pressure is, seen from the two thresholds."""

    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"


class Transition(NamedTuple):
    """Once pressure has stayed in its band for the parameter named ``after``, and p is 0, go to ``then``."""

    after: str | None
    then: AdmissionState


TRANSITIONS = {
    (AdmissionState.ACCEPTING, Band.HIGH): Transition("retry_after_s", AdmissionState.RETRYING),
    (AdmissionState.RETRYING, Band.HIGH): Transition("refuse_after_s", AdmissionState.REFUSING),
    (AdmissionState.RETRYING, Band.LOW): Transition("accept_after_s", AdmissionState.ACCEPTING),
    (AdmissionState.REFUSING, Band.LOW): Transition(None, AdmissionState.RETRYING),
}

CONDITIONS = {
    AdmissionState.ACCEPTING: Condition.SERVING,
    AdmissionState.RETRYING: Condition.SHEDDING,
    AdmissionState.REFUSING: Condition.SHEDDING,
    AdmissionState.DRAINING: Condition.DRAINING,
}


class Verdict(StrEnum):
    """What to do with a client's first Initial packet."""

    ACCEPT = "accept"
    RETRY = "retry"
    """A client that comes back with a valid token has had its verdict: it is accepted, not asked about."""
    REFUSE = "refuse"
    """Close with CONNECTION_REFUSED in an Initial packet."""


class Gate(msgspec.Struct, frozen=True):
    """The present answer to newcomers, small enough to be sent to every worker."""

    retry: bool = False
    refuse_probability: float = 0.0

    def verdict(self, dice: float) -> Verdict:
        """``dice`` is uniform in [0, 1), fresh for every newcomer."""
        if dice < self.refuse_probability:
            return Verdict.REFUSE
        return Verdict.RETRY if self.retry else Verdict.ACCEPT


class Admission:
    """The state machine. Call `update` with every pressure; ``now`` never goes backwards."""

    def __init__(self, params: OverloadParams, now: float) -> None:
        self.state = AdmissionState.ACCEPTING
        self._params = params
        self._slopes = {Band.LOW: -1 / params.ramp_down_s, Band.MIDDLE: 0.0, Band.HIGH: 1 / params.ramp_up_s}
        self._probability = 0.0
        self._full = False
        self._band = Band.LOW
        self._band_since = now
        self._updated_at = now
        self._refusals = SlidingRatio(params.refusal_window_s)

    def update(self, pressure: Pressure, now: float) -> None:
        """Take a new pressure in. The old one is taken to have lasted until ``now``."""
        if self.state is AdmissionState.REFUSING:
            moved = self._probability + self._slopes[self._band] * (now - self._updated_at)
            self._probability = min(1.0, max(0.0, moved))
        self._updated_at = now
        self._full = pressure.full
        band = self._band_of(pressure.value)
        if band is not self._band:
            self._band, self._band_since = band, now
        self._step(now)

    def drain(self) -> None:
        """Refuse every newcomer from now on, whatever the pressure."""
        self.state = AdmissionState.DRAINING

    def end_drain(self, now: float) -> None:
        """Take newcomers in as a node that has just started does: whoever empties a node decides when it is needed."""
        if self.state is AdmissionState.DRAINING:
            self.state = AdmissionState.ACCEPTING
            self._probability = 0.0
            self._band_since = now

    def warm_up(self) -> None:
        """Begin (again) to let newcomers in: nobody at first, then more and more while pressure is low."""
        self.state = AdmissionState.REFUSING
        self._probability = 1.0

    @property
    def condition(self) -> Condition:
        return CONDITIONS[self.state]

    @property
    def refuse_probability(self) -> float:
        """0 to 1. A node that is full refuses everybody, in any state and without a ramp."""
        if self._full or self.state is AdmissionState.DRAINING:
            return 1.0
        return self._probability

    @property
    def gate(self) -> Gate:
        return Gate(self.state is not AdmissionState.ACCEPTING, self.refuse_probability)

    def verdict(self, now: float, dice: float) -> Verdict:
        """Decide on one newcomer, and count it. ``dice`` is uniform in [0, 1)."""
        verdict = self.gate.verdict(dice)
        self.count(int(verdict is Verdict.REFUSE), 1, now)
        return verdict

    def count(self, refused: int, newcomers: int, now: float) -> None:
        """Count verdicts that were given elsewhere, by a copy of the gate."""
        self._refusals.count(refused, newcomers, now)

    def refusal_ratio(self, now: float) -> float:
        """Refused newcomers / all newcomers over the last refusal_window_s; 0 when nobody came."""
        return self._refusals.value(now)

    def _band_of(self, value: float) -> Band:
        if value >= self._params.rise:
            return Band.HIGH
        return Band.LOW if value < self._params.fall else Band.MIDDLE

    def _step(self, now: float) -> None:
        transition = TRANSITIONS.get((self.state, self._band))
        if transition is None or self._probability:
            return
        after = 0.0 if transition.after is None else getattr(self._params, transition.after)
        if now - self._band_since >= after:
            self.state = transition.then
