"""Labs that stay up in the background, from outside: up, status, down. One directory each, for its user only."""

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from edge.errors import EdgeError, RefusedError, UnreachableError, UsageError
from edge.lab import daemon, routers, topology
from edge.lab.enclosure import Enclosure, Traces
from edge.lab.residue import Residue, residue, start_time
from edge.lab.status import LabStatus

_PATIENCE_S = 15.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class Record(msgspec.Struct, frozen=True):
    """A standing lab on disk. ``pid`` is its first process, known again by when it ``started``."""

    pid: int
    started: float
    namespaces: tuple[int, ...]

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return start_time(self.pid) == self.started


def up(name: str, shape: topology.Topology, *, seed: int = 0, services: Sequence[str] = ()) -> None:
    """Start a lab and leave it. ``services``: see `edge.lab.lab.Lab`, here as ``package.module:function``.

    RefusedError if a lab of that name is up, UnreachableError if this machine cannot have one.
    """
    routers.require(shape)
    with _sole_user():
        directory = _directory(name)
        if (record := _record(name)) is not None and record.alive:
            raise RefusedError(f"lab {name!r} is up already; edgectl lab down --name {name}")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        try:
            _start(
                directory, daemon.Order(name, topology.encode(shape), str(directory), seed, tuple(services))
            )
        except BaseException:
            shutil.rmtree(directory)
            raise


def status(name: str) -> LabStatus:
    """What a lab says of itself. UnreachableError if it is not up."""
    root = Path(f"/proc/{running(name).pid}/root")
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(root / daemon.SOCKET.relative_to("/")))
            with client.makefile("rb") as stream:
                return msgspec.json.decode(stream.read(), type=LabStatus)
        except (OSError, msgspec.DecodeError) as error:
            raise UnreachableError(f"lab {name!r} does not answer: {error}") from None


def down(name: str) -> bool:
    """End a lab and wait until nothing is left of it; False if there was none.

    EdgeError if something is left.
    """
    with _sole_user():
        record, directory = _record(name), _directory(name)
        if record is None:
            return False
        was_alive = record.alive
        if was_alive:
            _end(record)
        shutil.rmtree(directory)
        left = _remains(record, directory)
    if left.total:
        raise EdgeError(f"lab {name!r} is down but not gone: {left} left; processes {list(left.processes)}")
    return was_alive


def running(name: str) -> Record:
    """The record of a lab that is up; UnreachableError if it is not."""
    record = _record(name)
    if record is None or not record.alive:
        others = ", ".join(sorted(names())) or "none"
        raise UnreachableError(f"lab {name!r} is not up (up: {others}); edgectl lab up --name {name}")
    return record


def names() -> list[str]:
    """The labs of this user that are up."""
    records = ((path.name, _record(path.name)) for path in _state().iterdir() if path.is_dir())
    return [name for name, record in records if record is not None and record.alive]


def _start(directory: Path, order: daemon.Order) -> None:
    with (directory / "lab.log").open("wb") as output:
        enclosure = Enclosure("edge.lab.daemon:stand", order, keep=[directory], output=output)
    with enclosure:
        try:
            netns = enclosure.told()
            started = start_time(enclosure.pid)
            assert started is not None
            record = Record(enclosure.pid, started, (*enclosure.namespaces, *netns.values()))
            (directory / "lab.json").write_bytes(msgspec.json.encode(record))
            enclosure.release()
        except BaseException:
            enclosure.interrupt()
            raise


def _end(record: Record) -> None:
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(record.pid)
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                signal.pidfd_send_signal(pidfd, number)
                if select.select([pidfd], [], [], _PATIENCE_S)[0]:
                    return
        finally:
            os.close(pidfd)


def _remains(record: Record, directory: Path) -> Residue:
    traces = Traces(frozenset(record.namespaces), time.clock_gettime(time.CLOCK_BOOTTIME))
    return residue(traces, [directory])


def _record(name: str) -> Record | None:
    try:
        return msgspec.json.decode((_directory(name) / "lab.json").read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _directory(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a lab: letters, digits, - and _, at most 32")
    return _state() / name


def _state() -> Path:
    """The directory of this user's labs. Raises UnreachableError if somebody else could write there."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
    if runtime.is_dir() and runtime.stat().st_uid == os.geteuid():
        state = runtime / "anycast-edge"
    else:
        state = Path(f"/tmp/anycast-edge-{os.geteuid()}")
    state.mkdir(mode=0o700, exist_ok=True)
    found = state.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise UnreachableError(f"{state} is not a directory that only you can write to; remove it")
    return state


@contextlib.contextmanager
def _sole_user() -> Iterator[None]:
    """One command at a time starts or ends labs."""
    with (_state() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
