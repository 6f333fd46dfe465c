"""What shows that a node has left, is well, or is back: each tells what is lacking, empty once nothing is."""

from __future__ import annotations

from collections.abc import Mapping, Set

from edge.fleet.plan import Task
from edge.fleet.sighting import Observed


def lacks_absence(task: Task, fleet: Mapping[str, Observed]) -> str:
    """Neither does its speaker tell a route, nor does anybody who can see the others see it announcing."""
    seen = fleet[task.node]
    if seen.announced:
        return "still announces"
    if seen.routes:
        return f"its speaker still tells {seen.routes} routes"
    still = [name for name, sees in _views(task, fleet).items() if task.addresses & sees]
    return f"is still seen announcing by {', '.join(still)}" if still else ""


def lacks_presence(task: Task, fleet: Mapping[str, Observed]) -> str:
    """It announces, and so do its speaker and all who can see the others say; or a person keeps it out."""
    seen = fleet[task.node]
    if seen.is_kept_out:
        return ""
    if not seen.announced:
        return f"is not announced: {seen.state}, {seen.reason}"
    if seen.unconfirmed:
        return f"its speaker was not seen to tell {seen.unconfirmed} of {seen.routes} routes"
    blind = [name for name, sees in _views(task, fleet).items() if not task.addresses & sees]
    return f"is not seen announcing by {', '.join(blind)}" if blind else ""


def lacks_health(seen: Observed, tolerated: Set[str]) -> str:
    """It is held and has proved itself; ``tolerated`` are troubles that it may have."""
    if seen.announced:
        return "announces, though it is to be held"
    if new := seen.troubles - tolerated:
        return "; ".join(sorted(new))
    return "" if seen.probes_passed else "its self-probe has not passed yet"


def _views(task: Task, fleet: Mapping[str, Observed]) -> dict[str, Set[str]]:
    """Of the others who have one."""
    return {name: other.sees for name, other in fleet.items() if name != task.node and other.sees is not None}
