"""A real sshd on loopback and a real node behind it, and the ways there that a user's ssh configuration knows."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loopback import free_port
from node_rig import CONFIG, certify

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0

SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel ERROR
"""

# What is common stands last: ssh takes the first value that it finds.
SSH = """
Host jumped
    ProxyJump node
Host changed
    UserKnownHostsFile {directory}/known-changed
Host stranger
    UserKnownHostsFile /dev/null
Host denied
    IdentityFile {directory}/other
Host closed
    Port {closed}
Host silent
    Port {silent}
Host * !denied
    IdentityFile {directory}/user
Host *
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentitiesOnly yes
    IdentityAgent none
    GlobalKnownHostsFile /dev/null
    UserKnownHostsFile {directory}/known
    StrictHostKeyChecking yes
"""


@dataclass(frozen=True, slots=True)
class Site:
    """``node`` is the process of the node, ``socket`` its admin socket; ``config`` is for ``ssh -F``."""

    directory: Path
    config: Path
    socket: Path
    node: subprocess.Popen[bytes]


@contextlib.contextmanager
def site(directory: Path) -> Iterator[Site]:
    """In ``directory``, whose name must be short: sockets are in it."""
    with contextlib.ExitStack() as stack:
        config = stack.enter_context(_ssh(directory))
        process = stack.enter_context(node(directory))
        yield Site(directory, config, directory / "admin.sock", process)


@contextlib.contextmanager
def _ssh(directory: Path) -> Iterator[Path]:
    for name in ("host", "changed", "user", "other"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(directory / name)],
            check=True,
        )
    port, closed = free_port(HOST), free_port(HOST)
    for known, key in (("known", "host"), ("known-changed", "changed")):
        (directory / known).write_text(f"[{HOST}]:{port} {(directory / f'{key}.pub').read_text()}")
    with socket.create_server((HOST, 0)) as silent:  # the kernel takes connections, and nobody speaks
        server, client = directory / "sshd_config", directory / "ssh_config"
        server.write_text(SSHD.format(port=port, directory=directory))
        client.write_text(
            SSH.format(
                port=port,
                closed=closed,
                silent=silent.getsockname()[1],
                user=getpass.getuser(),
                directory=directory,
            )
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # which the package's service makes
        with _running(["/usr/sbin/sshd", "-D", "-e", "-f", str(server)], directory / "sshd.log"):
            _until(lambda: _listens(port), directory / "sshd.log")
            yield client


@contextlib.contextmanager
def node(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A node that listens at ``admin.sock`` in ``directory``, configured by ``node.toml`` there."""
    certify(directory)
    config = directory / "node.toml"
    config.write_text(CONFIG.replace("PORT", str(free_port(HOST, "127.0.0.2"))) + "[workers]\ncount = 1\n")
    command = [sys.executable, "-P", "-m", "edge.cli", "node", "run", "--config", str(config)]
    with _running(command, directory / "node.log") as process:
        _until((directory / "admin.sock").is_socket, directory / "node.log", process)
        yield process


@contextlib.contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _until(holds: Callable[[], bool], log: Path, process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not holds():
        assert process is None or process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=5).close()
    except OSError:
        return False
    return True


def ssh_processes(config: Path) -> list[int]:
    """Those that were started with it and have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"ssh") and str(config).encode() in words:
                found.append(int(entry.name))
    return found
