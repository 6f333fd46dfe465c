"""The key ring's file: read whole, replaced whole, and for nobody else to read."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from edge.keys import KeyRing, KeyRingError, parse, render


def read_ring(path: Path) -> KeyRing:
    """Raises OSError, and `KeyRingError` that begins with ``path``."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & stat.S_IRWXO:
            raise KeyRingError(f"{path}: everybody on this machine may read it; run 'chmod o= {path}'")
        data = file.read()
    try:
        return parse(data.decode())
    except UnicodeDecodeError:
        raise KeyRingError(f"{path}: is not UTF-8 text") from None
    except KeyRingError as error:
        raise KeyRingError(f"{path}: {error}") from None


def write_ring(path: Path, ring: KeyRing) -> None:
    """Put ``ring`` in the place of what is there, which keeps its owner and mode; a new file is its owner's alone.

    Half a ring is never there. Behind a link the file is replaced, and not the link. Raises OSError.
    """
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(render(ring))
            file.flush()
            with contextlib.suppress(FileNotFoundError):
                before = path.stat()
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
