"""What all calls of a worker have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.auth import Doorkeeper
from edge.backend.base import BackendFactory
from edge.overload.limits import Limits
from edge.runtime.resuming import Resuming
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

    ``unicast_goaway``: callers that stay on the service address are asked to call the unicast one; ``is_alone``: no other
    worker could get that call.
    """

    node: str
    worker: int
    unicast_url: str
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
