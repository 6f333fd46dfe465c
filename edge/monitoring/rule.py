"""What the tables are made of: recording rules and alerts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["critical", "warning", "none"]
"""``critical`` calls somebody now, ``warning`` is read on the next working day, ``none`` is for machines."""

_CAPITALS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """``name`` is LEVEL:METRIC:OPERATION, where the level says which labels are left."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """``wait`` is Prometheus' ``for``, and ``because`` the reason for it and for the severity.

    Two of one name are two severities of one thing, and share a runbook. ``summary`` says what is wrong in few words,
    ``description`` with figures; both are templates of Prometheus.
    """

    name: str
    severity: Severity
    expr: str
    wait: str
    because: str
    summary: str
    description: str

    @property
    def page(self) -> str:
        """The runbook's file, without its suffix: ``EdgeSiteDark`` has ``site-dark``."""
        return _CAPITALS.sub("-", self.name.removeprefix("Edge")).lower()


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, in this order."""

    name: str
    rules: tuple[Record | Alert, ...]
