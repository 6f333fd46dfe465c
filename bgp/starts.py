"""Crash loops back off: a process that dies soon after each start must not make its prefix flap each time.

The log counts the starts in a row that ended neither in an orderly stop nor in a stable life, and makes the next
ones wait before their first announcement. What the count cannot know, it takes for two such starts: a damaged or
unwritable log costs every start 30 s, not a fleet that was upgraded half an hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from bgp.clocks import Clocks
from bgp.state_file import StateFile, StateFileError

# Before the first announcement after none, one, two, ... unclean starts in a row. Whatever happens once is no loop.
DELAYS_S: Final = (0.0, 0.0, 30.0, 300.0, 1800.0)
# What a log that can't be used counts as.
_UNKNOWN: Final = 2
# A process that was allowed to announce for this long makes good for the starts before it.
STABLE_S: Final = 600.0


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``unclean`` starts in a row, the last of them at ``clocks``, to be dead or stable after ``stable_after_s``."""

    version: Literal[1]
    unclean: Annotated[int, msgspec.Meta(ge=0)]
    clocks: Clocks
    stable_after_s: Annotated[float, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class Start:
    """What this start has to do: announce nothing for ``wait_s``, and call ``stable`` ``stable_after_s`` from now.

    ``problem`` is what was wrong with the log, for the shell to report; empty if nothing.
    """

    wait_s: float
    stable_after_s: float
    problem: str = ""


class StartLog:
    """The starts of one node; see the module for the times."""

    def __init__(
        self, path: Path, *, delays_s: tuple[float, ...] = DELAYS_S, stable_s: float = STABLE_S
    ) -> None:
        self._file = StateFile(path, _Saved)
        self._delays_s = delays_s
        self._stable_s = stable_s

    def begin(self, clocks: Clocks) -> Start:
        """Count this start as unclean until something better is known."""
        saved, problem = self._file.read()
        unclean = _UNKNOWN if problem else self._unclean_before(saved, clocks)
        wait_s = self._delay_s(unclean)
        try:
            self._keep(unclean + 1, clocks, wait_s + self._stable_s)
        except StateFileError as error:
            problem = str(error)
            wait_s = max(wait_s, self._delay_s(_UNKNOWN))
        return Start(wait_s, wait_s + self._stable_s, problem)

    def stable(self, clocks: Clocks) -> None:
        """This life has lasted long enough; a crash from now on is the first. Raises StateFileError."""
        self._keep(0, clocks, 0.0)

    def clean_stop(self, clocks: Clocks) -> None:
        """The process ends because it was asked to. Raises StateFileError."""
        self._keep(0, clocks, 0.0)

    def _unclean_before(self, saved: _Saved | None, clocks: Clocks) -> int:
        if saved is None:
            return 0
        # Longer than that it cannot have lived, or it would have been stable.
        gone_s = clocks.seconds_since(saved.clocks) - saved.stable_after_s
        return 0 if gone_s >= self._delays_s[-1] else saved.unclean

    def _delay_s(self, unclean: int) -> float:
        return self._delays_s[min(unclean, len(self._delays_s) - 1)]

    def _keep(self, unclean: int, clocks: Clocks, stable_after_s: float) -> None:
        self._file.write(_Saved(version=1, unclean=unclean, clocks=clocks, stable_after_s=stable_after_s))
