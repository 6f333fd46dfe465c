"""Programs that are run to reach a node, and are gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Sequence

from edge.fleet.transport import Completed


async def completed(argv: Sequence[str], stdin: bytes) -> Completed:
    """Run ``argv`` to its end. Who cancels this also ends the program, and what it has started.

    It has a session of its own: Ctrl-C is for us alone, and nothing can ask at the terminal. What it reads and writes are
    files and no pipes, for an ssh hands those on to its master, which then keeps them open. Raises OSError if it cannot be
    started.
    """
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as told,
    ):
        given.write(stdin)
        given.seek(0)
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=given, stdout=said, stderr=told, start_new_session=True
        )
        try:
            exit_code = await process.wait()
        except asyncio.CancelledError:
            await end(process, patience_s=0)
            raise
        said.seek(0)
        told.seek(0)
        return Completed(exit_code, said.read(), told.read())


async def end(process: asyncio.subprocess.Process, *, patience_s: float) -> None:
    """Wait so long for ``process`` to end by itself, then end its whole session."""
    if process.returncode is None and patience_s:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
