"""Waiting for what tells nobody when it happens."""

from __future__ import annotations

import time
from collections.abc import Callable

_POLL_S = 0.2


def until(holds: Callable[[], bool], what: str, timeout_s: float = 60.0) -> float:
    """Wait until it holds: how many seconds that took. It fails with ``what`` after ``timeout_s``."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < timeout_s, f"after {timeout_s:g} s not yet: {what}"
        time.sleep(_POLL_S)
    return time.monotonic() - began
