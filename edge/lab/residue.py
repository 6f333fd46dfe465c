"""What is left of a lab that has ended: seen from outside, by its namespaces and its files."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_NSFS_MOUNT = re.compile(r" \w+:\[(\d+)\] .* - nsfs ")
_SETTLE_S = (
    10.0  # the kernel ends a namespace's processes in its own time, which a busy machine does not give it
)
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Traces:
    """By what the remains of an ended lab would be known.

    ``namespaces`` are inode numbers, which the kernel reuses: only processes that started before ``ended_at``
    (seconds since boot) can belong to the lab, and none of ``strangers``: who had nothing of it while it was there may
    have the same number now, of a lab beside it. Each is a process id and when it started.
    """

    namespaces: frozenset[int]
    ended_at: float
    strangers: frozenset[tuple[int, float]] = frozenset()


def traces_of(namespaces: frozenset[int]) -> Traces:
    """To be taken while the lab is there and starts nothing any more."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return Traces(
        namespaces,
        now,
        frozenset(
            (pid, started) for pid, started in _processes() if not namespaces & (_lives_in(pid) | _holds(pid))
        ),
    )


@dataclass(frozen=True, slots=True)
class Residue:
    """Process ids, namespace inodes and files that should no longer exist."""

    processes: tuple[int, ...]
    namespaces: tuple[int, ...]
    files: tuple[Path, ...]

    @property
    def total(self) -> int:
        """How many things are left."""
        return len(self.processes) + len(self.namespaces) + len(self.files)

    def __str__(self) -> str:
        parts = (
            f"{len(self.processes)} processes",
            f"{len(self.namespaces)} namespaces",
            f"{len(self.files)} files",
        )
        return ", ".join(parts)


def residue(traces: Traces, files: Iterable[Path] = ()) -> Residue:
    """What is left, after at most ten seconds of grace. ``files`` are paths that should be gone."""
    files = tuple(files)
    deadline = time.monotonic() + _SETTLE_S
    while True:
        left = _look(traces, files)
        if left.total == 0 or time.monotonic() > deadline:
            return left
        time.sleep(_POLL_S)


def start_time(pid: int) -> float | None:
    """When a process started, in seconds since boot; None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # proc(5): the 22nd field; the second is the program's name, which may hold anything.
    return int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


def _look(traces: Traces, files: tuple[Path, ...]) -> Residue:
    processes, namespaces = [], set[int]()
    for pid, started in _processes():
        if started > traces.ended_at or (pid, started) in traces.strangers:
            continue
        if traces.namespaces & (own := _lives_in(pid)):
            processes.append(pid)
        namespaces |= traces.namespaces & (own | _holds(pid))
    return Residue(
        tuple(processes), tuple(sorted(namespaces)), tuple(path for path in files if path.exists())
    )


def _processes() -> Iterator[tuple[int, float]]:
    """Each by its id, and when it started in seconds since boot."""
    for pid in [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]:
        if (started := start_time(pid)) is not None:
            yield pid, started


def _lives_in(pid: int) -> set[int]:
    """The namespaces of a process, as far as we may know."""
    return {inode for entry in _entries(Path(f"/proc/{pid}/ns")) for inode in _inode(entry)}


def _holds(pid: int) -> set[int]:
    """Those that it keeps alive from without, by an open file or a mount."""
    held = {inode for entry in _entries(Path(f"/proc/{pid}/fd")) for inode in _inode(entry)}
    try:
        mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return held
    return held | set(map(int, _NSFS_MOUNT.findall(mounts)))


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:  # another user's process, or already gone
        return []


def _inode(link: Path) -> Iterator[int]:
    try:
        target = os.readlink(link)
    except OSError:
        return
    if match := re.fullmatch(r"\w+:\[(\d+)\]", target):
        yield int(match[1])
