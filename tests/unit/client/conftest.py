"""Callers and edges on a network in memory, in virtual time: hours of calls in seconds, the same every time."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from secrets import token_hex
from typing import Any, Self, TypeVar

import pytest
from client_calls import NAME, Remembering
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from worker_rig import KEYS, call_settings, worker_settings

from edge.auth import Doorkeeper, Origins, TokenKeys
from edge.backend.base import BackendFactory
from edge.backend.echo import EchoBackend
from edge.errors import UnreachableError
from edge.keys import KeyRing
from edge.overload import Verdict
from edge.quic import Endpoint, EndpointConfig, Identity, Path, Secrets
from edge.runtime.call import Call
from edge.runtime.call_settings import BackendChoice
from edge.runtime.calls import CallTable
from edge.runtime.quic_calls import QuicCalls
from edge.runtime.resuming import Resuming
from edge.runtime.sockets import listen_tcp, open_udp
from edge.runtime.worker import Worker
from edge.voice import ALPN

ANYCAST = "198.51.100.1"
ANYCAST_6 = "2001:db8:a::1"
HOME, HOME_6 = "192.0.2.2", "2001:db8:1::2"
PORT = 443
RESOLUTION_S = 1e-6
EPOCH = 1.8e9
"""What wall clocks show when the loop's begins."""

T = TypeVar("T")


class _Instant(selectors.SelectSelector):
    """Nothing outside of the process is waited for: time jumps to the next timer instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everybody waits and nothing will ever happen")
        if not ready and timeout:
            self.loop.now += max(timeout, RESOLUTION_S)  # past the timer whatever rounding does
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose sockets are ends of a `Network` and whose clock is a number."""

    def __init__(self, network: Network) -> None:
        selector = _Instant()
        super().__init__(selector)
        selector.loop = self
        self.now = 0.0
        self.network = network
        network.loop = self

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed on
            done.set_exception(error)
        return done

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        addresses = self.network.names.get(host, [host])
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        wanted = options["family"] or None
        found = [
            (family, socket.SOCK_DGRAM, 17, "", (address, port))
            for family, address in zip(families, addresses, strict=True)
            if wanted in (None, family) and address != ""
        ]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    async def create_datagram_endpoint(self, factory: Any, **options: Any) -> Any:  # type: ignore[override]
        remote = options.get("remote_addr")
        if remote is not None:
            return Route(self.network.source_towards(remote[0])), factory()
        local = options.get("local_addr")
        if local is not None and local[0] not in self.network.sources.values():
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        protocol = factory()
        return self.network.attach(protocol), protocol


Receiver = Callable[[bytes, tuple[str, int], str], None]
"""Gets a datagram, its source, and the local address it came to."""


@dataclass
class Network:
    """``delay_s`` one way, ``loss`` as a probability. ``edges`` is the routing table; what is not in it is lost,
    what is in ``unreachable`` has no route at all.

    ``sources`` are the addresses of the callers' machine by IP version; what arrives for another one is lost.
    ``shift`` is how a NAT in front of it changes ports.
    """

    delay_s: float = 0.010
    loss: float = 0.0
    sources: dict[int, str | None] = field(default_factory=lambda: {4: HOME, 6: HOME_6})
    shift: int = 0
    names: dict[str, list[str]] = field(default_factory=lambda: {NAME: [ANYCAST], "nowhere.example": [""]})
    unreachable: set[str] = field(default_factory=set)
    edges: dict[str, Receiver] = field(default_factory=dict)
    callers: dict[int, asyncio.DatagramProtocol] = field(default_factory=dict)
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    open_sockets: int = 0
    arrives_at: float = 0.0
    loop: VirtualLoop = field(init=False)

    def attach(self, protocol: asyncio.DatagramProtocol) -> Socket:
        port = 40_000 + len(self.callers)
        self.callers[port] = protocol
        self.open_sockets += 1
        transport = Socket(self, port)
        protocol.connection_made(transport)
        return transport

    def carry(self, deliver: Callable[[], None]) -> None:
        if self.dice.random() >= self.loss:
            # An event loop does not keep the order of what is due at the same moment.
            self.arrives_at = max(self.loop.time() + self.delay_s, self.arrives_at + RESOLUTION_S)
            self.loop.call_at(self.arrives_at, deliver)

    def to_edge(self, data: bytes, source: tuple[str, int], address: str) -> None:
        receiver = self.edges.get(address)
        if receiver is not None:
            self.carry(lambda: receiver(data, source, address))

    def to_caller(self, data: bytes, source: tuple[str, int], home: tuple[str, int]) -> None:
        def arrive() -> None:
            caller = self.callers.get(home[1] - self.shift)
            if caller is not None and home[0] in self.sources.values():
                caller.datagram_received(data, source)

        self.carry(arrive)

    def source_towards(self, address: str) -> str:
        """From where the callers' machine sends there. Raises OSError if it cannot."""
        source = self.sources[6 if ":" in address else 4]
        if source is None or address in self.unreachable:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return source


