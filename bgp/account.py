"""Who the speaker runs as, and files that only it may read."""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_CAP_NET_ADMIN, _CAP_NET_RAW = 12, 13  # capabilities(7)


class AccountError(Exception):
    """The account does not exist or may not be used from here."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the machine. ``is_other`` says that it is not the one this process already runs as."""

    uid: int
    gid: int
    name: str
    is_other: bool

    @classmethod
    def current(cls) -> Self:
        try:
            name = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            # A user without a name, as in containers. ExaBGP wants a name that exists and only uses it as root.
            name = "root"
        return cls(os.geteuid(), os.getegid(), name, is_other=False)

    @classmethod
    def named(cls, name: str) -> Self:
        """Raises AccountError."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise AccountError(f"there is no user {name!r} on this machine") from None
        if entry.pw_uid == os.geteuid():
            return cls.current()
        if os.geteuid() != 0:
            raise AccountError(f"only root can start the speaker as another user ({name})")
        return cls(entry.pw_uid, entry.pw_gid, name, is_other=True)

    def check_urgent(self, what: str) -> None:
        """Raises AccountError if a program of this account can't mark packets as urgent, which ``what`` needs.

        For SO_PRIORITY above 6 the kernel asks for CAP_NET_RAW or CAP_NET_ADMIN; before Linux 5.17 for the latter.
        """
        status = Path("/proc/self/status").read_text()
        (effective,) = re.findall(r"^CapEff:\t(\w+)$", status, re.MULTILINE)
        if not int(effective, 16) & (1 << _CAP_NET_ADMIN | 1 << _CAP_NET_RAW):
            raise AccountError(f"{what} needs CAP_NET_RAW")

    def make_directory(self, path: Path) -> None:
        """A directory that only this account (and root) can enter."""
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        self._hand_over(path)

    def take_socket(self, path: Path) -> None:
        """Let only this account connect to a unix socket."""
        path.chmod(0o600)
        self._hand_over(path)

    def write_file(self, path: Path, text: str) -> None:
        """A new file with mode 0600; never one that somebody else put there, nor through a link."""
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            self._hand_over(descriptor)
            file.write(text)

    def _hand_over(self, file: Path | int) -> None:
        # What we make is ours already, and a service manager's filter may forbid the system call.
        if self.is_other:
            os.chown(file, self.uid, self.gid)
