"""A release as it is sent to nodes: the wheels of a directory and the lock file that has their hashes."""

from __future__ import annotations

import glob
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from edge.errors import UsageError

DISTRIBUTION = "anycast_edge"
LOCK = "requirements.txt"
UNPACKED = 6
"""A release takes at most so many times the room of its wheels: they are compressed, and compiled at installing."""


@dataclass(frozen=True, slots=True)
class Wheelhouse:
    directory: Path
    version: str

    def check(self) -> None:
        """Raises `UsageError` where it does not hold this release, or not with hashes."""
        try:
            lock = (self.directory / LOCK).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise UsageError(
                f"{self.directory / LOCK}: {reason}; a wheelhouse has wheels and that file"
            ) from error
        if "--hash=sha256:" not in lock:
            raise UsageError(
                f"{self.directory / LOCK}: has no hashes; make it with: uv pip compile --generate-hashes"
            )
        if not list(self.directory.glob(f"{DISTRIBUTION}-{glob.escape(self.version)}-*.whl")):
            found = sorted(path.name.split("-")[1] for path in self.directory.glob(f"{DISTRIBUTION}-*.whl"))
            raise UsageError(
                f"{self.directory}: has no wheel of {DISTRIBUTION} {self.version} (there is {', '.join(found) or 'none'})"
            )

    def size(self) -> int:
        """Of its wheels, in bytes."""
        return sum(path.stat().st_size for path in self.directory.glob("*.whl"))

    def archive(self) -> bytes:
        """A tar of them, for `edge-release install`; the same each time, whoever makes it.

        Raises `UsageError` where one of them cannot be read.
        """
        buffer = io.BytesIO()
        try:
            with tarfile.open(fileobj=buffer, mode="w", dereference=True) as archive:
                for path in (self.directory / LOCK, *sorted(self.directory.glob("*.whl"))):
                    archive.add(path, arcname=path.name, recursive=False, filter=_nobodys)
        except OSError as error:
            raise UsageError(f"{error.filename}: cannot be read: {error.strerror}") from error
        return buffer.getvalue()


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
