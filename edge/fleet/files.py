"""Files that are replaced whole: whoever reads one sees the old content or the new."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from edge.errors import UnreachableError, UsageError


def replace_file(path: Path, content: bytes, *, mode: int = 0o644) -> bool:
    """Whether anything changed: a file that has this ``content`` is left alone. One that is there keeps its mode.

    Raises `UnreachableError` without permission, `UsageError` where no file can be.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            if path.read_bytes() == content:
                return False
            mode = stat.S_IMODE(path.stat().st_mode)
        descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), mode)
            Path(fresh).replace(path)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
    except PermissionError as error:
        raise UnreachableError(f"{path}: no permission; choose a place where you may write") from error
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror or error}; choose another place"
        ) from error
    return True
