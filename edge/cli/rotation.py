"""A rotation of the fleet's keys from beginning to end: no step before every node has shown that it took the last.

It begins where an earlier one has stopped, for the ring itself says how far it has come.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence

import msgspec

from edge.cli.output import understood
from edge.cli.where import Place
from edge.errors import DeadlineError, EdgeError, UsageError
from edge.keys import KeyRing

POLL_S = 0.5


class _Keys(msgspec.Struct):
    in_use: list[int]
    connections: dict[str, int]


class _Status(msgspec.Struct):
    keys: _Keys
    problems: list[str]


Statuses = dict[str, _Status]


class Rotation:
    """``save`` puts a ring in the place of another where the nodes find it, ``push`` is a command that takes it there, "" for
    none.
    """

    def __init__(
        self,
        nodes: Sequence[tuple[str, Place]],
        *,
        save: Callable[[KeyRing, KeyRing], None],
        push: str,
        timeout_s: float,
        tell: Callable[[str], None],
    ) -> None:
        self._nodes = nodes
        self._save = save
        self._push = push
        self._timeout_s = timeout_s
        self._tell = tell

    def run(self, ring: KeyRing, add: Callable[[KeyRing], KeyRing]) -> KeyRing:
        """Raises `DeadlineError` when a node does not follow, `UsageError` when one is ahead of ``ring``, and what asking
        them raises; run it again to go on.
        """
        self._refuse_an_old_copy(ring)
        if len(ring.generations) > 1:
            self._tell("goes on with a rotation that has begun")
        self._bring(ring, "taken by", push=bool(self._lack_version(ring, self._statuses())))
        if len(ring.generations) == 1:
            ring = self._step(ring, add(ring), "added, and accepted by")
        newest = ring.generations[-1].number
        if ring.issue != newest:
            ring = self._step(ring, ring.use(newest), "used by")
        old = [generation.number for generation in ring if generation.number != newest]
        self._await(
            lambda statuses: [
                f"{node} has {count} connections of generation {number}"
                for node, status in statuses.items()
                for number in old
                if (count := status.keys.connections.get(str(number), 0))
            ],
            "no connection uses an older one on",
        )
        alone = ring
        for number in old:
            alone = alone.drop(number)
        return self._step(ring, alone, "alone with")

    def _refuse_an_old_copy(self, ring: KeyRing) -> None:
        """To bring it to the nodes would take a generation from them that they use."""
        ahead = {
            name: used[-1]
            for name, status in self._statuses().items()
            if (used := status.keys.in_use) and used[-1] > ring.version
        }
        if ahead:
            raise UsageError(
                f"this ring is version {ring.version}, an old copy: "
                + ", ".join(f"{name} uses version {version}" for name, version in ahead.items())
                + "; rotate the file that was changed last"
            )

    def _step(self, before: KeyRing, ring: KeyRing, what: str) -> KeyRing:
        self._save(before, ring)
        self._bring(ring, what, push=True)
        return ring

    def _bring(self, ring: KeyRing, what: str, *, push: bool) -> None:
        if self._push and push:
            done = subprocess.run(self._push, shell=True, check=False)
            if done.returncode != 0:
                raise EdgeError(
                    f"--push ended with {done.returncode}; mend it and rotate again, to go on from here"
                )
        self._await(
            lambda statuses: self._lack_version(ring, statuses),
            f"version {ring.version}, generation {ring.generations[-1].number}: {what}",
        )

    def _lack_version(self, ring: KeyRing, statuses: Statuses) -> list[str]:
        return [
            f"{node} uses version {', '.join(map(str, status.keys.in_use)) or 'none'}"
            + "".join(f" ({problem})" for problem in status.problems)
            for node, status in statuses.items()
            if status.keys.in_use != [ring.version]
        ]

    def _statuses(self) -> Statuses:
        return {name: understood(place.ask("GET", "/status"), _Status) for name, place in self._nodes}

    def _await(self, lacks: Callable[[Statuses], list[str]], what: str) -> None:
        deadline = time.monotonic() + self._timeout_s
        while missing := lacks(self._statuses()):
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"after {self._timeout_s:g} s {'; '.join(missing)}; rotate again to go on from here"
                )
            time.sleep(POLL_S)
        self._tell(f"{what} {', '.join(name for name, _ in self._nodes)}")
