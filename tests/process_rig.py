"""A supervisor with real worker processes, on a port of this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from edge.cid.steering import Slots, steer_callers, steer_forwarded
from edge.quic import CID_LENGTHS
from edge.runtime.messages import WorkerSettings
from edge.runtime.sockets import open_udp, steer
from edge.runtime.supervisor import Supervisor
from edge.runtime.worker_process import Worker

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def workers(
    settings: WorkerSettings, count: int = 1, *, steered: bool = True
) -> AsyncIterator[tuple[Supervisor, int]]:
    """Workers that serve one port together; none is left at the end of the block, however it ends.

    Not ``steered``, they get packets by address and port, and pass on to each other what is another's.
    """
    slots_open = 2 * count if steered else count  # nobody reads those of a second generation
    sockets, between = (open_udp(HOST, 0, count=slots_open) for _ in range(2))
    port = sockets[0].getsockname()[1]
    with contextlib.ExitStack() as stack:
        for sock in (*sockets, *between):
            stack.enter_context(sock)

        def steer_all(slots: Slots) -> None:
            if slots_open > 1:
                steer(between[0], steer_forwarded(slots))
            if steered:
                steer(sockets[0], steer_callers(slots, CID_LENGTHS["edge"]))

        supervisor = Supervisor(
            lambda slots: [
                msgspec.structs.replace(
                    settings,
                    worker=slot,
                    sockets={HOST: sockets[slot].fileno()},
                    forward_sockets={HOST: between[slot].fileno()},
                    owners={settings.server_id.hex(): [(HOST, between[0].getsockname()[1])]},
                    unicast_url=f"https://{HOST}:{port}",  # where who has lost his connection calls again
                )
                for slot in slots
            ],
            count,
            steer=steer_all,
        )
        try:
            await supervisor.start()
            yield supervisor, port
        finally:
            await supervisor.stop("the test is over")
            assert children() == []


def children() -> list[int]:
    me = os.getpid()
    return [int(child) for child in Path(f"/proc/{me}/task/{me}/children").read_text().split()]


def pid(worker: Worker) -> int:
    return 0 if worker.process is None else worker.process.pid
