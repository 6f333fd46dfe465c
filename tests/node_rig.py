"""A whole node on this machine's loopback, in the process of the test: its file, and its life."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

from edge.config import NodeConfig, parse_config
from edge.lab.certificates import write_certificate
from edge.node import Node

CONFIG = """
[node]
name = "unit"
site = "here"
server_id = "00000000000000a1"
[service]
addresses = ["127.0.0.1"]
port = PORT
manage_addresses = false
[unicast]
addresses = ["127.0.0.2"]
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[admin]
socket = "admin.sock"
[state]
directory = "state"
"""


def configured(directory: Path, more: str, *, admin: str = "") -> NodeConfig:
    """With a certificate and everything else in ``directory``, at a port that is free; ``more``: further tables.

    ``admin``: further keys of that table.
    """
    certify(directory)
    text = CONFIG.replace("PORT", str(free_port())).replace("[state]", f"{admin}\n[state]")
    return parse_config(text + more, directory)


@contextlib.asynccontextmanager
async def running(config: NodeConfig) -> AsyncIterator[Node]:
    """From its start to its end, and not announced yet."""
    node = Node(config)
    async with contextlib.AsyncExitStack() as stack:
        await node.start(stack)
        yield node
        await node.stop()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def certify(directory: Path) -> None:
    """Another certificate each time."""
    addresses = [ip_address("127.0.0.1"), ip_address("127.0.0.2")]
    write_certificate(directory / "cert.pem", directory / "key.pem", ["voice.example"], addresses)
