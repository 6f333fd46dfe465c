"""A node as it was found, beside what the fleet file wants of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from edge.errors import EdgeError
from edge.statuspage.facts import Status

__all__ = ["Seen", "Status", "Wanted", "neighbors_down", "understood"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the fleet file says of a node; empty where it says nothing, or there is none."""

    name: str
    site: str = ""
    version: str = ""
    config_hash: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a node says of itself (docs/reference/admin.md), or why it says nothing."""

    wanted: Wanted
    status: Status | None = None
    error: EdgeError | None = None

    @property
    def name(self) -> str:
        return self.wanted.name

    @property
    def site(self) -> str:
        return self.wanted.site or (self.status.site if self.status else "")


def understood(document: Any) -> Status:
    """Raises `EdgeError` if it is none. Keys that a node of another version does not tell have their defaults."""
    try:
        return msgspec.convert(document, Status)
    except msgspec.ValidationError as error:
        raise EdgeError(f"its status is of another version ({error}); use its own edgectl") from error


def neighbors_down(status: Status) -> tuple[str, ...]:
    """Addresses of BGP neighbors whose session is not up."""
    if status.bgp is None:
        return ()
    return tuple(address for address, state in status.bgp.neighbors.items() if state != "up")
