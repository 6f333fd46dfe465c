"""The key ring's file: read whole, replaced whole, and for nobody else to read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge.keys import KeyRing, KeyRingError, parse, render
from edge.whole_file import replace_whole


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
    """Put ``ring`` in the place of what is there, as `replace_whole` does; a new file is its owner's alone. Raises OSError."""
    replace_whole(path, render(ring).encode())
