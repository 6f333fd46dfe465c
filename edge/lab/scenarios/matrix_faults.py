"""What the scenario `matrix` can be played without, to prove that its rows can fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from bgp.conf import Damping

NEVER: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """``rows`` are those that must fail, and no others. The rest is how the lab is different."""

    rows: tuple[str, ...]
    bfd: bool = True
    policy: Mapping[str, Any] = field(default_factory=dict)
    damping: Mapping[str, Damping] = field(default_factory=lambda: {"t2": "cisco"})


NOTHING: Final = Lack(rows=())

LACKS: Final[Mapping[str, Lack]] = MappingProxyType(
    {
        "no-bfd": Lack(rows=("unplugged_bfd",), bfd=False),
        "no-fence": Lack(rows=("data_plane_dead",), policy={"probes_to_fence": NEVER}),
        "no-guard": Lack(rows=("all_overloaded", "view_lost"), policy={"guard": "off"}),
        "no-ledger": Lack(rows=("long_overload", "restart_loop"), damping={}),
    }
)
