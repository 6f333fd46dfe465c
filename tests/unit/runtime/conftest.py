"""A worker as its supervisor would set it up, on a real socket of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from typing import NamedTuple

import msgspec
import pytest
from worker_rig import worker_settings

from edge.lab.certificates import write_certificate
from edge.runtime.messages import WorkerSettings
from edge.runtime.sockets import open_udp
from edge.runtime.worker import Worker

HOST = "127.0.0.1"
NAME = "voice.example"


class Serving(NamedTuple):
    """A worker that reads the service address ``host``."""

    worker: Worker
    host: str
    port: int
    socket: socket.socket  # the supervisor's copy


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> WorkerSettings:
    """For one worker; sockets are for the test to add."""
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    write_certificate(certificate, key, [NAME], [ip_address(HOST)])
    return worker_settings(
        certificate.read_bytes(), key.read_bytes(), service=[HOST], max_connections=100, max_handshakes=50
    )


@pytest.fixture
def serving(settings: WorkerSettings) -> Callable[[], AbstractAsyncContextManager[Serving]]:
    """A worker in this process, while the block lasts."""

    @contextlib.asynccontextmanager
    async def serve() -> AsyncIterator[Serving]:
        (sock,) = open_udp(HOST, 0)
        with sock:
            own = msgspec.structs.replace(settings, sockets={HOST: sock.dup().detach()})
            worker = Worker(own, asyncio.get_running_loop())
            worker.serve()
            try:
                yield Serving(worker, HOST, sock.getsockname()[1], sock)
            finally:
                await worker.stop("the test is over")

    return serve
