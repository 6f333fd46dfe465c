"""What an operator may tune in the policy, and the policies that others use, as numbers for the same machine."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

import msgspec

Mode = Literal["act", "observe"]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Threshold = Annotated[float, msgspec.Meta(gt=0)]


class PolicyParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Pressure is a fraction of capacity and may exceed 1; loads are in calls."""

    probes_to_announce: Count = 3
    probes_to_fence: Count = 3
    sync_wait_s: Seconds = 10.0
    """How long a node that starts waits to hear from the others before it announces all the same."""

    pressure_rise: Threshold = 0.85
    pressure_fall: Threshold = 0.60
    refusals_min_ratio: Ratio = 0.01
    shed_first: bool = True
    """Overloaded is who refuses more newcomers than that ratio; without it, pressure alone decides."""

    deprefer: bool = True
    """Without this rung, for neighbors that ignore paths and communities, a node withdraws in its place."""
    deprefer_after_s: Seconds = 30.0
    withdraw_after_s: Seconds = 60.0
    calm_s: Seconds = 120.0
    deprefer_hold_s: Seconds = 300.0
    withdraw_hold_s: Seconds = 600.0
    hold_jitter_ratio: Ratio = 0.2

    guard: Literal["on", "off"] = "on"
    min_announcing: Count = 2
    spare_ratio: Annotated[float, msgspec.Meta(ge=1)] = 1.1
    settle_s: Seconds = 30.0
    claim_min_s: Seconds = 1.0
    """How long a claim takes to be seen by everybody: a matter of distance, so it is never scaled."""
    claim_spread_s: Seconds = 10.0
    last_site_broken: Literal["keep", "withdraw"] = "keep"

    def __post_init__(self) -> None:
        if self.pressure_fall >= self.pressure_rise:
            raise ValueError("pressure_fall must be below pressure_rise")

    def scaled(self, factor: float) -> Self:
        """The same policy on a clock ``factor`` times as long; a lab uses one far below 1."""
        times = (name for name in self.__struct_fields__ if name.endswith("_s") and name != "claim_min_s")
        return msgspec.structs.replace(self, **{name: getattr(self, name) * factor for name in times})


NONE: Final = PolicyParams(pressure_rise=float("inf"))
"""Never moves for load."""

NAIVE: Final = PolicyParams(
    shed_first=False,
    deprefer=False,
    deprefer_after_s=0.0,
    withdraw_after_s=0.0,
    calm_s=0.0,
    deprefer_hold_s=0.0,
    withdraw_hold_s=0.0,
    guard="off",
)
"""Withdraws above the one threshold and comes back below the other: a health check on load."""

HYSTERESIS: Final = PolicyParams(shed_first=False, deprefer=False, guard="off")
"""Waits before it withdraws and before it comes back, and looks at nobody else."""
