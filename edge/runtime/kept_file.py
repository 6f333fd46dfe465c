"""A small file that a node keeps over restarts: whole or absent, never half of it."""

from __future__ import annotations

import os
from pathlib import Path

from edge.errors import EdgeError


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
            self._sync_directory()
        except OSError as error:
            raise EdgeError(f"{self.path}: cannot keep the {self._what}: {error.strerror}") from error

    def _sync_directory(self) -> None:
        """A name, too, is on the disk only then: after a power failure there might be the file of before."""
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Raises `EdgeError` if it stays: the next start would find it again."""
        try:
            self.path.unlink()
            self._sync_directory()
        except FileNotFoundError:
            return
        except OSError as error:
            raise EdgeError(f"{self.path}: cannot remove the {self._what}: {error.strerror}") from error
