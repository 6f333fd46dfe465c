"""Files that are made of the fleet file, and stay as they are where nothing has changed."""

from __future__ import annotations

from pathlib import Path

from edge.errors import UnreachableError, UsageError
from edge.whole_file import replace_whole


def replace_file(path: Path, content: bytes, *, mode: int = 0o644) -> bool:
    """Whether anything changed: a file that has this ``content`` is left alone. One that is there keeps its mode.

    Raises `UnreachableError` without permission, `UsageError` where no file can be.
    """
    try:
        if path.exists() and path.read_bytes() == content:
            return False
        replace_whole(path, content, mode=mode)
    except PermissionError as error:
        raise UnreachableError(f"{path}: no permission; choose a place where you may write") from error
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror or error}; choose another place"
        ) from error
    return True
