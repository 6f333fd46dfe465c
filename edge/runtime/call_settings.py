"""What all calls of a worker have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.auth import Doorkeeper
from edge.backend.base import BackendFactory
from edge.overload.limits import Limits
from edge.runtime.resuming import Resuming
from edge.runtime.sockets import is_ipv6
from edge.voice import Deadlines, Lead

if TYPE_CHECKING:
    from edge.runtime.call import Call


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """One backend of the node: how to make its adapters, and its table of the node's file."""

    make: BackendFactory
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """``changed`` is called when a backend has spoken, ``observe`` with what histograms are made of.

    ``unicast_url_v6`` is for who calls over IPv6, if that is another one.
    ``unicast_goaway``: callers that stay on the service address are asked to call the unicast one; ``is_alone``: no other
    worker could get that call.
    """

    node: str
    worker: int
    unicast_url: str
    unicast_url_v6: str | None = None
    unicast_goaway: bool = False
    is_alone: Callable[[], bool] = lambda: True
    lead_ms: Lead
    deadlines: Deadlines
    resume_s: float
    backends: Mapping[str, BackendChoice]
    doorkeeper: Doorkeeper
    resuming: Resuming
    limits: Limits
    clock: Callable[[], float]
    changed: Callable[[Call], None]
    observe: Callable[[str, float], None]

    def unicast_url_for(self, host: str) -> str:
        """Where a caller at this address finds the node: one that has no IPv4 could not use an address of that."""
        return (is_ipv6(host) and self.unicast_url_v6) or self.unicast_url
