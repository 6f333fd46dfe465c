"""A lab seen from outside: start a function in fresh namespaces, hear from it, end it, hold its traces."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from edge import errors
from edge.lab import namespaces
from edge.lab.messages import RELEASE, Boot, Born, Ended, Failed, Report, Returned, Told, send
from edge.lab.residue import Traces, traces_of

_PATIENCE_S = 15.0  # an orderly end stops every process of the lab, each with its own grace
_ERRORS = {
    error.exit_code: error
    for error in (
        errors.EdgeError,
        errors.UsageError,
        errors.PartialError,
        errors.DeadlineError,
        errors.UnreachableError,
        errors.RefusedError,
    )
}


class Enclosure:
    """Namespaces with a function running in them. Not for use by several threads."""

    def __init__(
        self,
        target: str,
        argument: Any,
        *,
        keep: Sequence[Path] = (),
        output: IO[bytes] | None = None,
    ) -> None:
        """Start ``target`` (``package.module:function``, called as ``function(argument, tell)``).

        The argument and everything it tells or returns is made of JSON. It has our stdin, stdout and stderr,
        or none and ``output``. ``keep``: directories below ``/run``, which is replaced, that it must see.
        Raises UnreachableError where the machine does not allow namespaces.
        """
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._keeper = subprocess.Popen(
                [sys.executable, "-P", "-m", "edge.lab.init", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL if output else None,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the command outside, which ends the lab in order.
                start_new_session=True,
            )
        send(self._channel, Boot(target, argument, tuple(map(str, keep))))
        self._reports = self._read()
        match next(self._reports, None):
            case Born(pid, inodes):
                self.pid = pid
                self.namespaces = frozenset(inodes.values()) - frozenset(namespaces.inodes().values())
            case report:
                self.close()
                raise _failure(report)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def told(self) -> Any:
        """The next value the target tells. Raises what the target raised."""
        match next(self._reports, None):
            case Told(value):
                return value
            case report:
                raise _failure(report)

    def finish(self, told: Callable[[Any], None]) -> tuple[Any, Traces]:
        """The target's result, once everything is gone; ``told`` gets what it tells on the way.

        Interrupted by Ctrl-C it ends the lab in order and then raises KeyboardInterrupt.
        """
        try:
            return self._finish(told)
        except KeyboardInterrupt:
            self.interrupt()
            raise

    def interrupt(self) -> None:
        """Ask the lab to end, and see to it that it does."""
        if self._keeper.poll() is None:
            os.kill(self.pid, signal.SIGINT)
        try:
            self._keeper.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self._keeper.wait()

    def release(self) -> None:
        """From now on the lab lives without us."""
        self._channel.sendall(RELEASE)

    def close(self) -> None:
        """Hang up; unless it was released, that is the end of the lab."""
        self._channel.close()

    def _finish(self, told: Callable[[Any], None]) -> tuple[Any, Traces]:
        outcome: Report | None = None
        traces: Traces | None = None
        for report in self._reports:
            match report:
                case Told(value):
                    told(value)
                case Ended(netns):
                    traces = traces_of(self.namespaces.union(netns.values()))
                case _:
                    outcome = report
        self._keeper.wait()
        if isinstance(outcome, Returned) and traces is not None:
            return outcome.value, traces
        raise _failure(outcome)

    def _read(self) -> Iterator[Report]:
        with self._channel.makefile("rb") as lines:
            for line in lines:
                yield msgspec.json.decode(line, type=Report)


def run_inside(
    target: str, argument: Any, *, told: Callable[[Any], None] = lambda _: None
) -> tuple[Any, Traces]:
    """Run a function in namespaces of its own and wait; see `Enclosure`."""
    with Enclosure(target, argument) as enclosure:
        return enclosure.finish(told)


def _failure(report: Report | None) -> errors.EdgeError:
    if isinstance(report, Failed):
        return _ERRORS.get(report.exit_code, errors.EdgeError)(report.message)
    return errors.EdgeError("the lab ended without a word; was it killed?")
