"""A fleet of real nodes on this machine for tests that upgrade one: each a process of its own, with releases of its own.

The real `edge-release` handles them. Only three things are put in its place: a release is not a venv but a script that gives
this checkout another version, it is brought without pip, and what systemd would restart is a process of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import select
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node_rig import CONFIG, certify, free_port

from edge.errors import EdgeError
from edge.fleet.planning import Member
from edge.fleet.transport import Completed
from edge.fleet.unix import UnixTransport
from edge.runtime.admin_client import admin_request

ROOT = Path(__file__).resolve().parent.parent
EDGE_RELEASE = ROOT / "ansible" / "roles" / "edge" / "files" / "edge-release"
PATIENCE_S = 60.0
"""For a process with a worker to serve, or to end, on a machine that does other things."""

OLD, NEW, NEWEST, BROKEN = "0.1.0", "0.2.0", "0.3.0", "0.6.6"

TABLES = """
[probe]
interval_s = 0.3
timeout_s = 5.0
[shutdown]
grace_s = 0.1
[workers]
count = 1
[web]
enabled = false
"""

_PROGRAM = """#!/bin/sh
{first}
PYTHONPATH={site}:{root} exec {python} -m edge.cli "$@"
"""


@dataclass(frozen=True, slots=True)
class RigNode:
    """``directory`` has its configuration, its state and, in ``opt``, its releases."""

    name: str
    directory: Path

    @property
    def socket(self) -> Path:
        return self.directory / "admin.sock"

    @property
    def pid_file(self) -> Path:
        return self.directory / "pid"

    @property
    def member(self) -> Member:
        return Member(self.name, frozenset())

    @property
    def current(self) -> str:
        return os.path.basename(os.readlink(self.directory / "opt" / "current"))

    def way(self) -> RigWay:
        return RigWay(self)

    def ask(self, target: str, method: str = "GET", body: object = None) -> Any:
        return asyncio.run(admin_request(self.socket, method, target, body, timeout_s=PATIENCE_S)).checked()

    def status(self) -> Any:
        return self.ask("/status")


class RigWay(UnixTransport):
    """What it runs is this node's, as if it were on a machine of its own."""

    def __init__(self, node: RigNode) -> None:
        super().__init__(node.socket)
        object.__setattr__(self, "node", node)

    node: RigNode

    async def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        if argv[0] == "sudo":
            argv = [sys.executable, str(Path(__file__)), str(self.node.directory), *argv[3:]]
        return await super().run(argv, stdin=stdin, timeout_s=timeout_s)


@contextlib.contextmanager
def rig_fleet(directory: Path, count: int) -> Iterator[list[RigNode]]:
    """So many nodes that serve and announce; none is left at the end."""
    nodes = [RigNode(f"n{index}", directory / f"n{index}") for index in range(1, count + 1)]
    try:
        for node in nodes:
            node.directory.mkdir()
            (node.directory / "state").mkdir()
            certify(node.directory)
            text = CONFIG.replace("PORT", str(free_port())).replace('"unit"', f'"{node.name}"') + TABLES
            (node.directory / "node.toml").write_text(text)
            release(node.directory, "install", OLD, stdin=wheels(OLD))
            release(node.directory, "use", OLD)
        for node in nodes:
            release(node.directory, "restart")
        for node in nodes:
            until_announced(node)
        yield nodes
    finally:
        for node in nodes:
            stop(node.directory)


def release(directory: Path, *argv: str, stdin: bytes = b"") -> None:
    command = [sys.executable, str(Path(__file__)), str(directory), *argv]
    subprocess.run(command, input=stdin, check=True, capture_output=True, timeout=2 * PATIENCE_S)


def until_announced(node: RigNode) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ((status := node.status())["announced"] and status["state"] == "announced"):
        assert time.monotonic() < deadline, status
        time.sleep(0.1)


def wheels(version: str) -> bytes:
    """An archive as `edge-release install` reads one."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in _contents(version):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def wheelhouse(directory: Path, version: str) -> Path:
    """The same as files."""
    directory.mkdir(exist_ok=True)
    for name, text in _contents(version):
        (directory / name).write_text(text)
    return directory


def _contents(version: str) -> Iterator[tuple[str, str]]:
    """Nothing is in the wheel, for there is no pip."""
    yield "requirements.txt", f"anycast-edge=={version} --hash=sha256:{'0' * 64}\n"
    yield f"anycast_edge-{version}-py3-none-any.whl", ""


# --- the program on the "machine" ---------------------------------------------------------------------------


def stop(directory: Path) -> None:
    """The node's process, if there is one, and wait for its end."""
    pid_file = directory / "pid"
    try:
        pid = int(pid_file.read_text())
        descriptor = os.pidfd_open(pid)
    except (FileNotFoundError, ProcessLookupError):
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if not select.select([descriptor], [], [], PATIENCE_S)[0]:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [])
    finally:
        os.close(descriptor)
        pid_file.unlink(missing_ok=True)


def start(directory: Path) -> str:
    """Why the node did not come up, empty once it serves."""
    log = (directory / "log").open("ab")
    node = subprocess.Popen(
        [directory / "opt/current/bin/edgectl", "node", "run", "--config", directory / "node.toml"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    (directory / "pid").write_text(str(node.pid))
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if node.poll() is not None:
            (directory / "pid").unlink()
            return (directory / "log").read_text().strip().splitlines()[-1]
        with contextlib.suppress(EdgeError):
            if asyncio.run(admin_request(directory / "admin.sock", "GET", "/livez")).status == 200:
                return ""
        time.sleep(0.1)
    return f"not ready after {PATIENCE_S:g} s"


def edge_release() -> Any:
    loader = importlib.machinery.SourceFileLoader("edge_release", str(EDGE_RELEASE))
    spec = importlib.util.spec_from_loader("edge_release", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["edge_release"] = module  # its dataclasses look for it there
    loader.exec_module(module)
    return module


def main(directory: Path, argv: list[str]) -> int:
    module = edge_release()

    def build(machine: Any, version: str, source: Path, lock: bytes, digest: str) -> None:
        place = machine.release(version)
        (place / "bin").mkdir(parents=True)
        (place / "site").mkdir()
        (place / "site/sitecustomize.py").write_text(f"import edge\nedge.__version__ = {version!r}\n")
        first = 'case "$2" in run) echo "this release is broken" >&2; exit 1;; esac' * (version == BROKEN)
        program = _PROGRAM.format(first=first, site=place / "site", root=ROOT, python=sys.executable)
        (place / "bin/edgectl").write_text(program)
        (place / "bin/edgectl").chmod(0o755)
        module.write(
            place / module.MARK,
            b'{"version": "%s", "lock_sha256": "%s"}' % (version.encode(), digest.encode()),
            0o644,
        )

    def restart(machine: Any, *, dry_run: bool) -> Any:
        stop(directory)
        if problem := start(directory):
            raise module.Failure(f"edge.service: did not come up: {problem}")
        return {"changed": True, "unit": machine.unit}

    module.build, module.restart = build, restart
    machine = module.Machine(releases=directory / "opt" / "releases", configuration=directory, account=None)
    module.tidy_when_ended()
    answer: int = module.main(argv, machine, sys.stdin.buffer)
    return answer


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
