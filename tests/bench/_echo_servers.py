"""The servers that say back what they hear, each in a process of its own.

    python _echo_servers.py NAME CERTIFICATE KEY

Prints "PORT PID", PID being the process that serves, and ends when its stdin does.
"""

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from websockets.asyncio.server import ServerConnection, serve
from worker_rig import worker_settings

from edge.overload.limits import Limits
from edge.runtime.messages import WorkerSettings
from edge.runtime.sockets import host_port, open_udp
from edge.runtime.supervisor import Supervisor

HOST = "127.0.0.1"


@asynccontextmanager
async def edge_worker(certificate: Path, key: Path) -> AsyncIterator[tuple[int, int]]:
    """One worker of a node, under its supervisor, with the echo backend."""
    (sock,) = open_udp(HOST, 0)
    with sock:
        port = sock.getsockname()[1]
        settings = _settings(port, certificate, key, sock.fileno())
        supervisor = Supervisor(lambda _: [settings])
        await supervisor.start()
        process = supervisor.workers[0].process
        assert process is not None
        try:
            yield port, process.pid
        finally:
            await supervisor.stop("measured")


def _settings(port: int, certificate: Path, key: Path, descriptor: int) -> WorkerSettings:
    return worker_settings(
        certificate.read_bytes(),
        key.read_bytes(),
        sockets={HOST: descriptor},
        unicast_url=f"https://{host_port(HOST, port)}",
        max_handshakes=1000,
        limits=Limits(per_address=1000, per_address_per_s=1000.0),
    )


@asynccontextmanager
async def websockets_server(certificate: Path, key: Path) -> AsyncIterator[tuple[int, int]]:
    """The `websockets` package over TLS, as its documentation shows an echo, without compression."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serve(_echo, HOST, 0, ssl=context, compression=None) as server:
        (sock,) = server.sockets
        yield sock.getsockname()[1], os.getpid()


async def _echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


SERVERS: dict[str, Callable[[Path, Path], AbstractAsyncContextManager[tuple[int, int]]]] = {
    "edge": edge_worker,
    "websockets": websockets_server,
}


async def main(name: str, certificate: str, key: str) -> None:
    async with SERVERS[name](Path(certificate), Path(key)) as (port, pid):
        print(port, pid, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
