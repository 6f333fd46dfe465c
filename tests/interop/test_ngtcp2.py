"""Clients that others wrote, unchanged, against a running node: they find it, ask it, and follow it to unicast.

The clients' own logs say where their packets went; the node's status says what became of the connection, while
it is open. A client that was told not to follow is the control: the same measures tell it apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from edge.errors import EdgeError
from edge.lab.certificates import write_certificate
from edge.runtime.admin_client import admin_request

pytestmark = pytest.mark.needs("gtlsclient", "ip")

NAME = "voice.example"
SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
GOODBYE_S = 10.0
STAYS_S = 4  # how long a client keeps its connection open with nothing to say

# One IPv6 address is all that a loopback has, so that family gets a host of its own. It ends with its stdin.
IPV6_HOST = """
ip link set lo up &&
ip address add 2001:db8:a::1/128 dev lo nodad &&
ip address add 2001:db8:21::2/128 dev lo nodad &&
echo ready && exec cat
"""

NODE = """
[node]
name = "interop"
site = "here"
server_id = "00000000000000a1"
[service]
addresses = ["{service}"]
port = {port}
manage_addresses = false
[unicast]
addresses = ["{unicast}"]
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[admin]
socket = "admin.sock"
[state]
directory = "state"
"""

# aioquic's own asyncio client with its own HTTP/3. Says what it was answered and where it sends now, and stays.
AIOQUIC = """
import asyncio, sys
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

class Http(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.answer = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        for heard in self.http.handle_event(event):
            if isinstance(heard, HeadersReceived):
                self.status = dict(heard.headers)[b":status"].decode()
            elif isinstance(heard, DataReceived) and heard.stream_ended:
                self.answer.set_result(self.status)

async def main(host, port, name, ca):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=name, cafile=ca)
    async with connect(host, int(port), configuration=configuration, create_protocol=Http) as client:
        stream = client._quic.get_next_available_stream_id()
        request = {":method": "GET", ":scheme": "https", ":authority": name, ":path": "/livez"}
        client.http.send_headers(stream, [(k.encode(), v.encode()) for k, v in request.items()], end_stream=True)
        client.transmit()
        print(await client.answer, flush=True)
        while (peer := client._quic.get_peer_address()[0].removeprefix("::ffff:")) == host:
            await asyncio.sleep(0.01)
        print(peer, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass(frozen=True, slots=True)
class Host:
    """Where a node and its clients run. ``enter`` is what a command line must begin with to run there."""

    service: str
    unicast: str
    enter: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A node that serves, and its directory."""

    host: Host
    port: int
    directory: Path

    def ask(self, target: str) -> Any:
        answer = asyncio.run(admin_request(self.directory / "admin.sock", "GET", target))
        return answer.value

    def connections(self, outcome: str) -> int:
        """How many are open now; the node's own probes are over in milliseconds."""
        return int(self.ask("/status")["connections"][outcome])

    def migrations(self) -> int:
        """How many there have been."""
        return int(re.search(r"^edge_migrations_total (\d+)", self.ask("/metrics"), re.MULTILINE)[1])  # type: ignore[index]


@contextlib.contextmanager
def ipv6_host() -> Iterator[Host]:
    """A network namespace of our own with two IPv6 addresses."""
    user = () if os.geteuid() == 0 else ("--user",)
    unshare = ("unshare", *user, *(("--map-root-user",) if user else ()), "--net", "sh", "-c", IPV6_HOST)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        unshare, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={"PATH": SEARCH_PATH}
    ) as holder:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip(f"no network namespace: {holder.stderr.read().strip()}; see edgectl lab doctor")
        credentials = ("--preserve-credentials",) if user else ()
        enter = ("nsenter", "--target", str(holder.pid), *user, "--net", *credentials, "--")
        yield Host("2001:db8:a::1", "2001:db8:21::2", enter)
        holder.communicate()


