"""Times as people type them, right and wrong, and as they read them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import click
import pytest

from edge.cli.moments import Moment, Span, moment, span

DAY_S = 86400.0


@pytest.mark.parametrize(
    "text,seconds",
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5h", 5400), ("2d", 2 * DAY_S), ("0.5s", 0.5)],
)
def test_spans_as_typed(text: str, seconds: float) -> None:
    assert Span().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "m", "-30m", "30 m", "30min", "1h 30m", "1e3s", "1..5h", "∞", "٣m"]
)
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a span of time; say 90s"):
        Span().convert(text, None, None)


@pytest.mark.parametrize(
    "text,says", [("0m", "is over already"), ("367d", "a year away"), ("9" * 400 + "d", "a year")]
)
def test_spans_out_of_reach(text: str, says: str) -> None:
    with pytest.raises(click.BadParameter, match=says):
        Span().convert(text, None, None)


def test_a_moment_is_local_unless_it_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Amsterdam")
    time.tzset()
    tomorrow = (datetime.now().astimezone() + timedelta(days=1)).replace(microsecond=0)
    assert Moment().convert(f"{tomorrow:%Y-%m-%dT%H:%M:%S}", None, None) == tomorrow
    assert Moment().convert(tomorrow.isoformat(), None, None) == tomorrow


@pytest.mark.parametrize("text", ["", "tomorrow", "10:00", "2026-13-01T10:00", "0001-01-01T00:00+23:59x"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a moment; say it like 2026-11-22T10:00"):
        Moment().convert(text, None, None)


@pytest.mark.parametrize(
    "text,says", [("2001-01-01T00:00", "is over already"), ("9999-12-31T23:59", "more than a year away")]
)
def test_moments_out_of_reach(text: str, says: str) -> None:
    with pytest.raises(click.BadParameter, match=says):
        Moment().convert(text, None, None)


@pytest.mark.parametrize(
    "seconds,text",
    [
        (-3.0, "0.0 s"),
        (9.96, "10.0 s"),
        (59.9, "59 s"),
        (60.0, "1 min"),
        (192.4, "3 min 12 s"),
        (3600.0, "1 h"),
        (3659.0, "1 h"),
        (5400.0, "1 h 30 min"),
        (DAY_S - 1, "23 h 59 min"),
        (DAY_S * 400 + 3600, "400 d 1 h"),
    ],
)
def test_spans_as_told(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_moments_are_told_with_their_date_only_where_it_is_another() -> None:
    noon = datetime(2026, 11, 21, 12).astimezone().timestamp()
    assert moment(noon - 1, noon) == "11:59:59"
    assert moment(noon - DAY_S, noon) == "2026-11-20 12:00:00"
