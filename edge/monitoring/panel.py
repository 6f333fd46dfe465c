"""What a dashboard is made of, before any program draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["short", "percentunit", "s", "pps", "reqps", "cps", "dateTimeFromNow", "bool", "none"]
Kind = Literal["lines", "stacked", "number", "states", "heatmap", "table"]


@dataclass(frozen=True, slots=True)
class Query:
    """``legend`` is a template over the labels that are left."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """``says`` tells a reader what to look for. ``width`` is of 24. ``states`` are what numbers mean, by colour."""

    title: str
    says: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    kind: Kind = "lines"
    width: int = 8
    most: float | None = None
    """The value from which it is red; half of that is yellow. None: nothing is."""


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """``per_node``: with a choice of one node; all have one of sites."""

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]
    per_node: bool = False
