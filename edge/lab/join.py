"""Into a standing lab from outside: run a command on one of its nodes, with our terminal.

The calling process joins the lab's namespaces for good, so this is the last thing a command does.
"""

import contextlib
import ctypes
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from edge.errors import UnreachableError, UsageError
from edge.lab import namespaces
from edge.lab.namespaces import Kind

_PR_SET_PDEATHSIG = 1
_COMMAND_NOT_FOUND = 127
# A terminal sends these to the command as well; it decides what to do about them.
_LEFT_TO_THE_COMMAND = (signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


def join(pid: int, node: str) -> None:
    """Enter the lab whose first process is ``pid``, and in it ``node``. Children are full members of the lab."""
    here = Path.cwd()
    known = namespaces.netns_inodes(Path(f"/proc/{pid}/root"))
    if node not in known:
        raise UsageError(f"no node {node!r} in this lab; there are {', '.join(known)}")
    kinds = [kind for kind in (Kind.USER, Kind.PID, Kind.MNT) if not _shared(pid, kind)]
    fds = [(os.open(f"/proc/{pid}/ns/{kind.proc_name}", os.O_RDONLY), kind) for kind in kinds]
    try:
        for fd, kind in fds:
            namespaces.setns(fd, kind)
            os.close(fd)
        # The name means the lab's namespace only now.
        fd = os.open(namespaces.NETNS_DIR / node, os.O_RDONLY)
        namespaces.setns(fd, Kind.NET)
        os.close(fd)
    except OSError as error:
        raise UnreachableError(f"cannot enter the lab: {error.strerror}") from None
    with contextlib.suppress(FileNotFoundError):
        os.chdir(here)  # entering a mount namespace leaves one at its root


def run(argv: Sequence[str]) -> int:
    """Run a command where `join` has led, and return its exit code, as a shell counts."""
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        try:
            os.execvp(argv[0], list(argv))
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
            os._exit(_COMMAND_NOT_FOUND)
    for number in _LEFT_TO_THE_COMMAND:
        signal.signal(number, signal.SIG_IGN)
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _: os.kill(child, number))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _shared(pid: int, kind: Kind) -> bool:
    return os.path.samefile(f"/proc/{pid}/ns/{kind.proc_name}", f"/proc/self/ns/{kind.proc_name}")
