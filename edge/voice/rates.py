"""How often a caller may do a thing: a bucket of tokens that fills at a steady rate (RFC 2697 without colours)."""

from edge.voice.errors import Code, WireError


class Rate:
    """``per_s`` in the long run, and ``burst`` at once. ``what`` names the things in the reason for ending a call."""

    def __init__(self, what: str, *, per_s: float, burst: int) -> None:
        self._what = what
        self._per_s = per_s
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at: float | None = None

    def take(self, now: float) -> None:
        """One more of them. Raises `WireError` if it is one too many."""
        if self._filled_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        if self._tokens < 1:
            raise WireError(self._what, f"more than {self._per_s:g} a second", Code.LIMIT)
        self._tokens -= 1
