"""How much of a caller an edge takes, and how often."""

from edge.bucket import TokenBucket
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
        self._events = TokenBucket(EVENTS_PER_S, EVENTS_AT_ONCE)
        self._datagrams = TokenBucket(DATAGRAMS_PER_S, DATAGRAMS_AT_ONCE)
        self._frames = TokenBucket(FRAMES_PER_S, FRAMES_AT_ONCE)

    def event(self, now: float) -> None:
        """One more control event."""
        _take(self._events, "control events", 1, now)

    def datagram(self, now: float) -> None:
        """One more datagram."""
        _take(self._datagrams, "datagrams", 1, now)

    def frames(self, count: int, now: float) -> None:
        """``count`` more frames of speech that can be passed on."""
        _take(self._frames, "frames of speech", count, now)

    def nonsense(self) -> None:
        """One more event that makes no sense."""
        self._errors += 1
        if self._errors > MAX_EVENT_ERRORS:
            raise WireError("control stream", f"more than {MAX_EVENT_ERRORS} events that make no sense")


def _take(bucket: TokenBucket, what: str, count: int, now: float) -> None:
    if not bucket.take(count, now):
        raise WireError(what, f"more than {bucket.rate:g} a second", Code.LIMIT)
