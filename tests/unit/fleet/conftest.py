"""A fleet of three nodes at two sites, as text to change, and ways to read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fleet_text import BASE

from edge.fleet import Fleet, parse_fleet


def fleet_of(text: str, path: Path = Path("/srv/fleet.toml")) -> Fleet:
    """The fleet of a text with nothing wrong in it."""
    fleet, problems = parse_fleet(text, path)
    assert fleet is not None, problems
    assert [str(problem) for problem in problems if not problem.note] == []
    return fleet


@pytest.fixture
def base() -> str:
    return BASE


@pytest.fixture
def read() -> Callable[[str], Fleet]:
    return fleet_of


@pytest.fixture
def fleet() -> Fleet:
    return fleet_of(BASE)
