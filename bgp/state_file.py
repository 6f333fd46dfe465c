"""A small file that outlives the process: it is whole or absent, and a damaged one is set aside, not lost."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

Content = TypeVar("Content", bound=msgspec.Struct)


class StateFileError(Exception):
    """The file could not be written; the one before it is still there. The message names path and reason."""


class StateFile(Generic[Content]):
    """One struct as JSON. One process at a time, and one ``write`` at a time: each takes two waits for the disk."""

    def __init__(self, path: Path, kind: type[Content]) -> None:
        self._path = path
        self._kind = kind

    def read(self) -> tuple[Content | None, str]:
        """The content, and what was wrong: ``(None, "")`` is that there is no file.

        A file that cannot be read or understood, be it of another version, is renamed to NAME.corrupt-1, -2, ...
        so that somebody can look at it and nobody falls over it again.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=self._kind), ""
        except FileNotFoundError:
            return None, ""
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            return None, f"{self._path} cannot be used ({error}); {self._set_aside()}"

    def write(self, content: Content) -> None:
        """Raises StateFileError."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            with open(fresh, "wb") as file:
                file.write(msgspec.json.encode(content))
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._path)
            self._sync_directory()
        except OSError as error:
            raise StateFileError(f"{self._path}: cannot be written: {error.strerror}") from error

    def _sync_directory(self) -> None:
        """The new name is kept only when the directory is (fsync(2))."""
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _set_aside(self) -> str:
        names = (self._path.with_name(f"{self._path.name}.corrupt-{number}") for number in itertools.count(1))
        aside = next(name for name in names if not name.exists())
        try:
            self._path.rename(aside)
        except OSError as error:
            return f"nor set aside ({error.strerror})"
        return f"kept as {aside.name}"