class Route(asyncio.DatagramTransport):
    """A socket that is connected, which sends nothing and only knows from where it would."""

    def __init__(self, source: str) -> None:
        super().__init__({"sockname": (source, 0)})

    def close(self) -> None:
        pass


class Socket(asyncio.DatagramTransport):
    """A caller's end of the network."""

    def __init__(self, network: Network, port: int) -> None:
        super().__init__()
        self._network = network
        self._port = port
        self._open = True

    def sendto(self, data: Any, addr: Any = None) -> None:
        assert self._open
        network = self._network
        try:
            source = network.source_towards(addr[0])
        except OSError as error:
            network.callers[self._port].error_received(error)
        else:
            network.to_edge(data, (source, self._port + network.shift), addr[0])

    def is_closing(self) -> bool:
        return not self._open

    def close(self) -> None:
        self._network.open_sockets -= self._open
        self._open = False
        self._network.callers[self._port] = asyncio.DatagramProtocol()


class Edge:
    """A node without a kernel: endpoint and calls as a worker has them, attached to a network."""

    def __init__(
        self,
        network: Network,
        identity: Identity,
        name: str = "a1",
        unicast: str = "203.0.113.2",
        *,
        service: tuple[str, ...] = (ANYCAST, ANYCAST_6),
        port: int = PORT,
        backend: BackendFactory = EchoBackend,
        alpn: tuple[str, ...] = (ALPN,),
        keys: TokenKeys | None = None,
        preferred: bool = True,
        siblings: bool = False,
    ) -> None:
        """Without ``preferred``, it tells no preferred address, and asks callers to move."""
        self.name = name
        self.unicast = unicast
        self.network = network
        self.verdict = Verdict.ACCEPT
        self.dead = False
        self._service = service
        self._port = port
        self._backend = backend
        self._asks = {"unicast_goaway": not preferred, "is_alone": lambda: not siblings}
        self._doorkeeper = Doorkeeper(
            keys=keys, origins=Origins(), default="echo", backends=set(), unix_time=time.time
        )
        self._timer: asyncio.TimerHandle | None = None
        self._config = EndpointConfig(
            identity=identity,
            alpn=alpn,
            early_data_alpn=ALPN,
            service=frozenset(service),
            preferred_v4=(unicast, port) if preferred else None,
        )
        self.restart()
        network.edges[unicast] = self.receive
        self.announce()

    def announce(self) -> None:
        for address in self._service:
            self.network.edges[address] = self.receive

    def restart(self, keys: KeyRing = KEYS) -> None:
        """Forget every call, as a process that is started again does."""
        loop = self.network.loop
        secrets = Secrets(keys, server_id=self.name.encode().ljust(8), nonce_start=int(loop.time() * 1e6))
        self.endpoint = Endpoint(self._config, secrets, admission=lambda _: self.verdict, proof=True)
        settings = call_settings(
            loop.time,
            self._spoke,
            node=self.name,
            unicast_url=f"https://{self.unicast}:{self._port}",
            backends={"echo": BackendChoice(self._backend)},
            doorkeeper=self._doorkeeper,
            **self._asks,
            resuming=Resuming(
                keys, server_id=secrets.server_id, worker=0, unix_time=lambda: loop.time() + EPOCH
            ),
        )
        self.calls = CallTable(settings, lambda: f"sess_{token_hex(4)}")
        self._quic_calls = QuicCalls(self.endpoint, self.calls, self._doorkeeper.origins)

    def _spoke(self, call: Call) -> None:
        self.calls.wake(call)
        self.network.loop.call_soon(self.step)

    def receive(self, data: bytes, source: tuple[str, int], local: str) -> None:
        if not self.dead:
            self.endpoint.receive_datagram(data, Path(*source, local), self.network.loop.time())
            self.step()

    def step(self) -> None:
        loop = self.network.loop
        if self.dead:
            return
        at = self.endpoint.get_timer()
        if at is not None and at <= loop.time():
            self.endpoint.handle_timer(loop.time())
        while (event := self.endpoint.next_event()) is not None:
            self._quic_calls.receive(event, loop.time())
        self.calls.turn(loop.time())
        for data, path in self.endpoint.datagrams_to_send(loop.time()):
            self.network.to_caller(data, (path.local, self._port), (path.host, path.port))
        timers = [at for at in (self.endpoint.get_timer(), self.calls.get_timer()) if at is not None]
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(max(min(timers), loop.time() + 0.0001), self.step) if timers else None


