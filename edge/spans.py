"""Spans of time as people read them."""

import math

_STEPS = (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))


def span(seconds: float) -> str:
    """``3 min 12 s``: the two largest units, or tenths of a second for what is short."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    for large, size_s, small, part_s in _STEPS:
        if seconds >= size_s:
            count, rest = divmod(math.floor(seconds), size_s)
            return f"{count} {large} {rest // part_s} {small}" if rest >= part_s else f"{count} {large}"
    return f"{math.floor(seconds)} s"
