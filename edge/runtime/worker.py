"""A worker: one process, one core, one event loop; it reads the sockets it was given and serves what arrives.

Run by the supervisor as ``python -m edge.runtime.worker FD PID``: the descriptor of the socket they talk over
(see `edge.runtime.messages`) and the supervisor's process ID.

What has arrived is taken in at once, by the endpoint and by the calls. A step follows in the next turn of the
event loop: send what they want sent and arm the one timer. By then a backend that need not wait has answered,
so that a connection is asked once, and not twice, what it has to send.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

from edge.backend.base import load_backend
from edge.cid import CidConfig, CidIssuer, profile_aws, profile_edge
from edge.errors import EdgeError
from edge.overload import Gate, Verdict
from edge.quic import (
    Endpoint,
    EndpointConfig,
    Identity,
    Path,
    RequestReceived,
    RetryTokens,
)
from edge.runtime import messages
from edge.runtime.calls import ALPN, Call, CallSettings, CallTable
from edge.runtime.messages import Calls, ListCalls, Ready, Report, SetGate, Start, Stop, WorkerSettings
from edge.runtime.process import die_with_parent
from edge.runtime.sampler import LoadMeter, LoopLag, Readings, cpu_seconds
from edge.runtime.sockets import UdpSocket

log = logging.getLogger("edge.worker")

REPORT_INTERVAL_S = 0.25
BATCH = 64  # datagrams read from one socket before the others and the timers have their turn
STOP_LINGER_S = 0.1  # for the CONNECTION_CLOSE packets to leave
GOING_AWAY = 4

PROFILES: dict[str, Callable[[WorkerSettings], CidConfig]] = {
    "edge": lambda settings: profile_edge(settings.cid_rotation, settings.cid_key),
    "aws-nlb": lambda _: profile_aws(),
}

LIVEZ_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class Worker:
    """Everything of one worker but its conversation with the supervisor."""

    def __init__(self, settings: WorkerSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.gate = Gate()
        self._settings = settings
        self._loop = loop
        self._dice = random.SystemRandom()
        self._wall_offset = time.time() - loop.time()
        self._sockets = {
            address: UdpSocket(socket.socket(fileno=descriptor))
            for address, descriptor in settings.sockets.items()
        }
        self.endpoint = _endpoint(settings, self._verdict, lambda now: now + self._wall_offset)
        self.calls = CallTable(
            CallSettings(
                node=settings.node,
                worker=settings.worker,
                unicast_url=settings.unicast_url,
                lead_ms=settings.lead_ms,
                backend=load_backend(settings.backend),
                clock=loop.time,
                changed=self._spoke,
            ),
            self.endpoint,
            lambda: f"sess_{secrets.token_urlsafe(12)}",
        )
        self._awake = False
        self._timer: asyncio.TimerHandle | None = None
        self._lag = LoopLag(loop)
        self._meter = LoadMeter(self._readings(), loop.time())

    def serve(self) -> None:
        """Begin to read the sockets."""
        for udp in self._sockets.values():
            self._loop.add_reader(udp.fileno(), self._readable, udp)

    def _verdict(self, _now: float) -> Verdict:
        return self.gate.verdict(self._dice.random())

    def _readable(self, udp: UdpSocket) -> None:
        now = self._loop.time()
        for data, host, port in udp.drain(BATCH):
            self.endpoint.receive_datagram(data, Path(host, port, udp.host), now)
        self._take_in(now)
        self._wake()

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._step)

    def _spoke(self, call: Call) -> None:
        self.calls.wake(call)
        self._wake()

    def _step(self) -> None:
        self._awake = False
        now = self._loop.time()
        at = self.endpoint.get_timer()
        if at is not None and at <= now:
            self.endpoint.handle_timer(now)
        self._take_in(now)
        for data, path in self.endpoint.datagrams_to_send(now):
            self._send(self._sockets[path.local], data, path)
        if self._take_in(now):  # sending, too, may end a connection
            self._wake()
        self._arm()

    def _take_in(self, now: float) -> bool:
        """Let the calls have what the endpoint has to tell, and the endpoint what they ask of it.

        Whether it had anything to tell.
        """
        happened = False
        while (event := self.endpoint.next_event()) is not None:
            happened = True
            if isinstance(event, RequestReceived):
                self._respond(event)
            else:
                self.calls.receive(event, now)
        self.calls.turn(now)
        return happened

    def _send(self, udp: UdpSocket, data: bytes, path: Path) -> None:
        udp.send(data, path.host, path.port)
        if udp.waiting == 1:
            self._loop.add_writer(udp.fileno(), self._writable, udp)

    def _writable(self, udp: UdpSocket) -> None:
        udp.flush()
        if not udp.waiting:
            self._loop.remove_writer(udp.fileno())

    def _arm(self) -> None:
        timers = [at for at in (self.endpoint.get_timer(), self.calls.get_timer()) if at is not None]
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(min(timers), self._wake) if timers else None

    def _respond(self, request: RequestReceived) -> None:
        """The node's HTTP/3 surface: proof of life, for stock clients."""
        found = request.path == "/livez"
        status = 404 if not found else 200 if request.method in ("GET", "HEAD") else 405
        body = b'{"status":"ok","node":"%s"}\n' % self._settings.node.encode() if status == 200 else b"{}\n"
        self.endpoint.respond(
            request.connection,
            request.stream_id,
            status,
            LIVEZ_HEADERS,
            b"" if request.method == "HEAD" else body,
        )
        self._wake()

    def _readings(self) -> Readings:
        return Readings(
            cpu_s=cpu_seconds(),
            handshakes=self.endpoint.counters.initials,
            socket_drops=sum(udp.dropped() for udp in self._sockets.values()),
            loop_lag_s=self._lag.take(),
            calls=len(self.calls),
            backend_queue=0,
        )

    def report(self) -> Report:
        """What the supervisor is told several times a second."""
        readings = self._readings()
        sockets = [udp.counters for udp in self._sockets.values()]
        connections = {"migrated": 0, "on_anycast": 0, "direct": 0}
        for info in self.endpoint.connections.values():
            if info.established:
                connections[info.outcome] += 1
        return Report(
            load=self._meter.update(readings, self._loop.time()),
            counters=asdict(self.endpoint.counters)
            | self.calls.counters()
            | {
                "socket_drops": readings.socket_drops,
                "unsent_congested": sum(counters.unsent_congested for counters in sockets),
                "unsent_too_big": sum(counters.unsent_too_big for counters in sockets),
                "unsent_unreachable": sum(counters.unsent_unreachable for counters in sockets),
            },
            connections=connections,
        )

    async def stop(self, reason: str) -> None:
        """Tell every peer that this is the end, and read the sockets no more."""
        self.endpoint.close_all(GOING_AWAY, reason)
        self._step()
        await asyncio.sleep(STOP_LINGER_S)
        for udp in self._sockets.values():
            self._loop.remove_reader(udp.fileno())
            self._loop.remove_writer(udp.fileno())
            udp.close()
        self._lag.close()
        if self._timer is not None:
            self._timer.cancel()
        await self.calls.close()


