"""The file that a configuration was read from, and whether it is still the same."""

from __future__ import annotations

from pathlib import Path

from edge.config.fingerprint import config_hash
from edge.config.load import parsed, read_text
from edge.config.schema import NodeConfig


class ConfigFile:
    """``text`` is what it held when it was read.

    Raises `ConfigError`, and `UnreachableError` without permission.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.text = read_text(path)
        self.hash = config_hash(self.text)
        self._looked_at = _state(self.path)
        self._changed = False

    def parse(self) -> NodeConfig:
        """Raises `ConfigError`."""
        return parsed(self.text, self.path)

    def has_changed(self) -> bool:
        """Whether there is another text now, or none that can be read. Cheap while nobody touches the file."""
        state = _state(self.path)
        if state != self._looked_at:
            self._looked_at = state
            try:
                self._changed = config_hash(self.path.read_text()) != self.hash
            except (OSError, UnicodeDecodeError):
                self._changed = True
        return self._changed


def _state(path: Path) -> tuple[int, ...] | None:
    """What is another whenever the file is; None: it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
