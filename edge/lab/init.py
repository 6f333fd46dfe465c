"""The inside of a lab, from the first instruction: ``python -m edge.lab.init FD``.

Three processes, each with one duty::

    keeper     outside's child: makes the namespaces, waits
      init     PID 1 of the lab: reaps orphans, passes signals on, and dies with whoever started the lab
        target the function that was asked for, as ordinary Python

When PID 1 ends, for whatever reason, the kernel kills every process of the lab, and the namespaces, mounts
and sockets go with the last of them. That is the whole clean-up, and nothing can be forgotten in it. PID 1
watches the socket to the starter: its end means that the starter is gone, be it by SIGKILL, unless it has
released the lab before.

Every signal that asks the lab to stop reaches the target as SIGINT, for which ``asyncio.run`` already
cancels in good order.
"""

import contextlib
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path

import msgspec

from edge.errors import EdgeError, UnreachableError
from edge.lab import namespaces
from edge.lab.messages import RELEASE, Boot, Born, Ended, Failed, Report, Returned, Told, send

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ABANDONED = 128 + signal.SIGKILL


def main() -> int:
    """The keeper."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    boot = msgspec.json.decode(channel.makefile("rb").readline(), type=Boot)
    uid, gid = os.geteuid(), os.getegid()
    try:
        if namespaces.privileged():
            namespaces.unshare(namespaces.WITHOUT_USER)
        else:
            namespaces.unshare(namespaces.EVERY_KIND)
            namespaces.become_root(uid, gid)
    except OSError as error:
        return _refuse(channel, error)
    child = os.fork()
    if child == 0:
        return _init(channel, boot)
    channel.close()
    return _exit_code(os.waitpid(child, 0)[1])


def _init(channel: socket.socket, boot: Boot) -> int:
    pid_outside = int(os.readlink("/proc/self"))  # this /proc is still the one of outside
    try:
        namespaces.furnish(tuple(map(Path, boot.keep)))
    except OSError as error:
        return _refuse(channel, error)
    send(channel, Born(pid_outside, namespaces.inodes()))
    target = os.fork()
    if target == 0:
        return _run_target(channel, boot)
    exit_code = _watch_over(target, channel)
    with contextlib.suppress(BrokenPipeError):
        send(channel, Ended(namespaces.netns_inodes()))
    return exit_code


def _watch_over(target: int, lifeline: socket.socket) -> int:
    """Reap until the target ends, or until the other end of the lifeline closes without having released us."""
    readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writable)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: os.kill(target, signal.SIGINT))
    poll = select.poll()
    poll.register(readable, select.POLLIN)
    poll.register(lifeline, select.POLLIN)
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == target:
            return _exit_code(status)
        if pid != 0:
            continue
        for fd, _ in poll.poll():
            if fd == readable:
                os.read(readable, 4096)
            elif lifeline.recv(1) == RELEASE:
                poll.unregister(lifeline)
            else:
                return _ABANDONED


def _run_target(channel: socket.socket, boot: Boot) -> int:
    def tell(value: object) -> None:
        send(channel, Told(value))

    # A shell has SIGINT ignored by whatever it starts in the background, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    outcome: Report
    exit_code = 0
    try:
        module, function = boot.target.split(":")
        outcome = Returned(getattr(importlib.import_module(module), function)(boot.argument, tell))
    except EdgeError as error:
        exit_code = error.exit_code
        outcome = Failed(exit_code, str(error))
    except KeyboardInterrupt:
        exit_code = 128 + signal.SIGINT
        outcome = Failed(EdgeError.exit_code, "the lab was stopped by a signal")
    except Exception as error:  # noqa: BLE001 - outside must hear of it, whatever it is
        traceback.print_exc()
        exit_code = EdgeError.exit_code
        outcome = Failed(exit_code, f"unexpected {type(error).__name__} in the lab: {error}")
    with contextlib.suppress(BrokenPipeError):  # a released lab has nobody to tell
        send(channel, outcome)
    return exit_code


def _refuse(channel: socket.socket, error: OSError) -> int:
    problem = f"this machine does not let you make a lab ({error.strerror}): see edgectl lab doctor"
    send(channel, Failed(UnreachableError.exit_code, problem))
    return UnreachableError.exit_code


def _exit_code(status: int) -> int:
    """As a shell counts: 128 + the number of the signal that killed it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
