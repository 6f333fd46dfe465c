"""Where what takes long to make is kept, outside the tree: made once, by one, whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path


def directory() -> Path:
    """``$EDGE_BED_CACHE``, or ``anycast-edge/bed`` where this user keeps caches."""
    if given := os.environ.get("EDGE_BED_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anycast-edge" / "bed"


def key(*parts: str | bytes) -> str:
    """Sixteen hex digits that change with any of ``parts``."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()[:16]


def files_key(root: Path, files: Iterable[Path]) -> str:
    """Of the names, relative to ``root``, and the contents of files."""
    return key(*(part for file in sorted(files) for part in (str(file.relative_to(root)), file.read_bytes())))


def made(name: str, make: Callable[[Path], None]) -> Path:
    """The directory ``name`` of the cache; if it is not there, ``make`` fills a new one, which then gets that name.

    Others who ask for it meanwhile, in other processes, wait. What was left by a maker that died goes away.
    """
    home = directory()
    home.mkdir(parents=True, exist_ok=True)
    wanted, unfinished = home / name, home / f"{name}.unfinished"
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not wanted.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(wanted)
    return wanted
