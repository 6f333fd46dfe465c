"""How long ago something was, asked by another process, maybe after a reboot or with the wall clock changed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Self

import msgspec

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clocks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One moment, in words that another process can compare with its own.

    ``boottime_s`` counts from the boot, sleep included, and nobody can set it (CLOCK_BOOTTIME); ``boot_id`` says
    from which boot. ``wallclock_s`` is in seconds since 1970, and anybody may have set it.
    """

    boot_id: str
    boottime_s: float
    wallclock_s: float

    @classmethod
    def read(cls) -> Self:
        return cls(
            boot_id=_BOOT_ID.read_text(encoding="ascii").strip(),
            boottime_s=time.clock_gettime(time.CLOCK_BOOTTIME),
            wallclock_s=time.time(),
        )

    def seconds_since(self, earlier: Clocks) -> float:
        """Never negative, and never more than is known to have passed but for one case.

        Within a boot the wall clock has no say. Across boots there is nothing else, but at least the time since
        the boot has passed; a wall clock that went forward in between without time passing is believed.
        """
        if self.boot_id == earlier.boot_id:
            return max(0.0, self.boottime_s - earlier.boottime_s)
        return max(0.0, self.boottime_s, self.wallclock_s - earlier.wallclock_s)
