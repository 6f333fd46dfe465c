"""What has become of each call that a node had when its drain began, or got before it let nobody in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec


class Fate(StrEnum):
    STAYS = "stays"
    """It is up, and has not been asked to go."""
    ASKED = "asked"
    REFUSED = "refused"
    """It is up: it would not go, or could not."""
    MOVED = "moved"
    ENDED = "ended"
    """Somebody has hung up, as calls do."""
    CLOSED = "closed"
    """At the deadline."""
    LOST = "lost"
    """With its worker."""


UP: Final = frozenset({Fate.STAYS, Fate.ASKED, Fate.REFUSED})
FINE: Final = frozenset({Fate.MOVED, Fate.ENDED})
"""Nothing was taken from whoever called."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One call. ``to``: the URL it was asked to go to, "" for none or the service address; ``node``: whose that is.

    ``took_ms``: from the question to its last frame here. ``frames_missing``: what it had said and this node has not
    heard, and was not given up at its deadline; None where nobody could say.
    """

    call_id: str
    worker: int
    fate: Fate
    to: str = ""
    node: str = ""
    took_ms: float | None = None
    frames_missing: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What its worker says of a call: ``fate`` is STAYS, ASKED or REFUSED of one that is up, MOVED or ENDED else."""

    call_id: str
    fate: Fate
    to: str = ""
    took_ms: float | None = None
    frames_missing: int | None = None


class Account:
    """The calls of one drain."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def take(
        self, worker: int, seen: Iterable[Seen], nodes: Mapping[str, str], *, closing: bool
    ) -> list[Entry]:
        """All that one worker says now, of a call that was there before and came back the latest last; the entries whose
        fate is another.

        ``nodes`` are the names behind URLs. ``closing``: a call that is over is one that was closed. One that is up no
        more and did not end was a connection that continues another call, and is none.
        """
        changed, known = [], {one.call_id: one for one in seen}
        for call_id in self._up(worker) - known.keys():
            del self._entries[call_id]
        for one in known.values():
            before = self._entries.get(one.call_id)
            if not _is_news(one, worker, before):
                continue
            entry = Entry(
                call_id=one.call_id,
                worker=worker,
                fate=Fate.CLOSED if closing and one.fate is Fate.ENDED else one.fate,
                to=one.to,
                node=nodes.get(one.to, ""),
                took_ms=one.took_ms,
                frames_missing=one.frames_missing,
            )
            if before is not None and entry.fate is not before.fate:
                changed.append(entry)
            self._entries[one.call_id] = entry
        return changed

    def worker_died(self, worker: int) -> list[Entry]:
        """Its calls are no more; those that were up until then."""
        lost = [
            msgspec.structs.replace(self._entries[call_id], fate=Fate.LOST) for call_id in self._up(worker)
        ]
        self._entries.update((entry.call_id, entry) for entry in lost)
        return lost

    def _up(self, worker: int) -> set[str]:
        return {entry.call_id for entry in self if entry.worker == worker and entry.fate in UP}

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    @property
    def left(self) -> int:
        """Calls that are up."""
        return sum(entry.fate in UP for entry in self)

    def counts(self) -> dict[Fate, int]:
        """How many calls each fate has met."""
        return {**dict.fromkeys(Fate, 0), **Counter(entry.fate for entry in self)}


def _is_news(one: Seen, worker: int, before: Entry | None) -> bool:
    """A call may have gone on at another worker: it is up if it is up anywhere, and over where it was last."""
    if before is None:
        return one.fate in UP
    if before.worker == worker:
        return before.fate in UP
    return one.fate in UP
