"""Programs that run on a node of the lab."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edge.errors import DeadlineError, EdgeError
from edge.lab import namespaces


class Completed(NamedTuple):
    """How a short program ended, and what it said."""

    returncode: int
    stdout: bytes
    stderr: bytes


class Process:
    """A program on a node, with its log."""

    def __init__(self, node: str, name: str, log: Path, finite: bool, popen: subprocess.Popen[bytes]) -> None:
        self.node = node
        self.name = name
        self.log = log
        self.pid = popen.pid
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = loop.create_future()
        self._may_end = finite
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid)
        loop.add_reader(self._pidfd, self._collect, loop)

    def __str__(self) -> str:
        return f"{self.name} on {self.node}"

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._popen.returncode

    @property
    def lost(self) -> bool:
        """Whether it ended although nobody asked it to."""
        return self.returncode is not None and not self._may_end

    async def wait(self) -> int:
        """Its return code, when it has ended."""
        return await asyncio.shield(self.ended)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the program itself; if it ends now, it is not `lost`."""
        if self.returncode is None:
            self._may_end = True
            os.kill(self.pid, number)

    async def stop(self, grace: float = 5.0) -> int:
        """SIGTERM, and after ``grace`` seconds SIGKILL for it and all it started; its return code."""
        self.kill(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            os.killpg(self.pid, signal.SIGKILL)
            return await self.wait()

    def last_words(self) -> str:
        """The last line of its log."""
        return (self.log.read_text(errors="replace").strip() or "it said nothing").splitlines()[-1]

    def _collect(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.ended.set_result(self._popen.wait())


def start(
    node: str,
    name: str,
    argv: Sequence[str],
    log: Path,
    *,
    append: bool,
    finite: bool,
    env: Mapping[str, str] | None,
    pass_fds: Sequence[int],
) -> Process:
    """Start a program; EdgeError if it cannot be."""
    with log.open("ab" if append else "wb") as output:
        popen = _popen(
            node, argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, pass_fds=pass_fds
        )
    return Process(node, name, log, finite, popen)


async def complete(
    node: str, argv: Sequence[str], *, env: Mapping[str, str] | None, stdin: bytes, timeout: float
) -> Completed:
    """Run a program to its end; EdgeError if it cannot be started, DeadlineError after ``timeout`` seconds."""
    pipe = subprocess.PIPE
    popen = _popen(node, argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env)
    try:
        stdout, stderr = await asyncio.to_thread(popen.communicate, stdin, timeout)
    except subprocess.TimeoutExpired:
        raise DeadlineError(f"{argv[0]} on {node}: not done after {timeout:g} s") from None
    finally:
        if popen.poll() is None:
            os.killpg(popen.pid, signal.SIGKILL)
            popen.communicate()
    return Completed(popen.returncode, stdout, stderr)


def _popen(node: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    try:
        with namespaces.inside(node):
            # Its own process group, so that what it starts can be reached through it.
            return subprocess.Popen(list(argv), start_new_session=True, **options)
    except OSError as error:
        raise EdgeError(f"{argv[0]} on {node}: {error.strerror}") from None
