"""The operator's word, kept over restarts: who took this node out of service, why and when."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from edge.errors import EdgeError


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``since`` is wall-clock time in seconds since 1970: it has to mean something after a reboot."""

    reason: str
    since: float


class HoldFile:
    """At most one hold, in a file that is whole or absent."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Hold | None:
        """The hold, or None. A file that cannot be read or understood holds the node: somebody put it there."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Hold)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            return Hold(f"{self._path} is damaged ({error}); 'undrain' removes it", 0.0)

    def write(self, hold: Hold) -> None:
        """Raises `EdgeError` if it cannot be kept, for a hold that a restart forgets is none."""
        fresh = self._path.with_suffix(".new")
        try:
            with open(fresh, "wb") as file:
                file.write(msgspec.json.encode(hold))
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._path)
        except OSError as error:
            raise EdgeError(f"{self._path}: cannot keep the hold: {error.strerror}") from error

    def clear(self) -> None:
        """Raises `EdgeError` if it stays: the next start would hold the node again."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise EdgeError(f"{self._path}: cannot remove the hold: {error.strerror}") from error
