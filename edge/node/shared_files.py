"""The files that all nodes share, looked at again and again: a change is taken over while the node runs.

One that cannot be read changes nothing. What is wrong with it stands in `problems` until it is right again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from edge.config import NodeConfig, key_file, load_keys, load_members
from edge.config.fleet_file import FleetFile
from edge.errors import EdgeError
from edge.keys import KeyRing

log = logging.getLogger("edge.files")

LOOK_S = 1.0

_State = tuple[int, int, int, int]


class SharedFiles:
    """``keys`` and ``fleet`` as they are in use; ``changed`` is called when either is another.

    Raises what `load_keys` and `load_members` raise.
    """

    def __init__(self, config: NodeConfig, changed: Callable[[], None]) -> None:
        self.problems: dict[str, str] = {}
        """By file."""
        self._config = config
        self._changed = changed
        self._states = {path: _state(path) for path in self._paths()}
        self.keys: KeyRing = load_keys(config)
        self.fleet: FleetFile | None = load_members(config)

    async def watch(self) -> None:
        """For as long as the node runs."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Take over what has changed."""
        for path in self._paths():
            state = _state(path)
            if state != self._states.get(path):
                self._states[path] = state
                self._take_over(path)

    def _take_over(self, path: Path) -> None:
        try:
            if path == self._config.fleet.file:
                self.fleet = load_members(self._config)
            else:
                self.keys = load_keys(
                    self._config, make=False
                )  # what callers have is of the ring that was there
        except EdgeError as error:
            self.problems[str(path)] = str(error)
            log.error('event=file_not_taken path=%s error="%s"', path, error)
            return
        self.problems.pop(str(path), None)
        log.info("event=file_taken path=%s", path)
        self._changed()

    def _paths(self) -> list[Path]:
        fleet = self._config.fleet.file
        return [key_file(self._config), *([] if fleet is None else [fleet])]


def _state(path: Path) -> _State | None:
    """What changes whenever the file does, or who may read it; None: it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