def free_port(address: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module", params=["ipv4", "ipv6"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    if request.param == "ipv4":
        yield Host("127.0.0.1", "127.0.0.2")
    else:
        with ipv6_host() as host:
            yield host


@pytest.fixture
def node(host: Host, tmp_path: Path) -> Iterator[Node]:
    """Started as an operator would start it; a new one for each test, so that it has only that test's clients."""
    directory = tmp_path
    addresses = [ip_address(host.service), ip_address(host.unicast)]
    write_certificate(directory / "cert.pem", directory / "key.pem", [NAME], addresses)
    node = Node(host, 4433 if host.enter else free_port(host.service), directory)
    config = directory / "node.toml"
    config.write_text(NODE.format(service=host.service, unicast=host.unicast, port=node.port))
    command = [*host.enter, sys.executable, "-P", "-m", "edge.cli", "node", "run", "--config", str(config)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:

        def serves() -> bool:
            assert process.poll() is None, (directory / "log").read_text()
            try:
                return bool(node.ask("/status")["probe"]["passed"])
            except EdgeError:
                return False

        until(serves, "the node serves")
        yield node
    finally:
        process.terminate()
        assert process.wait(10) == 0, (directory / "log").read_text()


@contextlib.contextmanager
def ngtcp2(node: Node, *options: str) -> Iterator[Path]:
    """ngtcp2's client, asking for /livez and then silent; the path of its log."""
    log = node.directory / "client.log"
    command = ["gtlsclient", "--no-quic-dump", f"--timeout={STAYS_S}s", *options]
    target = [node.host.service, str(node.port), f"https://{NAME}:{node.port}/livez"]
    with log.open("wb") as output:
        client = subprocess.Popen([*node.host.enter, *command, *target], stdout=output, stderr=output)
    try:
        yield log
    finally:
        client.kill()
        client.wait()


def remotes(log: str, verb: str) -> list[str]:
    """Where packets were ``Sent`` to, or ``Received`` from, in order."""
    return re.findall(rf"^{verb} packet: local=\S+ remote=\[([^\]]+)\]", log, re.MULTILINE)


def validated(address: str) -> re.Pattern[str]:
    return re.compile(
        rf"^Path validation against path .*remote:\[{re.escape(address)}\].* succeeded$", re.MULTILINE
    )


@pytest.mark.parametrize(
    "options",
    [(), ("--scid=",), ("--change-local-addr=200ms", "--delay-stream=500ms")],
    ids=["plain", "with zero-length connection IDs as browsers have", "then moves to another port and asks"],
)
def test_ngtcp2_follows_to_the_unicast_address(node: Node, options: tuple[str, ...]) -> None:
    service, unicast = node.host.service, node.host.unicast
    moves = "--change-local-addr=200ms" in options
    with ngtcp2(node, *options) as log:
        until(lambda: node.connections("migrated") == 1, "a migrated connection")
        until(lambda: ":status: 200]" in log.read_text(), "an answer")
        until(lambda: len(validated(unicast).findall(log.read_text())) == 1 + moves, "validated paths")
        assert node.connections("migrated") == 1
        text = log.read_text()
    assert remotes(text, "Sent")[0] == service
    behind = text[validated(unicast).search(text).end() :]  # type: ignore[union-attr]
    assert set(remotes(behind, "Sent")) == {unicast}
    assert unicast in remotes(behind, "Received")
    until(lambda: node.migrations() == 1, "the migration counted")


def test_a_client_that_does_not_follow_is_served_where_it_came(node: Node) -> None:
    with ngtcp2(node, "--no-preferred-addr") as log:
        until(lambda: ":status: 200]" in log.read_text(), "an answer")
        until(lambda: node.connections("on_anycast") == 1, "a connection that stays")
        time.sleep(0.5)  # the others take a few milliseconds
        assert (node.connections("on_anycast"), node.connections("migrated")) == (1, 0)
        text = log.read_text()
    assert set(remotes(text, "Sent")) == set(remotes(text, "Received")) == {node.host.service}
    assert node.migrations() == 0


def test_aioquic_follows_to_the_unicast_address(node: Node) -> None:
    arguments = [node.host.service, str(node.port), NAME, str(node.directory / "cert.pem")]
    with subprocess.Popen(
        [*node.host.enter, sys.executable, "-P", "-c", AIOQUIC, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "200\n"
        assert client.stdout.readline() == f"{node.host.unicast}\n"
        until(lambda: node.connections("migrated") == 1, "a migrated connection")
        client.communicate("", timeout=10)
    assert client.returncode == 0
    until(lambda: node.migrations() == 1, "the migration counted")
    # It says goodbye; nobody waits until an idle connection is given up.
    until(lambda: node.connections("migrated") == 0, "its end", GOODBYE_S)
