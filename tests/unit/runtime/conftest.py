"""A worker as its supervisor would set it up, on a real socket of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from edge.lab.certificates import write_certificate
from edge.overload.limits import Limits
from edge.runtime.messages import AuthSettings, WorkerSettings
from edge.runtime.sockets import open_udp
from edge.runtime.worker import Worker

sys.path.insert(0, str(Path(__file__).parents[2]))

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
    return WorkerSettings(
        node="unit",
        worker=0,
        sockets={},
        service=[HOST],
        preferred_v4=None,
        preferred_v6=None,
        unicast_url=f"https://{NAME}",
        certificate=certificate.read_bytes(),
        private_key=key.read_bytes(),
        server_id=bytes(7) + b"\x01",
        cid_profile="edge",
        cid_rotation=0,
        cid_key=bytes(range(16)),
        cid_secret=None,
        nonce_start=0,
        reset_key=bytes(range(32)),
        retry_key=bytes(range(16)),
        idle_timeout_s=30.0,
        max_connections=100,
        max_handshakes=50,
        backend="echo",
        backends={"echo": {}},
        lead_ms=1000,
        deadline="chat",
        resume_s=30.0,
        listeners={},
        plain_listener="",
        page=False,
        auth=AuthSettings("", None, ()),
        limits=Limits(),
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
