"""Spans and moments of time as people type and read them."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any

import click

from edge.spans import span

__all__ = ["Moment", "Number", "Span", "moment", "span"]

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhd])+")
_PART = re.compile(r"([0-9.]+)([smhd])")
_LONGEST_S = 366 * 86400.0


class Span(click.ParamType[float]):
    """``30m``, ``1h30m``, ``2d``: seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if not _SPAN.fullmatch(value):
            self.fail(f"{value!r} is not a span of time; say 90s, 30m, 1h30m or 2d", param, ctx)
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(value))
        return _within_reach(self, seconds, value, param, ctx)


class Number(click.FloatRange):
    """A number in a range; what is none, and infinity, are in no range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Moment(click.ParamType[datetime]):
    """``2026-11-22T10:00``, with or without seconds and offset; without one it is local time."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a moment; say it like 2026-11-22T10:00", param, ctx)
        left_s = (moment - datetime.now().astimezone()).total_seconds()
        _within_reach(self, left_s, value, param, ctx)
        return moment


def _within_reach(
    kind: click.ParamType[Any],
    seconds: float,
    value: str,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> float:
    if seconds <= 0:
        kind.fail(f"{value!r} is over already", param, ctx)
    if seconds > _LONGEST_S:
        kind.fail(f"{value!r} is more than a year away; for a hold without end leave it out", param, ctx)
    return seconds


def moment(at: float, now: float) -> str:
    """A wall-clock time in local time: of the day alone if that says it, else with its date."""
    there, here = datetime.fromtimestamp(at).astimezone(), datetime.fromtimestamp(now).astimezone()
    return f"{there:%H:%M:%S}" if there.date() == here.date() else f"{there:%Y-%m-%d %H:%M:%S}"
