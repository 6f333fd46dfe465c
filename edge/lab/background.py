"""An enclosure that goes on without whoever started it: its record in a directory, by which it is found and ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import UnreachableError
from edge.lab.enclosure import Enclosure
from edge.lab.residue import Traces, start_time

_PATIENCE_S = 15.0
_RECORD = "lab.json"


class Record(msgspec.Struct, frozen=True):
    """What runs in the background, on disk. ``pid`` is its first process, known again by when it ``started``."""

    pid: int
    started: float
    namespaces: tuple[int, ...]

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return start_time(self.pid) == self.started

    @property
    def traces(self) -> Traces:
        """By what its remains would be known, if it has ended by now."""
        return Traces(frozenset(self.namespaces), time.clock_gettime(time.CLOCK_BOOTTIME))


def start(directory: Path, target: str, argument: Any) -> Record:
    """Start ``target`` (see `Enclosure`) and leave it, once it has told its network namespaces' inodes by name.

    ``directory`` gets the record and ``lab.log``. Raises what the target raised.
    """
    with (directory / "lab.log").open("wb") as output:
        enclosure = Enclosure(target, argument, keep=[directory], output=output)
    with enclosure:
        try:
            netns = enclosure.told()
            started = start_time(enclosure.pid)
            assert started is not None
            record = Record(enclosure.pid, started, (*enclosure.namespaces, *netns.values()))
            (directory / _RECORD).write_bytes(msgspec.json.encode(record))
            enclosure.release()
        except BaseException:
            enclosure.interrupt()
            raise
    return record


def end(record: Record) -> None:
    """Ask it to end, and see to it that it does."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(record.pid)
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                signal.pidfd_send_signal(pidfd, number)
                if select.select([pidfd], [], [], _PATIENCE_S)[0]:
                    return
        finally:
            os.close(pidfd)


def read(directory: Path) -> Record | None:
    """The record of what was started with ``directory``, whether it still runs or not."""
    try:
        return msgspec.json.decode((directory / _RECORD).read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def state_directory(family: str = "anycast-edge") -> Path:
    """The directory of what this user has in the background. UnreachableError if somebody else could write there."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
    if runtime.is_dir() and runtime.stat().st_uid == os.geteuid():
        state = runtime / family
    else:
        state = Path(f"/tmp/{family}-{os.geteuid()}")
    state.mkdir(mode=0o700, exist_ok=True)
    found = state.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise UnreachableError(f"{state} is not a directory that only you can write to; remove it")
    return state


@contextlib.contextmanager
def sole_user() -> Iterator[None]:
    """One command at a time starts or ends something."""
    with (state_directory() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
