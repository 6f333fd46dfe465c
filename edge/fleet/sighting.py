"""One node at one moment, as far as an operation on the fleet has to know it; made of the documents that it hands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from edge.fleet.operation import Operation, is_ours
from edge.runtime.holds import Hold

ANNOUNCING: Final = frozenset({"announced", "depreferred"})
UNPROVEN: Final = 2
"""So many self-probes that failed in a row are no accident."""
WITHOUT_BGP: Final = frozenset({"the service"})
"""What a node announces that has no prefixes because something else routes to it."""

NOT_UNDERSTOOD: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What a document of another form runs into; msgspec's own errors are among them."""


class Releases(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in `/opt/edge/releases` of a machine, and which of it `current` leads to."""

    current: str | None
    previous: str | None = None
    releases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """``silence`` is why the node itself does not answer; nothing is known then but ``releases``, if those.

    ``versions`` are those that run: of the supervisor and of its workers. ``serves`` is what it announces. ``routes`` are
    told to neighbors, ``unconfirmed`` how many of them the speaker was not seen to tell. ``sees`` has the addresses of other
    nodes that it sees announcing, None where it cannot know. ``troubles`` are sentences that do not change while the trouble
    lasts.
    """

    silence: str = ""
    versions: frozenset[str] = frozenset()
    config_hash: str = ""
    config_changed: bool = False
    """Its file is another one since it started."""
    state: str = ""
    reason: str = ""
    serves: frozenset[str] = frozenset()
    hold: Hold | None = None
    drain: str = ""
    calls: int = 0
    probes_passed: int = 0
    routes: int = 0
    unconfirmed: int = 0
    sees: frozenset[str] | None = None
    knows_others: bool = False
    """Whether the node's own guard can judge if it is the last one."""
    troubles: frozenset[str] = frozenset()
    operation: Operation | None = None
    releases: Releases | None = None

    @property
    def answers(self) -> bool:
        return not self.silence

    @property
    def announced(self) -> bool:
        return bool(self.serves)

    @property
    def is_out(self) -> bool:
        """Whether an operation has taken it out and not yet put it back."""
        return self.hold is not None and self.hold.kind == "withdraw" and is_ours(self.hold.reason)

    @property
    def is_kept_out(self) -> bool:
        """Whether a person keeps it out; no operation puts it back."""
        return self.hold is not None and self.hold.kind == "withdraw" and not is_ours(self.hold.reason)


def silent(why: str, releases: Releases | None) -> Observed:
    return Observed(silence=why, releases=releases, troubles=frozenset({"does not answer"}))


def observed(
    status: Mapping[str, Any],
    explanation: Mapping[str, Any],
    routes: Mapping[str, Any],
    releases: Releases | None,
) -> Observed:
    """Made of the answers to ``/status``, ``/explain`` and ``/bgp/routes``. Raises one of `NOT_UNDERSTOOD` if they are not
    what nodes answer.
    """
    told = routes["announced"]
    view = explanation["view"]
    bgp = status["bgp"]
    announces = status["announced"] and status["state"] in ANNOUNCING
    hold = None if status["hold"] is None else msgspec.convert(status["hold"], Hold)
    config = status.get("config") or {}
    return Observed(
        versions=frozenset({status["version"], *(worker["version"] for worker in status["workers"])}),
        config_hash=config.get("hash", ""),
        config_changed=config.get("changed_on_disk", False),
        state=status["state"],
        reason=status["reason"],
        serves=(WITHOUT_BGP if bgp is None else frozenset(bgp["prefixes"])) if announces else frozenset(),
        hold=hold,
        drain=status["drain"]["phase"] if status["drain"] else "",
        calls=status["calls"],
        probes_passed=status["probe"]["passed"],
        routes=len(told),
        unconfirmed=sum(not route["confirmed"] for route in told),
        sees=None
        if view["problem"]
        else frozenset(node["address"] for node in view["nodes"] if node["state"] in ANNOUNCING),
        knows_others=not view["problem"],
        troubles=frozenset(_troubles(status, held_out=hold is not None and hold.kind == "withdraw")),
        operation=_operation(status.get("operation")),
        releases=releases,
    )


def _operation(document: Any) -> Operation | None:
    """None also for what another program has noted: that is not ours to go on with. Its lease keeps us out while it works."""
    try:
        return None if document is None else msgspec.convert(document, Operation, strict=False)
    except msgspec.ValidationError:
        return None


def _troubles(status: Mapping[str, Any], *, held_out: bool) -> list[str]:
    neighbors = (status["bgp"] or {}).get("neighbors", {})
    return [
        *status["problems"],
        *(neighbor_down(address) for address, state in neighbors.items() if state != "up"),
        *(["its self-probe fails"] if status["probe"]["failed"] >= UNPROVEN else []),
        *(["is not announced"] if not (held_out or status["announced"]) else []),
    ]


def neighbor_down(address: str) -> str:
    return f"its BGP session with {address} is down"


def is_of_a_neighbor(trouble: str) -> bool:
    return trouble.startswith("its BGP session with ")
