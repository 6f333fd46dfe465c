"""Files that are replaced whole: whoever reads one sees the old content or the new, also after a power failure."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path


def replace_whole(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put ``content`` in the place of what is there, which keeps its owner and mode; a new file gets ``mode``.

    Behind a link the file is replaced, and not the link. Raises OSError.
    """
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            with contextlib.suppress(FileNotFoundError):
                before = path.stat()
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fsync(file.fileno())
        Path(name).replace(path)
        sync_directory(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sync_directory(directory: Path) -> None:
    """A name, too, is on the disk only then: after a power failure there might be the file of before. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
