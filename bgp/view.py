"""Who else announces, and how much they can take: what the guard of the policy looks at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Others:
    """The rest of the fleet at one moment, without ourselves.

    ``problem`` says why the view cannot be relied on, empty if it can; then the numbers mean nothing.
    ``synced`` is true once a neighbor of the fleet has told everything it knew (RFC 4724, End-of-RIB).
    ``announcing`` nodes are seen with their service route, steadily; ``spare`` is what those of them that are not
    shedding can still take, in calls. ``claimant`` is the node that goes before us among those that want to
    leave (a lower address), empty if none; ``settled_s`` is how long ago the last of the others left or came back.
    """

    problem: str
    synced: bool = False
    announcing: int = 0
    spare: float = 0.0
    claimant: str = ""
    settled_s: float = float("inf")


NO_VIEW = Others("no neighbor has the role 'fleet'")
