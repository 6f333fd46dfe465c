"""What callers are promised, and the alerts that say how fast the promise is being used up.

An objective is a share of good events over 30 days; what is left of 100 % is the budget. An alert fires when a long and
a short window both burn the budget so many times as fast as it lasts: the long one says that it matters, the short one
that it still goes on. 14.4 times for an hour is 2 % of the month's budget, 6 times for six hours is 5 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.monitoring.promql import SITE, of
from edge.monitoring.rule import Alert, Group, Record, Severity
from edge.runtime import metric_table as metric


@dataclass(frozen=True, slots=True)
class Burn:
    """``factor``: times as fast as the budget lasts."""

    severity: Severity
    short: str
    long: str
    factor: float


BURNS: Final = (Burn("critical", "5m", "1h", 14.4), Burn("warning", "30m", "6h", 6))
WINDOWS: Final = (*(burn.short for burn in BURNS), *(burn.long for burn in BURNS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """``bad`` or ``good``, and ``all``, are counters' selectors, ``all`` being one or several that add up, without ``less``.

    ``scale`` makes of what they count what ``bad`` is a share of. ``enough``: so much of ``all`` in the long window, or
    nothing is said: of three calls one is a third.
    """

    alert: str
    record: str
    share: float
    all: tuple[str, ...]
    bad: str = ""
    good: str = ""
    less: str = ""
    scale: float = 1.0
    enough: int
    summary: str
    what: str
    because: str

    @property
    def budget(self) -> float:
        return 1.0 - self.share

    def record_name(self, window: str) -> str:
        return f"site:{self.record}:ratio_rate{window}"

    def ratio(self, window: str) -> str:
        """The share of bad events; NaN where there were none."""
        everything = self._everything(window, "rate")
        everything = everything if self.scale == 1.0 else f"({everything} * {self.scale:g})"
        if self.good:
            return f"1 - {_over(window, self.good)} / {everything}"
        return f"{_over(window, self.bad)} / {everything}"

    def _everything(self, window: str, function: str) -> str:
        total = " + ".join(_over(window, selector, function) for selector in self.all)
        if self.less:
            # They are counted in different places, one a moment after the other.
            return f"clamp_min({total} - {_over(window, self.less, function)}, 0)"
        return f"({total})" if len(self.all) > 1 else total

    def records(self) -> tuple[Record, ...]:
        return tuple(Record(name=self.record_name(window), expr=self.ratio(window)) for window in WINDOWS)

    def alerts(self) -> tuple[Alert, ...]:
        return tuple(self._burning(burn) for burn in BURNS)

    def _burning(self, burn: Burn) -> Alert:
        limit = f"{burn.factor:g} * {self.budget:.4g}"
        events = self._everything(burn.long, "increase")
        return Alert(
            name=self.alert,
            severity=burn.severity,
            expr=f"{self.record_name(burn.long)} > {limit}\n"
            f"and on ({SITE}) {self.record_name(burn.short)} > {limit}\n"
            f"and on ({SITE}) {events} >= {self.enough}",
            wait="2m",
            because=f"{self.because} The two windows wait already; 2 minutes keep one evaluation from deciding.",
            summary=f"{self.summary} at {{{{ $labels.site }}}}",
            description=f"{{{{ $value | humanizePercentage }}}} {self.what} over {burn.long}, and as bad over {burn.short}. "
            f"{self.budget:.2%} would be as promised, this is more than {burn.factor:g} times that.",
        )


def _over(window: str, selector: str, function: str = "rate") -> str:
    return f"sum by ({SITE}) ({function}({selector}[{window}]))"


HANDSHAKES: Final = Objective(
    alert="EdgeHandshakeErrors",
    record="edge_handshake_errors",
    share=0.99,
    bad=of(metric.HANDSHAKES, result="failed"),
    all=(of(metric.HANDSHAKES),),
    less=of(metric.SELF_PROBE_HANDSHAKES),
    enough=50,
    summary="Callers fail to connect",
    what="of the handshakes failed",
    because="99 % of those that are not the node's own: some callers always give up, or are none. Who cannot connect hears nothing at all.",
)
SPEECH: Final = Objective(
    alert="EdgeSpeechLost",
    record="edge_speech_lost",
    share=0.995,
    bad=of(metric.FRAMES_LOST),
    all=(of(metric.FRAMES_HEARD), of(metric.FRAMES_LOST)),
    enough=3000,
    summary="Callers' speech is lost",
    what="of the callers' frames came too late or not at all",
    because="99.5 %: a lost frame in two hundred is not heard, one in fifteen garbles words. 3000 frames are a minute.",
)
PLAYOUT: Final = Objective(
    alert="EdgePlayoutUnderruns",
    record="edge_playout_underruns",
    share=0.99,
    bad=of(metric.UNDERRUNS),
    all=(of(metric.FRAMES_SAID),),
    scale=0.02,
    enough=3000,
    summary="Callers hear gaps",
    what="as many gaps as seconds of speech were played",
    because="A gap in 100 s is a slip, one every 7 s makes an agent unbearable. A second is 50 frames.",
)
TURNS: Final = Objective(
    alert="EdgeTurnsSlow",
    record="edge_turns_slow",
    share=0.95,
    good=of(metric.TURN_PLAYED, "bucket", le="1.5"),
    all=(of(metric.TURN_PLAYED, "count"),),
    enough=20,
    summary="Answers come late",
    what="of the turns took more than 1.5 s to the first word that the caller heard",
    because="95 %: beyond 1.5 s people speak again. Mostly it is the backend, hence a wide budget.",
)

OBJECTIVES: Final = (HANDSHAKES, SPEECH, PLAYOUT, TURNS)

RATIOS: Final = Group(
    "edge-objectives", tuple(record for objective in OBJECTIVES for record in objective.records())
)
PROMISES: Final = Group(
    "edge-promises", tuple(alert for objective in OBJECTIVES for alert in objective.alerts())
)
