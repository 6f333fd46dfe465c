"""A program that dies with this process, whatever happens, and whose output is logged without pause."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bgp import leash
from bgp.account import Account
from bgp.conf import SpeakerConfig
from bgp.route import Address

logger = logging.getLogger(__name__)

_LOG_CHUNK = 1 << 16
_LAST_WORDS = 5
# How long the traces of a killed process may take to disappear.
_REAP_S = 2.0


class SpeakerError(Exception):
    """The speaker could not be started; the message says in one line what is missing and where."""


class Child:
    """A running program and all that it has started. Made by ``start``, ended by ``close``."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._log = asyncio.create_task(self._pass_log_on())

    @classmethod
    async def start(
        cls,
        command: tuple[str, ...],
        account: Account,
        environment: Mapping[str, str],
        stdin: int = DEVNULL,
        *,
        net_raw: bool = False,
    ) -> Self:
        """Start ``command`` as ``account``, in a session of its own; if ``net_raw``, with CAP_NET_RAW all the same.

        To be called on the main thread, because the end of the calling *thread* is what kills it. Raises OSError,
        and SpeakerError on another thread.
        """
        if threading.current_thread() is not threading.main_thread():
            raise SpeakerError("the speaker must be started on the main thread: it dies with that thread")
        process = await asyncio.create_subprocess_exec(
            *_becoming(account, net_raw=net_raw),
            *(sys.executable, "-I", "-S", leash.__file__, str(os.getpid())),
            *command,
            stdin=stdin,
            stdout=PIPE,
            stderr=STDOUT,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.returncode

    async def wait(self) -> None:
        """Until it has ended."""
        await self._process.wait()

    async def last_words(self) -> str:
        """The end of what it said, in one line, after its end."""
        await self._log
        return "; ".join(self._last_words)

    def signal(self, number: signal.Signals) -> None:
        """To it and to all that it has started."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def close(self, grace_s: float) -> None:
        """Give it ``grace_s`` to end by itself, then kill it; returns when nothing of it is left."""
        # Without `asyncio.timeout`, which before Python 3.11.3 breaks off here if this task is being cancelled.
        ended = asyncio.create_task(self._process.wait())
        await asyncio.wait((ended,), timeout=grace_s)
        self.signal(signal.SIGKILL)
        await ended
        # Those below it die with it; when they have, all that they held is closed.
        await asyncio.wait((self._log,), timeout=_REAP_S)

    async def _pass_log_on(self) -> None:
        # Read without pause: speakers log with blocking writes, and while one waits no session is kept alive.
        stream = self._process.stdout
        while stream is not None and (chunk := await stream.read(_LOG_CHUNK)):
            for line in filter(None, map(str.strip, chunk.decode("utf-8", "replace").splitlines())):
                self._last_words.append(line)
                logger.info("event=speaker-log pid=%d line=%r", self._process.pid, line)


def _becoming(account: Account, *, net_raw: bool) -> tuple[str, ...]:
    """What goes before a command line that is for ``account``; nothing for our own. It is one of util-linux."""
    if not account.is_other:
        return ()
    kept = "-all,+net_raw" if net_raw else "-all"
    who = (f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups")
    return ("setpriv", *who, f"--inh-caps={kept}", f"--ambient-caps={kept}")


def md5_keys(config: SpeakerConfig) -> dict[Address, bytes]:
    """The key of each neighbor that has one. Raises SpeakerError naming the file that can't be read."""
    keys = {}
    for index, (neighbor, session) in enumerate(zip(config.neighbors, config.sessions(), strict=True)):
        if neighbor.md5_file is not None:
            try:
                keys[session.address] = Path(neighbor.md5_file).read_bytes().rstrip(b"\r\n")
            except OSError as error:
                where = f"neighbors[{index}].md5_file: {neighbor.md5_file}"
                raise SpeakerError(
                    f"{where}: {error.strerror}; put the key there or correct the path"
                ) from None
    return keys
