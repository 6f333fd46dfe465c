"""Programs of the machine that a lab runs, where Debian keeps them."""

from __future__ import annotations

import os
import shutil

from edge.errors import UnreachableError

# Where ordinary users do not look.
_SYSTEM_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/local/sbin")


def find(program: str, package: str) -> str:
    """Where ``program`` is; raises UnreachableError naming the Debian package if it is not."""
    path = shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_DIRECTORIES)))
    if path is None:
        raise UnreachableError(f"{program}: not found; install the Debian package {package}")
    return path
