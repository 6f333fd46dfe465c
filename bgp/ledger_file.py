"""The damping ledger over restarts: routers do not forget what we did because we did.

Save after every change of the ledger: there are few, and a change that is not kept is one that a crash hides.
A save waits for the disk, so take ``Ledger.state`` and the clocks at once and hand them to a thread; one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from bgp.clocks import Clocks
from bgp.conf import Damping
from bgp.ledger import Ledger, LedgerState
from bgp.route import Address, Prefix
from bgp.state_file import StateFile


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    version: Literal[1]
    clocks: Clocks
    entries: LedgerState


class LedgerFile:
    """Where the ledger of one node is kept."""

    def __init__(self, path: Path) -> None:
        self._file = StateFile(path, _Saved)

    def load(
        self,
        damping: Mapping[Address, Damping],
        prefixes: Iterable[Prefix],
        *,
        clocks: Clocks,
        now: float,
    ) -> tuple[Ledger, str]:
        """The ledger as it would be without the restart, and what was wrong with the file (empty: nothing).

        Without a file nothing has been announced yet. With one that cannot be used, the worst is assumed.
        ``clocks`` and ``now``, of the ledger's own clock, are the same moment.
        """
        saved, problem = self._file.read()
        if problem:
            return Ledger.assuming_the_worst(damping, prefixes, now=now), problem
        if saved is None:
            return Ledger(damping, prefixes), ""
        age_s = clocks.seconds_since(saved.clocks)
        return Ledger.restored(damping, prefixes, saved.entries, age_s=age_s, now=now), ""

    def save(self, state: LedgerState, clocks: Clocks) -> None:
        """``clocks`` are of the moment of ``state``. Raises StateFileError; then a restart forgets the change."""
        self._file.write(_Saved(version=1, clocks=clocks, entries=state))
