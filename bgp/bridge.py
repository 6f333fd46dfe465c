"""The dead man's switch inside ExaBGP: ``bridge.py SOCKET LEASE_S``, token in $BGP_BRIDGE_TOKEN.

ExaBGP runs this as its API process and is its parent; the supervisor listens on the unix SOCKET. The bridge
introduces itself with the token and then carries lines both ways. The supervisor must send something at least
every LEASE_S seconds; the line ``heartbeat`` is for that and goes no further.

ExaBGP by itself keeps announcing when its API process, or whoever stands behind it, is gone. So when the lease
runs out or the supervisor hangs up, the bridge withdraws everything, tells ExaBGP to shut down, and kills it if
it does not. When ExaBGP goes, the kernel takes the bridge with it.

What waits for the supervisor has a limit. Beyond it the bridge throws away what neighbors say (events of the type
``update``), and puts an event of the type ``dropped`` in the place of the first that is lost. Nothing else is ever
thrown away: there is one answer to each command, and a session comes and goes only so often within a lease.

Only the standard library, and run by path with ``-I -S``: it starts in milliseconds, needs nothing installed
for the user it runs as, and nothing in the environment can change what it imports.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import signal
import socket
import sys
import time

TOKEN_VARIABLE = "BGP_BRIDGE_TOKEN"
HEARTBEAT = b"heartbeat"

# How long ExaBGP has to send the withdrawals, and then to end. Together with a lease of 2 s a hung supervisor's
# routes are gone within 3 s even when ExaBGP itself no longer listens.
WITHDRAW_S = 0.2
SHUTDOWN_S = 0.5

# What may wait for the supervisor before updates are thrown away: more than ExaBGP can say within a lease.
BACKLOG_LIMIT = 32 << 20

PR_SET_PDEATHSIG = 1
_READ_SIZE = 65536
# Text that came from outside stands within JSON strings, where a quotation mark has a backslash before it.
_UPDATE = re.compile(rb'\{.*?"type": "update".*?"peer": "(?P<peer>[0-9a-f.:]+)"')
_DROPPED = b'{ "type": "dropped", "neighbor": { "address": { "peer": "%s" } } }\n'


class Bridge:
    """Bytes between ExaBGP (standard input and output) and the supervisor (``link``). Nothing here blocks."""

    def __init__(self, link: socket.socket, lease_s: float) -> None:
        self._speaker = os.getppid()
        self._link = link
        self._lease_s = lease_s
        self._from_supervisor = b""
        self._from_speaker = b""
        self._to_speaker = b""
        self._to_supervisor = bytearray()
        # Whose updates were thrown away, and the supervisor has been told so.
        self._dropped: set[bytes] = set()

    def introduce(self, token: bytes) -> None:
        self._to_supervisor += token + b"\n"

    def carry(self) -> str:
        """Relay until the lease is lost; returns why. Ends the process when ExaBGP has closed its end."""
        renewed = time.monotonic()
        while True:
            left = renewed + self._lease_s - time.monotonic()
            # Even when it has run out: what came while the whole machine stood still is still to be heard.
            heard = self._turn(max(0.0, left), listen=True)
            if heard:
                renewed = time.monotonic()
                self._accept(heard)
            elif heard is not None:
                return "supervisor-gone"
            elif left <= 0:
                return "lease-expired"

    def fence(self) -> None:
        """Take every route back and end ExaBGP, by force if need be."""
        for command, duration_s in ((b"clear adj-rib out\n", WITHDRAW_S), (b"shutdown\n", SHUTDOWN_S)):
            self._to_speaker += command
            deadline = time.monotonic() + duration_s
            while (left := deadline - time.monotonic()) > 0:
                self._turn(left, listen=False)
        os.kill(self._speaker, signal.SIGKILL)

    def _accept(self, data: bytes) -> None:
        # Only whole lines go on, so that a fence never continues a line that was cut.
        *lines, self._from_supervisor = (self._from_supervisor + data).split(b"\n")
        self._to_speaker += b"".join(line + b"\n" for line in lines if line != HEARTBEAT)

    def _turn(self, timeout_s: float, *, listen: bool) -> bytes | None:
        """Wait once, move what can be moved. Returns what the supervisor sent, b"" if it hung up, else None."""
        poller = select.poll()
        poller.register(0, select.POLLIN)
        if self._to_speaker:
            poller.register(1, select.POLLOUT)
        if listen:
            poller.register(self._link, select.POLLIN | (select.POLLOUT if self._to_supervisor else 0))
        ready = dict(poller.poll(timeout_s * 1000))
        if 0 in ready:
            self._read_speaker()
        if 1 in ready:
            self._write_speaker()
        return self._exchange(ready.get(self._link.fileno(), 0))

    def _read_speaker(self) -> None:
        # Always read, even when nobody listens any more: ExaBGP writes with blocking calls, and while it waits
        # for us it keeps no session alive.
        data = os.read(0, _READ_SIZE)
        if not data:
            sys.exit(0)
        self._relay(data)

    def _relay(self, data: bytes) -> None:
        whole, end, self._from_speaker = (self._from_speaker + data).rpartition(b"\n")
        if len(self._to_supervisor) + len(whole) < BACKLOG_LIMIT:
            self._dropped.clear()
            self._to_supervisor += whole + end
            return
        for line in whole.split(b"\n") if end else ():
            update = _UPDATE.match(line)
            if update is None:
                # A session that comes up after this begins anew, and is to hear of its own losses.
                self._dropped.clear()
                self._to_supervisor += line + b"\n"
            elif (peer := update["peer"]) not in self._dropped:
                self._dropped.add(peer)
                self._to_supervisor += _DROPPED % peer

    def _write_speaker(self) -> None:
        try:
            self._to_speaker = self._to_speaker[os.write(1, self._to_speaker) :]
        except BrokenPipeError:
            sys.exit(0)

    def _exchange(self, events: int) -> bytes | None:
        try:
            if events & select.POLLOUT:
                del self._to_supervisor[: self._link.send(self._to_supervisor)]
            if events & ~select.POLLOUT:
                return self._link.recv(_READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        return None


def die_with_parent() -> None:
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit("bridge: prctl(PR_SET_PDEATHSIG) failed")


def say(line: str) -> None:
    """One line on standard error if there is room: a full or closed log must not delay a fence."""
    with contextlib.suppress(OSError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, line.encode() + b"\n")


def main() -> None:
    path, lease_s = sys.argv[1], float(sys.argv[2])
    die_with_parent()
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(path)
        for descriptor in (0, 1, link.fileno()):
            os.set_blocking(descriptor, False)
        bridge = Bridge(link, lease_s)
        bridge.introduce(os.environ[TOKEN_VARIABLE].encode())
        reason = bridge.carry()
        say(f"bridge: event=fencing reason={reason}")
        bridge.fence()


if __name__ == "__main__":
    main()
