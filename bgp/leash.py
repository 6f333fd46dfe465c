"""Run a program that cannot outlive the thread that started it: ``leash.py PARENT_PID PROGRAM [ARGUMENT...]``.

The kernel kills the program (SIGKILL) as soon as its parent is gone, however it went (prctl(2),
PR_SET_PDEATHSIG). Four traps, each of which would leave a route that nobody controls:

* the request is forgotten when the process changes its user, so it must be made as the final user. That is why
  this is a program between the two and not something the parent does before dropping privileges;
* it is forgotten, too, when a program is started that has privileges of its own (setuid, file capabilities). So
  none are given to it, nor to anything that it starts;
* it is the parent *thread* that counts. Start this from the main thread;
* if the parent died before the request was made, no signal will ever come. The parent's pid, told by itself,
  shows that.

It imports only what the standard library needs to start, and is run by path.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38


def main(parent: int, argv: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((PR_SET_NO_NEW_PRIVS, 1), (PR_SET_PDEATHSIG, signal.SIGKILL)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            sys.exit(f"leash: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit(f"leash: process {parent} is gone")
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
