"""A small file that a node keeps over restarts: whole or absent, never half of it."""

from __future__ import annotations

import os
from pathlib import Path

from edge.errors import EdgeError
from edge.whole_file import sync_directory


class KeptFile:
    """``what`` is in it, for error messages."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self._what = what

    def read(self) -> bytes | None:
        """None if there is none. Raises OSError."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, content: bytes) -> None:
        """On the disk when this returns. Raises `EdgeError` if it cannot be kept: what a restart forgets is not kept."""
        fresh = self.path.with_suffix(".new")
        try:
            with open(fresh, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            raise EdgeError(f"{self.path}: cannot keep the {self._what}: {error.strerror}") from error

    def clear(self) -> None:
        """Raises `EdgeError` if it stays: the next start would find it again."""
        try:
            self.path.unlink()
            sync_directory(self.path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise EdgeError(f"{self.path}: cannot remove the {self._what}: {error.strerror}") from error
