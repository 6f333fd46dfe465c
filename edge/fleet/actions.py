"""What a rollout wants done to a node; `edge.fleet.carry_out` does it. Each may be done twice."""

from __future__ import annotations

from dataclasses import dataclass

from edge.fleet.operation import Operation


@dataclass(frozen=True, slots=True)
class Record:
    """Tell the node how far the operation is."""

    node: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class Drain:
    """Withdraw it and have its callers go on elsewhere. ``reason`` empty: whoever keeps it out already goes on doing so,
    ``until`` when they said, by the node's clock.

    ``force``: though the node's own guard cannot see the others; the fleet's guard has.
    """

    node: str
    reason: str
    deadline_s: float
    force: bool
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Install:
    """Bring the release from the wheelhouse."""

    node: str
    version: str


@dataclass(frozen=True, slots=True)
class Check:
    """See whether the release takes the configuration that is there."""

    node: str
    version: str


@dataclass(frozen=True, slots=True)
class Use:
    """Have `current` lead to the release."""

    node: str
    version: str


@dataclass(frozen=True, slots=True)
class Configure:
    """Put the files in place that the fleet file makes for this node."""

    node: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the node, and wait until it serves or has failed."""

    node: str


@dataclass(frozen=True, slots=True)
class Admit:
    """Hold it, but let in who calls its unicast address: it is drained no longer."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlaceCall:
    """Call its unicast address."""

    node: str


@dataclass(frozen=True, slots=True)
class Undrain:
    """End the hold."""

    node: str


Action = Record | Drain | Install | Check | Use | Configure | Restart | Admit | PlaceCall | Undrain
