"""What is wrong with a fleet, by what its nodes say: the worst first, each a sentence that tells whose move it is.

Pure: the nodes as they were found and the time in, findings out.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edge.fleet.observed import Seen, Status, neighbors_down
from edge.spans import span

LONG_S: Final = 3600.0
"""A node that an operator keeps out for longer may have been forgotten."""


class Severity(enum.IntEnum):
    """``BROKEN``: callers notice, or will. ``WARNING``: nobody notices yet. ``NOTE``: somebody wants it so."""

    NOTE = 1
    WARNING = 2
    BROKEN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """``about``: the name of a node or a site, empty for the fleet. ``what``: a word for scripts, stable."""

    severity: Severity
    about: str
    what: str
    sentence: str


def findings(nodes: Sequence[Seen], now: float) -> tuple[Finding, ...]:
    """Of all of a fleet's nodes, at ``now`` by the wall clock; the worst first, and by what they are about."""
    found = [*_of_sites(nodes), *(finding for node in nodes for finding in _of_node(node, now))]
    found += [*_of_keys(nodes), *_of_names(nodes)]
    return tuple(sorted(found, key=lambda finding: (-finding.severity, finding.about)))


def worst(found: Sequence[Finding], about: str) -> Severity | None:
    """Of what is found ``about`` a node; None if nothing is."""
    return max((finding.severity for finding in found if finding.about == about), default=None)


def _of_sites(nodes: Sequence[Seen]) -> Iterator[Finding]:
    """Dark: a site where we know of no node that announces. Whoever holds all of them out knows."""
    by_site: dict[str, list[Seen]] = {}
    for node in nodes:
        by_site.setdefault(node.site, []).append(node)
    for site, there in by_site.items():
        if not any(node.status and node.status.announced for node in there):
            silent = sum(node.status is None for node in there)
            held_out = all(node.status and _is_held_out(node.status) for node in there)
            alone = len(there) == 1
            none = "its only node is not" if alone else f"none of its {len(there)} nodes is"
            some = "it" if alone else f"{silent} of them"
            why = f"; {some} cannot be asked" if silent else "; held out" if held_out else ""
            severity = Severity.NOTE if held_out else Severity.BROKEN
            yield Finding(severity, site or "?", "dark", f"{none} known to announce{why}")


def _is_held_out(status: Status) -> bool:
    return status.hold is not None and status.hold.kind == "withdraw"


def _of_node(node: Seen, now: float) -> Iterator[Finding]:
    if node.error is not None:
        yield Finding(Severity.BROKEN, node.name, "unreachable", str(node.error))
    if node.status is None:
        return
    status = node.status
    yield from _of_state(node.name, status, now)
    if down := neighbors_down(status):
        every = status.bgp is not None and len(down) == len(status.bgp.neighbors)
        yield Finding(
            Severity.BROKEN if every else Severity.WARNING,
            node.name,
            "bgp-down",
            f"BGP is down with {', '.join(down)}; see: edgectl bgp peers {node.name}",
        )
    for problem in status.problems:
        yield Finding(Severity.WARNING, node.name, "problem", problem)
    if status.refuse_probability > 0 and not (status.hold and status.hold.drain):
        yield Finding(
            Severity.WARNING, node.name, "refuses", f"refuses {status.refuse_probability:.0%} of newcomers"
        )
    yield from _of_release(node, status)
    yield from _of_work(node.name, status, now)


def _of_state(name: str, status: Status, now: float) -> Iterator[Finding]:
    hold = status.hold
    if hold is not None:
        for_long = _is_held_out(status) and now - hold.since > LONG_S
        word = "kept announced" if hold.kind == "announce" else "drained" if hold.drain else "withdrawn"
        who = f" by {hold.who}" if hold.who else ""
        reason = f": {hold.reason}" if hold.reason else ""
        left = f", {status.calls} calls left" if hold.drain and status.calls else ""
        yield Finding(
            Severity.WARNING if for_long else Severity.NOTE,
            name,
            "held-long" if for_long else "held",
            f"{word}{who} for {span(now - hold.since)}{left}{reason}",
        )
    elif status.state in ("fenced", "withdrawn", "depreferred", "starting"):
        severity = Severity.BROKEN if status.state == "fenced" else Severity.WARNING
        yield Finding(severity, name, status.state, f"{status.state}: {status.reason}")


def _of_release(node: Seen, status: Status) -> Iterator[Finding]:
    wanted, config = node.wanted, status.config
    if wanted.version and status.version and status.version != wanted.version:
        yield Finding(
            Severity.WARNING,
            node.name,
            "version-skew",
            f"runs {status.version}, the fleet file says {wanted.version}",
        )
    if config is None:
        return
    if config.changed_on_disk:
        yield Finding(
            Severity.WARNING,
            node.name,
            "config-changed",
            f"{config.file or 'its file'} has changed since it was loaded; a restart takes it",
        )
    if wanted.config_hash and config.hash and config.hash != wanted.config_hash:
        yield Finding(
            Severity.WARNING,
            node.name,
            "config-drift",
            f"its configuration is not that of the fleet file; see: edgectl config diff {node.name}",
        )


def _of_work(name: str, status: Status, now: float) -> Iterator[Finding]:
    lease, operation = status.lease, status.operation
    if lease is not None:
        yield Finding(
            Severity.NOTE,
            name,
            "leased",
            f"{lease.who} works on it ({lease.what}) for {span(now - lease.since)}",
        )
    if operation is None:
        return
    if operation.get("interrupted"):
        yield Finding(Severity.WARNING, name, "interrupted", str(operation.get("advice")))
    elif operation.get("state") == "failed":
        told = "{kind} by {who} failed at {step}: {reason}".format_map(defaultdict(str, operation))
        yield Finding(Severity.WARNING, name, "failed", told)


def _of_names(nodes: Sequence[Seen]) -> Iterator[Finding]:
    """Ways that lead to another node than they say: what is told of the one is the other's, and so would be its orders."""
    names = {node.name for node in nodes}
    for node in nodes:
        if node.status is not None and node.status.node != node.name and node.status.node in names:
            yield Finding(
                Severity.BROKEN,
                node.name,
                "another-node",
                f"it is {node.status.node} that answers there; correct how {node.name} is reached (ssh, socket, addresses)",
            )


def _of_keys(nodes: Sequence[Seen]) -> Iterator[Finding]:
    versions = {
        node.name: node.status.keys.version for node in nodes if node.status and node.status.keys.version
    }
    if len(set(versions.values())) > 1:
        newest = max(versions.values())
        old = ", ".join(
            f"{name} has version {version}" for name, version in versions.items() if version < newest
        )
        yield Finding(
            Severity.WARNING, "", "keys-differ", f"not all nodes have version {newest} of the key ring: {old}"
        )