def _endpoint(
    settings: WorkerSettings, verdict: Callable[[float], Verdict], unix_time: Callable[[float], float]
) -> Endpoint:
    profile = PROFILES[settings.cid_profile](settings)
    return Endpoint(
        EndpointConfig(
            identity=Identity.from_pem(settings.certificate, settings.private_key),
            alpn=(ALPN, "h3"),
            service=frozenset(settings.service),
            preferred_v4=settings.preferred_v4,
            preferred_v6=settings.preferred_v6,
            reset_key=settings.reset_key,
            idle_timeout=settings.idle_timeout_s,
            max_connections=settings.max_connections,
            max_handshakes=settings.max_handshakes,
        ),
        CidIssuer(
            profile,
            settings.server_id,
            settings.worker if profile.worker_octet else 0,
            nonce_start=settings.nonce_start,
            secret=settings.cid_secret,
        ),
        admission=verdict,
        retry=RetryTokens(settings.retry_key),
        unix_time=unix_time,
    )


async def converse(control: socket.socket) -> None:
    """Serve until the supervisor says stop, or is gone."""
    reader, writer = await asyncio.open_connection(sock=control, limit=messages.LINE_LIMIT)
    with contextlib.closing(writer):
        start = messages.decode_to_worker(await reader.readline())
        if not isinstance(start, Start):
            raise EdgeError(f"the supervisor began with {type(start).__name__}, not Start")
        worker = Worker(start.settings, asyncio.get_running_loop())
        worker.serve()
        messages.write(writer, Ready())
        reports = asyncio.create_task(_report(worker, writer))
        reason = "the node stopped"
        while line := await _next_line(reader):
            match messages.decode_to_worker(line):
                case SetGate(gate=gate):
                    worker.gate = gate
                case ListCalls(request=request):
                    messages.write(writer, Calls(request, worker.calls.records()))
                case Stop(reason=reason):
                    break
                case Start():
                    raise EdgeError("the supervisor said Start twice")
        reports.cancel()
        await worker.stop(reason)


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    """Empty when the supervisor is gone; one that died without reading all of our reports resets the socket."""
    try:
        return await reader.readline()
    except ConnectionError:
        return b""


async def _report(worker: Worker, writer: asyncio.StreamWriter) -> None:
    while True:
        messages.write(writer, worker.report())
        await asyncio.sleep(REPORT_INTERVAL_S)


def main(arguments: list[str]) -> None:
    descriptor, supervisor = map(int, arguments)
    die_with_parent(supervisor)
    # A terminal sends Ctrl-C to the whole group; it is the supervisor that decides when a worker goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"
    )
    # The engine speaks of every connection twice.
    logging.getLogger("quic").setLevel(logging.WARNING)
    try:
        asyncio.run(converse(socket.socket(fileno=descriptor)))
    except EdgeError as error:
        log.error('event=worker_failed error="%s"', error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
