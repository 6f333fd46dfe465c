"""A node: Debian booted with systemd in a container (systemd-nspawn), whose kernel and network namespace are ours.

What it writes lands in a layer of its own over the image, in memory, and is gone with the bed. Traps, each of which
costs a day:

* ``--keep-unit`` leaves nspawn in the control group it was started in, so each machine needs one of its own, in a
  hierarchy of version 2 (mounted by `bed.inside`).
* A machine that asks for a reboot makes nspawn end with exit code 133. Its network namespace outlives that, and with
  it whatever was put on the loopback: see `bed.network.clear`.
* A network namespace that was made outside brings no CAP_NET_ADMIN along; and ``/sys`` shows the interfaces of the
  one that nspawn itself runs in, which had better be the same.
* ``/run/systemd/nspawn`` must not be on a disk. The bed's own ``/run`` is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from bed.plan import Node
from bed.rootfs import LOGIN

from edge.errors import DeadlineError, EdgeError
from edge.lab import namespaces

CGROUPS: Final = Path("/sys/fs/cgroup")
_REBOOT: Final = 133
_OPERATOR: Final = 1000  # Debian's first user
# Enters the control group before it becomes nspawn: whatever nspawn starts is in it from its birth.
_IN_CGROUP: Final = 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"'


class Machine:
    """One node, off at first. ``layers`` is a directory on a file system that can carry an overlay's upper layer."""

    def __init__(
        self,
        node: Node,
        image: Path,
        layers: Path,
        cgroup: Path,
        log: Path,
        binds: dict[Path, str],
        before_boot: Callable[[], Awaitable[None]],
    ) -> None:
        self.node = node
        self.boots = 0
        """Boots that came to their end: systemd had nothing left to start."""
        self.leader: int | None = None
        """Its first process, as the bed counts processes; None while it is off."""
        self._image, self._log, self._binds, self._before_boot = image, log, binds, before_boot
        self._upper, self._work, self.root = (layers / node.name / part for part in ("upper", "work", "root"))
        self._cgroup = cgroup
        self._ready = asyncio.Condition()
        self._runs: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    def furnish(self, host_key: Path, operator_key: str) -> None:
        """Mount its file system, and put in what makes it this machine and nobody else."""
        for directory in (self._upper, self._work, self.root):
            directory.mkdir(parents=True)
        namespaces.overlay(self.root, self._image, self._upper, self._work)
        (self.root / "etc/hostname").write_text(f"{self.node.name}\n")
        (self.root / "etc/hosts").write_text(
            "127.0.0.1 localhost\n::1 localhost\n"
            + "".join(f"{address} {self.node.name}\n" for address in self.node.addresses)
        )
        (self.root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        # No name servers, rather than some that nobody answers for: each look-up would wait for them.
        (self.root / "etc/resolv.conf").write_text("")
        for suffix, mode in (("", 0o600), (".pub", 0o644)):
            key = self.root / f"etc/ssh/{host_key.name}{suffix}"
            key.write_bytes(host_key.with_name(host_key.name + suffix).read_bytes())
            key.chmod(mode)
        ssh = self.root / f"home/{LOGIN}/.ssh"
        ssh.mkdir(mode=0o700)
        (ssh / "authorized_keys").write_text(operator_key)
        for path in (ssh, ssh / "authorized_keys"):
            os.chown(path, _OPERATOR, _OPERATOR)

    async def switch_on(self) -> None:
        """Boot it; see `booted`."""
        if self._runs is None or self._runs.done():
            self._runs = asyncio.create_task(self._run())

    async def switch_off(self) -> None:
        """As if its power failed."""
        if self._runs is not None and self._process is not None:
            self._runs.cancel()
            if self.leader is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.leader, signal.SIGKILL)
            await self._process.wait()
            self.leader = None

    async def booted(self, boots: int, timeout: float) -> None:
        """Wait until it has booted so many times. EdgeError if it went off instead, DeadlineError if it takes too long."""
        assert self._runs is not None
        try:
            async with asyncio.timeout(timeout), self._ready:
                await self._ready.wait_for(lambda: self.boots >= boots or self._runs.done())
        except TimeoutError:
            raise DeadlineError(
                f"{self.node.name} has not booted after {timeout:g} s; see {self._log}"
            ) from None
        if self.boots < boots:
            raise EdgeError(f"{self.node.name} went off; see {self._log}")

    async def _run(self) -> None:
        notices = namespaces.RUN_DIR / f"{self.node.name}.notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox, self._log.open("ab") as log:
            notices.unlink(missing_ok=True)
            inbox.bind(str(notices))
            inbox.setblocking(False)
            hears = asyncio.create_task(self._hear(inbox))
            try:
                while True:
                    await self._before_boot()
                    self._process = await asyncio.create_subprocess_exec(
                        *self._command(),
                        env=os.environ | {"NOTIFY_SOCKET": str(notices)},
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )
                    code = await self._process.wait()
                    self.leader = None
                    if code != _REBOOT:
                        return
            finally:
                hears.cancel()
                await self._tell()

    async def _hear(self, inbox: socket.socket) -> None:
        """nspawn passes on when the machine is ready, and says which process is its first."""
        loop = asyncio.get_running_loop()
        while True:
            for line in (await loop.sock_recv(inbox, 4096)).decode().splitlines():
                name, _, value = line.partition("=")
                if name == "X_NSPAWN_LEADER_PID":
                    self.leader = int(value)
                elif line == "READY=1":
                    self.boots += 1
                    await self._tell()

    async def _tell(self) -> None:
        async with self._ready:
            self._ready.notify_all()

    def _command(self) -> list[str]:
        self._cgroup.mkdir(exist_ok=True)
        name, netns = self.node.name, namespaces.NETNS_DIR / self.node.name
        return [
            *("sh", "-c", _IN_CGROUP, "sh", str(self._cgroup)),
            *("nsenter", f"--net={netns}"),
            *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes"),
            f"--directory={self.root}",
            f"--machine={name}",
            f"--hostname={name}",
            f"--network-namespace-path={netns}",
            "--capability=CAP_NET_ADMIN",
            *("--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no"),
            *(f"--bind-ro={source}:{target}" for source, target in self._binds.items()),
        ]
