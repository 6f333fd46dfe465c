"""A bed from outside: bring it up, run things in it, ask it for things, take it down until nothing is left."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from bed import controller, messages, wheelhouse
from bed.plan import NODES
from bed.rootfs import image

from edge.errors import EdgeError, RefusedError, UnreachableError, UsageError
from edge.lab import background, join, namespaces
from edge.lab.background import Record
from edge.lab.residue import residue

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")
_REST_S: Final = 10.0
_ON_A_NODE: Final = {
    "HOME": "/root",
    "USER": "root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}


def up(name: str) -> dict[str, float]:
    """Returns when every node has booted: how many seconds each phase took.

    RefusedError if it is up, UnreachableError if this machine cannot have one. One that does not come up leaves its logs,
    which `down` removes.
    """
    if not namespaces.privileged():
        raise UnreachableError("a bed boots whole machines, which only root may do here")
    times = [time.monotonic()]
    made = image()
    times.append(time.monotonic())
    wheelhouse.release()
    times.append(time.monotonic())
    with background.sole_user():
        directory = _directory(name)
        if (record := background.read(directory)) is not None and record.alive:
            raise RefusedError(f"bed {name!r} is up already; python -m bed --name {name} down")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, mode=0o700)
        order = messages.Order(_cgroup(name), str(directory), str(made.root), str(made.packages))
        try:
            background.start(directory, "bed.inside:stand", order)
        except BaseException:
            _sweep(name)
            raise
    wheelhouse.publish(order.home)
    times.append(time.monotonic())
    return {
        phase: after - before
        for phase, before, after in zip(("image", "release", "boot"), times, times[1:], strict=False)
    }


def down(name: str) -> bool:
    """False if there was none. EdgeError if something is left of it."""
    with background.sole_user():
        directory = _directory(name)
        record = background.read(directory)
        was_alive = record is not None and record.alive
        if record is not None and was_alive:
            background.end(record)
        left = None if record is None else residue(record.traces)
        cgroups = _sweep(name)
        shutil.rmtree(directory, ignore_errors=True)
    if (left is not None and left.total) or cgroups:
        raise EdgeError(f"bed {name!r} is down but not gone: {left} left, control groups {cgroups}")
    return was_alive


def names() -> list[str]:
    """The beds of this user that are up."""
    records = ((path.name, background.read(path)) for path in _beds().iterdir())
    return [name for name, record in records if record is not None and record.alive]


def running(name: str) -> Record:
    """The record of a bed; UnreachableError if it is not up."""
    record = background.read(_directory(name))
    if record is None or not record.alive:
        others = ", ".join(sorted(names())) or "none"
        raise UnreachableError(f"bed {name!r} is not up (up: {others}); python -m bed --name {name} up")
    return record


def home(name: str) -> Path:
    """The operator's, on the controller: the same path inside and outside."""
    return _directory(name) / "home"


def logs(name: str) -> Path:
    """A file for each machine's console and each daemon."""
    return _directory(name) / "log"


def ask(name: str, request: messages.Request) -> messages.Machines:
    """Ask a bed for something. EdgeError with its reason if it cannot be done."""
    path = Path(f"/proc/{running(name).pid}/root", *messages.SOCKET.parts[1:])
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
            client.sendall(msgspec.json.encode(request) + b"\n")
            with client.makefile("rb") as stream:
                answer = msgspec.json.decode(stream.read(), type=messages.Answer)
        except (OSError, msgspec.DecodeError) as error:
            raise UnreachableError(f"bed {name!r} does not answer: {error}") from None
    if answer.error is not None:
        raise EdgeError(answer.error)
    return answer.machines


def execute(name: str, place: str, argv: Sequence[str]) -> int:
    """Run a command at a place, with our stdin, stdout and stderr, and return its exit code, as a shell counts.

    The caller has joined the bed's namespaces afterwards: the last thing that a process does.
    """
    record = running(name)
    if place in {node.name for node in NODES}:
        leader = ask(name, messages.Ask()).leaders[place]
        if leader is None:
            raise UnreachableError(f"{place} is switched off; python -m bed --name {name} on {place}")
        entering = [
            "nsenter",
            f"--target={leader}",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--cgroup",
        ]
        environment = _ON_A_NODE | {"TERM": os.environ.get("TERM", "dumb")}
        argv = [*entering, "--root", "--wd", "env", "--ignore-environment", *_assignments(environment), *argv]
    else:
        argv = ["env", "--ignore-environment", *_assignments(controller.environment(home(name))), *argv]
    join.join(record.pid, place)
    return join.run(argv)


def command(name: str, verb: str, *argv: str) -> list[str]:
    """A command line of ``python -m bed``, for `subprocess`; see `environment`."""
    return [sys.executable, "-P", "-m", "bed", "--name", name, verb, *argv]


def environment() -> dict[str, str]:
    """With which Python finds this package, and the checkout it belongs to."""
    path = [controller.ROOT, controller.ROOT / "tests" / "provision"]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}


def _assignments(environment: dict[str, str]) -> Iterator[str]:
    return (f"{key}={value}" for key, value in environment.items())


def _sweep(name: str) -> list[str]:
    """Remove the control groups of a bed that has ended; what could not be."""
    root = _cgroups() / _cgroup(name)
    deadline = time.monotonic() + _REST_S
    while root.exists():
        for path in sorted(root.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
            _remove(path)
        if _remove(root):
            break
        if time.monotonic() > deadline:
            return [str(root)]
        time.sleep(0.05)  # the kernel tells nobody when the last of a group's processes is gone
    return []


def _remove(cgroup: Path) -> bool:
    try:
        cgroup.rmdir()
    except OSError:
        return False
    return True


def _cgroups() -> Path:
    """Where this machine has the hierarchy of version 2 mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise UnreachableError("this machine has no control groups of version 2 mounted")


def _cgroup(name: str) -> str:
    return f"anycast-edge-bed-{name}"


def _directory(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a bed: small letters, digits and -, at most 16")
    return _beds() / name


def _beds() -> Path:
    return background.state_directory("anycast-edge-bed")


def run(name: str, place: str, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """`execute` in a process of its own, with what it said."""
    return subprocess.run(
        command(name, "exec", place, *argv), env=environment(), capture_output=True, text=True, **options
    )
