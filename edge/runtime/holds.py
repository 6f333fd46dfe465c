"""The operator's word, kept over restarts: who keeps this node out of service or in it, why, and until when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge.runtime.kept_file import KeptFile

Reason = Annotated[str, msgspec.Meta(max_length=1000)]
Who = Annotated[str, msgspec.Meta(max_length=100)]
"""In an operator's words."""

WallTime = Annotated[float, msgspec.Meta(ge=0, le=32503680000)]
"""Seconds since 1970 by the wall clock, before the year 3000: every calendar can show it."""


class Draining(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That a node is to be emptied, too: what becomes of its calls. ``deadline``: when those that are left are closed."""

    hand_over: bool = True
    deadline: WallTime | None = None


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``withdraw`` keeps the node out; ``announce`` keeps it in, whatever its load (fences act all the same).

    ``since`` and ``until`` are wall-clock times, for they have to mean something after a reboot; ``until`` is None
    for a hold that ends by another order only. ``drain`` is None for one that leaves calls where they are. Files of
    before there were kinds hold a node out without end.
    """

    reason: str
    since: WallTime
    kind: Literal["withdraw", "announce"] = "withdraw"
    who: str = ""
    until: WallTime | None = None
    drain: Draining | None = None

    def at(self, now: float) -> Hold | None:
        """The hold as it stands at ``now``, wall-clock time; None once it is over.

        A clock that stands before ``since`` was set back (or lost its battery), and cannot tell how much of the
        time has gone: the whole of it begins anew. So what is left is never more than was ordered.
        """
        if self.until is None:
            return self
        if now < self.since:
            return msgspec.structs.replace(self, since=now, until=now + (self.until - self.since))
        return self if now < self.until else None


class HoldFile:
    """At most one hold, in a file that is whole or absent."""

    def __init__(self, path: Path) -> None:
        self._file = KeptFile(path, "hold")

    def read(self) -> Hold | None:
        """The hold, or None. A file that cannot be read or understood holds the node out: somebody put it there."""
        try:
            kept = self._file.read()
            return None if kept is None else msgspec.json.decode(kept, type=Hold)
        except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
            return Hold(f"{self._file.path} is damaged ({error}); 'edgectl announce' removes it", 0.0)

    def write(self, hold: Hold) -> None:
        """Raises `EdgeError` if it cannot be kept, for a hold that a restart forgets is none."""
        self._file.write(msgspec.json.encode(hold))

    def clear(self) -> None:
        """Raises `EdgeError` if it stays: the next start would hold the node again."""
        self._file.clear()
