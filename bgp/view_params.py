"""What an operator may tune in the view of the other nodes."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Self

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class ViewParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``members`` are prefixes that hold the unicast addresses of the fleet's nodes; none: they may lie anywhere."""

    members: tuple[str, ...] = ()
    max_nodes: Count = 4096
    steady_s: Seconds = 5.0
    sync_s: Seconds = 10.0
    """How long a neighbor that never says that it has told everything is given."""
    flap_limit: Annotated[float, msgspec.Meta(ge=1)] = 20.0
    """In points: a node that comes or goes has one."""
    flap_half_life_s: Annotated[float, msgspec.Meta(gt=0)] = 900.0
    claim_max_s: Annotated[float, msgspec.Meta(gt=0)] = 100.0
    """A claim that stands for this long has as many points as the limit. As the policy's ``claim_min_s`` a matter of
    distance, so it is never scaled."""

    def __post_init__(self) -> None:
        for member in self.members:
            ip_network(member)

    def scaled(self, factor: float) -> Self:
        """The same view on a clock ``factor`` times as long; a lab uses one far below 1."""
        return msgspec.structs.replace(
            self,
            steady_s=self.steady_s * factor,
            sync_s=self.sync_s * factor,
            flap_half_life_s=self.flap_half_life_s * factor,
        )
