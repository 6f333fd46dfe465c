"""How much of a caller an edge takes, and how often."""

from edge.voice.errors import Code, WireError

MAX_EVENT_ERRORS = 100
"""A caller that sends more nonsense than this is ended: every answer to it waits in memory to be read."""
EVENTS_PER_S, EVENTS_AT_ONCE = 50, 500
DATAGRAMS_PER_S, DATAGRAMS_AT_ONCE = 200, 5000
FRAMES_PER_S, FRAMES_AT_ONCE = 200, 30_000
"""50 frames and 10 reports a second are usual; what was recorded is said as fast as the network takes it."""


class Patience:
    """With one caller. Every method raises `WireError`, which names the limit, when it is exceeded."""

    def __init__(self) -> None:
        self._errors = 0
        self._events = _Rate("control events", EVENTS_PER_S, EVENTS_AT_ONCE)
        self._datagrams = _Rate("datagrams", DATAGRAMS_PER_S, DATAGRAMS_AT_ONCE)
        self._frames = _Rate("frames of speech", FRAMES_PER_S, FRAMES_AT_ONCE)

    def event(self, now: float) -> None:
        """One more control event."""
        self._events.take(now)

    def datagram(self, now: float) -> None:
        """One more datagram."""
        self._datagrams.take(now)

    def frames(self, count: int, now: float) -> None:
        """``count`` more frames of speech that can be passed on."""
        self._frames.take(now, count)

    def nonsense(self) -> None:
        """One more event that makes no sense."""
        self._errors += 1
        if self._errors > MAX_EVENT_ERRORS:
            raise WireError("control stream", f"more than {MAX_EVENT_ERRORS} events that make no sense")


class _Rate:
    """A bucket of tokens, ``burst`` when it is full, that fills at ``per_s``."""

    def __init__(self, what: str, per_s: float, burst: int) -> None:
        self._what = what
        self._per_s = per_s
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at: float | None = None

    def take(self, now: float, count: int = 1) -> None:
        if self._filled_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        if self._tokens < count:
            raise WireError(self._what, f"more than {self._per_s:g} a second", Code.LIMIT)
        self._tokens -= count
