"""Strike a part of a node, as an accident would: from outside, with a signal, whatever the node thinks of it.

Parts are found by what runs in the node's namespace, not by what the node says: one that hangs says nothing.
"""

from __future__ import annotations

import contextlib
import enum
import os
import re
import signal
import time
from pathlib import Path

from edge.errors import EdgeError
from edge.lab import namespaces
from edge.lab.lab import Lab
from edge.lab.process import Process


class Part(enum.StrEnum):
    """What a node is made of. The bridge is between supervisor and speaker, and holds the speaker's lease."""

    SUPERVISOR = "supervisor"
    WORKER = "worker"
    SPEAKER = "speaker"
    BRIDGE = "bridge"
    BFD = "bfd"


# Each by its command line. A speaker that is BIRD has a keeper for a bridge, and speaks BFD itself.
_MARKS = {
    Part.SUPERVISOR: re.compile(r" -m edge\.cli node run "),
    Part.WORKER: re.compile(r" -m edge\.runtime\.worker "),
    Part.SPEAKER: re.compile(r"/exabgp server |^\S*/bird .*/speaker/bird\.conf "),
    Part.BRIDGE: re.compile(r"/bgp/bridge\.py |/bgp/keeper\.py .*/speaker/bird\.conf "),
    Part.BFD: re.compile(r"^\S*/bird .*/bfd/bird\.conf "),
}


def processes(node: str) -> dict[int, str]:
    """Everything that runs on a node: command lines by process number, the oldest first."""
    home, found = namespaces.netns_inodes()[node], {}
    for pid in sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino == home:
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        except OSError:  # ended meanwhile
            continue
    return found


def find(node: str, part: Part) -> int:
    """The process number of a part, of the oldest if there are several; EdgeError if there is none."""
    for pid, command in processes(node).items():
        if _MARKS[part].search(command):
            return pid
    raise EdgeError(f"no {part} runs on {node}")


def strike(lab: Lab, node: str, part: Part, number: signal.Signals = signal.SIGKILL) -> float:
    """Send a signal to a part; when (monotonic). EdgeError if there is no such part."""
    pid = find(node, part)
    known = [process for process in lab.processes if process.pid == pid]
    at = time.monotonic()
    if known:
        known[-1].kill(number)  # and the lab need not report its end
    else:
        os.kill(pid, number)
    return at


def supervisor(lab: Lab, node: str) -> Process:
    """The node's own process, of those the one that was started last."""
    return [process for process in lab.processes if (process.node, process.name) == (node, "node")][-1]


def destroy(lab: Lab, node: str) -> float:
    """Kill a node and all that it has started, at once; when (monotonic)."""
    parts = [
        pid for pid, line in processes(node).items() if any(mark.search(line) for mark in _MARKS.values())
    ]
    at = time.monotonic()
    supervisor(lab, node).kill()
    for pid in parts:
        with contextlib.suppress(ProcessLookupError):  # it went with the one before
            os.kill(pid, signal.SIGKILL)
    return at
