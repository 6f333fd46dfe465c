"""What is left of a lab that has ended: seen from outside, by its namespaces and its files."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.lab.enclosure import Traces

_NSFS_MOUNT = re.compile(r" \w+:\[(\d+)\] .* - nsfs ")
_SETTLE_S = (
    10.0  # the kernel ends a namespace's processes in its own time, which a busy machine does not give it
)
_POLL_S = 0.02


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
    for pid in [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]:
        started = start_time(pid)
        if started is None or started > traces.ended_at:
            continue
        if traces.namespaces & (own := set(_own_namespaces(pid))):
            processes.append(pid)
        namespaces |= traces.namespaces & (own | set(_held_namespaces(pid)))
    return Residue(
        tuple(processes), tuple(sorted(namespaces)), tuple(path for path in files if path.exists())
    )


def _own_namespaces(pid: int) -> Iterator[int]:
    """The namespaces a process lives in, as far as we may know."""
    for entry in _entries(Path(f"/proc/{pid}/ns")):
        yield from _inode(entry)


def _held_namespaces(pid: int) -> Iterator[int]:
    """Those it keeps alive from without, by an open file or a mount."""
    for entry in _entries(Path(f"/proc/{pid}/fd")):
        yield from _inode(entry)
    try:
        mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return
    yield from map(int, _NSFS_MOUNT.findall(mounts))


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
