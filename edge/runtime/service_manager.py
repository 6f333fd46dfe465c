"""What a node tells the service manager that started it: sd_notify(3), one datagram for each piece of news.

Without one there is nobody to tell, and everything here does nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping, MutableMapping

log = logging.getLogger("edge.service")

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class ServiceManager:
    """Who listens at ``address``: a path, or ``@`` and a name (unix(7), abstract); "" for nobody.

    ``watchdog_s``: it ends a service that has not been fed for so long; None if it does not watch.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status = ""

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> ServiceManager:
        """As the environment says to the process ``pid``; a watch over another process is none over this one."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls()
        usec, watched = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(pid))
        is_watched = usec.isascii() and usec.isdigit() and int(usec) > 0 and watched == str(pid)
        return cls(address, int(usec) / 1e6 if is_watched else None)

    @property
    def is_there(self) -> bool:
        return bool(self._address)

    def ready(self) -> None:
        self._tell("READY=1")

    def status(self, line: str) -> None:
        """What ``systemctl status`` shows; said again only when it is another."""
        if line != self._status:
            self._status = line
            self._tell("STATUS=" + " ".join(line.split()))

    def reloading(self) -> None:
        """Until `ready` is called."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, within_s: float) -> None:
        """Leave has begun and takes ``within_s``, which may be longer than the manager had meant to wait."""
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={within_s * 1e6:.0f}")

    def feed(self) -> None:
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            # A manager that cannot be told must not take the service down; it will find out by itself.
            log.warning('event=service_manager_not_told what=%s error="%s"', lines[0], error.strerror)


def taken_from(environment: MutableMapping[str, str] = os.environ) -> ServiceManager:
    """This process's own. Its variables are removed: a child that told the manager anything would speak for us."""
    manager = ServiceManager.of(environment, os.getpid())
    for name in VARIABLES:
        with contextlib.suppress(KeyError):
            del environment[name]
    return manager
