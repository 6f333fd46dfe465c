"""The dead man's switch above BIRD: ``keeper.py LEASE_S LEASH PROGRAM [ARGUMENT...]``.

It is BIRD's parent and stands between it and the supervisor, which holds the other end of the socket that is the
keeper's standard input and must write something to it at least every LEASE_S seconds; each time it gets it back.
BIRD by itself would go on announcing without anybody. So when the lease runs out or the supervisor hangs up, the
keeper asks BIRD to end, which closes the sessions at once, and kills it if it does not.

The supervisor starts it through LEASH (``bgp.leash``), and so it starts BIRD: whoever of the three dies, the kernel
takes those below along. When BIRD ends, the keeper does, with the same status.

Only the standard library, and run by path with ``-I -S``, as ``bgp.bridge``, whose reasons are the same.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

# How long BIRD has to close its sessions. With a lease of 2 s a hung supervisor's routes are gone within 3 s even
# when BIRD itself no longer listens.
END_S = 0.5

_LINK = 0
_READ_SIZE = 4096


class Keeper:
    """One BIRD and the socket to whoever answers for it."""

    def __init__(self, pid: int, lease_s: float, wake: int) -> None:
        self._pid = pid
        self._ended = os.pidfd_open(pid)
        self._lease_s = lease_s
        # Readable once this process has been asked to end.
        self._wake = wake

    def watch(self) -> str:
        """Until BIRD has ended or is to be ended; returns why."""
        renewed = time.monotonic()
        while True:
            left = renewed + self._lease_s - time.monotonic()
            # Even when it has run out: what came while the whole machine stood still is still to be heard.
            ready, _, _ = select.select([self._ended, _LINK, self._wake], [], [], max(0.0, left))
            if self._ended in ready:
                return "ended"
            if self._wake in ready:
                return "asked"
            if _LINK in ready:
                if not self._echo():
                    return "supervisor-gone"
                renewed = time.monotonic()
            elif left <= 0:
                return "lease-expired"

    def _echo(self) -> bool:
        """Give back what the supervisor sent; false if it has hung up."""
        try:
            heard = os.read(_LINK, _READ_SIZE)
        except OSError:
            return False
        # One that does not read these has stopped listening; it will stop writing, too.
        with contextlib.suppress(OSError):
            os.write(_LINK, heard)
        return bool(heard)

    def end(self) -> None:
        """Make BIRD end, by force if need be."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(self._ended, number)
            if select.select([self._ended], [], [], END_S)[0]:
                return

    def status(self) -> int:
        """What BIRD ended with."""
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def start(leash: str, program: list[str]) -> int:
    """Start BIRD, on a leash; its pid."""
    command = [sys.executable, "-I", "-S", leash, str(os.getpid()), *program]
    # The link is the keeper's alone: while BIRD held it, nobody would see the end of the keeper.
    actions = [(os.POSIX_SPAWN_OPEN, _LINK, os.devnull, os.O_RDONLY, 0)]
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)


def say(line: str) -> None:
    """One line on standard error if there is room: a full or closed log must not delay a fence."""
    with contextlib.suppress(OSError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, line.encode() + b"\n")


def main(lease_s: float, leash: str, program: list[str]) -> int:
    os.set_blocking(_LINK, False)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGTERM, lambda *_: None)
    keeper = Keeper(start(leash, program), lease_s, wake)
    reason = keeper.watch()
    if reason in {"supervisor-gone", "lease-expired"}:
        say(f"keeper: event=fencing reason={reason}")
    keeper.end()
    return keeper.status()


if __name__ == "__main__":
    sys.exit(abs(main(float(sys.argv[1]), sys.argv[2], sys.argv[3:])))