class Loopback:
    """A real worker on real sockets of this machine, in a thread with a loop of its own: 127.0.0.1 is its service
    address, 127.0.0.2 its unicast one. Without ``udp`` its UDP sockets are black holes: nobody reads them."""

    def __init__(self, authority: Authority, *, udp: bool = True, **changes: Any) -> None:
        self._udp, self._tcp, self.port = _sockets()
        self._settings = worker_settings(
            authority.certificate,
            authority.private_key,
            node="l1",
            sockets={host: opened.dup().detach() for host, opened in self._udp.items()} if udp else {},
            service=["127.0.0.1"],
            preferred_v4=("127.0.0.2", self.port),
            unicast_url=f"https://127.0.0.2:{self.port}",
            max_connections=100,
            max_handshakes=50,
            backends={"echo": {}, "story": {}},
            listeners={host: opened.dup().detach() for host, opened in self._tcp.items()},
            **changes,
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._over.set)
        self._thread.join()
        for opened in (*self._udp.values(), *self._tcp.values()):
            opened.close()

    def do(self, action: Callable[[], object]) -> None:
        """Have it done in the worker's loop."""
        self._loop.call_soon_threadsafe(action)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self.worker = Worker(self._settings, self._loop)
        self.worker.serve()
        self._ready.set()
        await self._over.wait()
        await self.worker.stop("the test is over")


def _sockets() -> tuple[dict[str, socket.socket], dict[str, socket.socket], int]:
    """UDP and TCP on both addresses, all on one port."""
    while True:
        with contextlib.ExitStack() as undo:
            (first,) = open_udp("127.0.0.1", 0)
            undo.enter_context(first)
            port = first.getsockname()[1]
            try:
                (second,) = open_udp("127.0.0.2", port)
                undo.enter_context(second)
                tcp = {}
                for host in ("127.0.0.1", "127.0.0.2"):
                    tcp[host] = listen_tcp(host, port)
                    undo.enter_context(tcp[host])
            except UnreachableError:  # somebody has it
                continue
            undo.pop_all()
            return {"127.0.0.1": first, "127.0.0.2": second}, tcp, port


@pytest.fixture
def loopback(authority: Authority) -> Iterator[Loopback]:
    """A running edge on this machine."""
    with Loopback(authority) as running:
        yield running


@pytest.fixture
def start(authority: Authority) -> Iterator[Callable[..., Loopback]]:
    """Starts one that differs."""
    with contextlib.ExitStack() as stack:
        yield lambda **changes: stack.enter_context(Loopback(authority, **changes))


@dataclass(frozen=True)
class Authority:
    """A CA and what it says of `NAME`."""

    ca: FilePath
    certificate: bytes
    private_key: bytes
    identity: Identity


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA of our own and a certificate for `NAME`."""
    today = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])

    def certificate(name: x509.Name, public: ec.EllipticCurvePublicKey, *, is_ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - datetime.timedelta(days=1))
            .not_valid_after(today + datetime.timedelta(days=7))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        )
        return builder.sign(ca_key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    ca = tmp_path_factory.mktemp("authority") / "ca.pem"
    ca.write_bytes(certificate(ca_name, ca_key.public_key(), is_ca=True).public_bytes(pem))
    leaf = certificate(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)]), key.public_key(), is_ca=False
    )
    key_pem = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    leaf_pem = leaf.public_bytes(pem)
    return Authority(ca, leaf_pem, key_pem, Identity.from_pem(leaf_pem, key_pem))


@dataclass
class World:
    """One network with its clock, and the means to run something on it."""

    network: Network
    authority: Authority
    loops: list[VirtualLoop] = field(default_factory=list)

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``main()`` to its end in virtual time."""
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self.network)) as runner:
            return runner.run(main())

    def edge(self, *args: Any, identity: Identity | None = None, **options: Any) -> Edge:
        return Edge(self.network, identity or self.authority.identity, *args, **options)


@pytest.fixture
def world(authority: Authority) -> Iterator[World]:
    """A network without loss and 20 ms around, on which nothing stands yet."""
    world = World(Network(), authority)
    yield world
    assert world.network.open_sockets == 0, "a caller left its socket open"


@pytest.fixture(autouse=True)
def forget() -> None:
    Remembering.calls.clear()
