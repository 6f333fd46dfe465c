"""A worker: one process, one core, one event loop; it reads the sockets it was given and serves what arrives.

Run by the supervisor as ``python -m edge.runtime.worker FD PID LEVEL``: the descriptor of the socket they talk over
(see `edge.runtime.messages`), the supervisor's process ID, and how much to log.

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
from collections.abc import Iterable
from dataclasses import asdict
from http import HTTPStatus

import msgspec

import edge
from edge.errors import EdgeError
from edge.forward import Delivery, Sending
from edge.keys import KeyRing, parse
from edge.overload import Gate, Verdict
from edge.quic import PacketMisrouted, Path, RequestReceived
from edge.runtime import messages
from edge.runtime.call import Call
from edge.runtime.call_settings import CallSettings
from edge.runtime.calls import CallTable
from edge.runtime.messages import (
    CallOff,
    Calls,
    CloseCalls,
    Failed,
    HandOver,
    Leave,
    ListCalls,
    Owners,
    Ready,
    Report,
    SetGate,
    SetKeys,
    SetOwners,
    SetSiblings,
    Start,
    Stop,
    WorkerSettings,
)
from edge.runtime.process import die_with_parent
from edge.runtime.quic_calls import QuicCalls
from edge.runtime.relay import Relay
from edge.runtime.resuming import Resuming
from edge.runtime.sampler import LoadMeter, LoopLag, Readings, cpu_seconds
from edge.runtime.session_api import Request, error
from edge.runtime.sockets import UdpSocket
from edge.runtime.worker_parts import (
    make_backends,
    make_doorkeeper,
    make_endpoint,
    make_site,
    make_webs,
)
from edge.voice import PRESETS, Code

log = logging.getLogger("edge.worker")

REPORT_INTERVAL_S = 0.25
BATCH = 64  # datagrams read from one socket before the others and the timers have their turn
RENEWED_A_REPORT = 25
"""Connections whose connection IDs are renewed at a time, after the keys have changed: 100 a second."""
STOP_LINGER_S = 0.1  # for the CONNECTION_CLOSE packets to leave


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
        self._forward_sockets = {
            address: UdpSocket(socket.socket(fileno=descriptor))
            for address, descriptor in settings.forward_sockets.items()
        }
        keys = parse(settings.keys)
        self._keys_version = keys.version
        self._peers = {bytes.fromhex(server_id) for server_id in settings.owners}
        self._siblings = set(settings.siblings)
        self.endpoint = make_endpoint(
            settings, keys, self._verdict, lambda now: now + self._wall_offset, self._peers, self._siblings
        )
        self._relay = Relay(settings, keys, self._forward_sockets, time.time_ns())
        self._observations: dict[str, list[float]] = {}
        doorkeeper = make_doorkeeper(settings)
        self.calls = CallTable(
            CallSettings(
                node=settings.node,
                worker=settings.worker,
                unicast_url=settings.unicast_url,
                unicast_url_v6=settings.unicast_url_v6,
                unicast_goaway=settings.unicast_goaway,
                is_alone=lambda: len(self._siblings) <= 1,
                lead_ms=settings.lead_ms,
                deadlines=PRESETS[settings.deadline],
                resume_s=settings.resume_s,
                backends=make_backends(settings),
                doorkeeper=doorkeeper,
                resuming=Resuming(
                    keys, server_id=settings.server_id, worker=settings.worker, unix_time=time.time
                ),
                limits=settings.limits,
                clock=loop.time,
                changed=self._spoke,
                observe=self._observe,
            ),
            lambda: f"sess_{secrets.token_urlsafe(12)}",
        )
        self._quic_calls = QuicCalls(self.endpoint, self.calls, doorkeeper.origins)
        self._site = make_site(settings, doorkeeper)
        self._webs = make_webs(settings, self._site, self.calls, admits=self._has_room, changed=self._wake)
        self._awake = False
        self._timer: asyncio.TimerHandle | None = None
        self._lag = LoopLag(loop)
        self._meter = LoadMeter(self._readings(), loop.time())

    def serve(self) -> None:
        """Begin to read the sockets."""
        for udp in self._sockets.values():
            self._loop.add_reader(udp.fileno(), self._readable, udp)
        for udp in self._forward_sockets.values():
            self._loop.add_reader(udp.fileno(), self._forward_readable, udp)
        for web in self._webs:
            web.serve()

    def set_keys(self, keys: KeyRing) -> None:
        """Use this ring; connections change their connection IDs a few at a time (`report`)."""
        self._keys_version = keys.version
        self.endpoint.set_keys(keys)
        self._relay.set_keys(keys)
        self.calls.set_keys(keys)

    def set_owners(self, owners: Owners) -> None:
        """These nodes are the fleet."""
        self._peers.clear()
        self._peers.update(map(bytes.fromhex, owners))
        self._relay.set_owners(owners)

    def hand_over(self, order: HandOver) -> None:
        """Ask the calls to go on elsewhere."""
        self.calls.hand_over(order.urls, order.reason, order.within_ms, order.leave, order.urls_v6)
        self._wake()

    def close_calls(self, reason: str) -> None:
        self.calls.close_all(reason)
        self._wake()

    def set_siblings(self, siblings: Iterable[int]) -> None:
        """These octets are this node's workers, this one's among them."""
        self._siblings.clear()
        self._siblings.update(siblings)

    def leave(self) -> None:
        """Accept no more TCP connections; newcomers over UDP are not steered here any more."""
        for web in self._webs:
            web.leave()

    def _has_room(self) -> bool:
        """For a newcomer on TCP, whose address its handshake has proved: that is what a Retry is for."""
        return self._verdict(self._loop.time()) is not Verdict.REFUSE

    def _verdict(self, _now: float) -> Verdict:
        return self.gate.verdict(self._dice.random())

    def _readable(self, udp: UdpSocket) -> None:
        now = self._loop.time()
        for data, host, port in udp.drain(BATCH):
            path = Path(host, port, udp.host)
            if self.endpoint.queue_datagram(data, path, now):
                self._relay.arrived(path)
        self._take_in(now)
        self._wake()

    def _forward_readable(self, udp: UdpSocket) -> None:
        now = self._loop.time()
        for found in self._relay.drain(udp, BATCH, now):
            match found:
                case Delivery(path, data):
                    self.endpoint.queue_datagram(data, path, now, forwarded=True)
                case Sending(path, data):
                    self._send(self._sockets[path.local], data, path)
        self._take_in(now)
        self._wake()

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._step)

    def _spoke(self, call: Call) -> None:
        self.calls.wake(call)
        self._wake()

    def _observe(self, name: str, value: float) -> None:
        self._observations.setdefault(name, []).append(value)

    def _step(self) -> None:
        self._awake = False
        now = self._loop.time()
        at = self.endpoint.get_timer()
        if at is not None and at <= now:
            self.endpoint.handle_timer(now)
        more_waits = self.endpoint.receive_waiting(now)
        self._take_in(now)
        for data, path in self.endpoint.datagrams_to_send(now):
            if (left_by := self._relay.answer(path, data)) is not None:
                self._watch(left_by)
            else:
                self._send(self._sockets[path.local], data, path)
        if self._take_in(now) or more_waits:  # sending, too, may end a connection
            self._wake()
        self._arm()

    def _take_in(self, now: float) -> bool:
        """Let the calls have what the endpoint has to tell, and the endpoint what they ask of it.

        Whether it had anything to tell.
        """
        happened = False
        while (event := self.endpoint.next_event()) is not None:
            happened = True
            match event:
                case RequestReceived():
                    self._respond(event)
                case PacketMisrouted():
                    if (left_by := self._relay.pass_on(event, now)) is not None:
                        self._watch(left_by)
                case _:
                    self._quic_calls.receive(event, now)
        self.calls.turn(now)
        return happened

    def _send(self, udp: UdpSocket, data: bytes, path: Path) -> None:
        udp.send(data, path.host, path.port)
        self._watch(udp)

    def _watch(self, udp: UdpSocket) -> None:
        """Something was sent; what the kernel would not take waits."""
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
        """The same answers over HTTP/3 as over HTTPS."""
        asked = Request(request.method, request.path.partition("?")[0], request.headers, request.body)
        try:
            answer = self._site.answer(asked)
        except Exception:
            log.exception("event=request_failed method=%r path=%r", request.method, request.path)
            answer = error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the node's log has the details")
        self.endpoint.respond(
            request.connection,
            request.stream_id,
            answer.status,
            [(name.encode(), value.encode()) for name, value in answer.headers.items()],
            b"" if request.method == "HEAD" else answer.body,
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
        self.endpoint.renew(RENEWED_A_REPORT)
        self._wake()
        readings = self._readings()
        observations, self._observations = self._observations, {}
        sockets = [udp.counters for udp in self._sockets.values()]
        connections = {"migrated": 0, "on_anycast": 0, "direct": 0}
        for info in self.endpoint.connections.values():
            if info.established:
                connections[info.outcome] += 1
        return Report(
            load=self._meter.update(readings, self._loop.time()),
            counters=asdict(self.endpoint.counters)
            | self.calls.counters()
            | {f"forward_{name}": value for name, value in asdict(self._relay.counters).items()}
            | {
                name: sum(web.counters()[name] for web in self._webs)
                for name in ("tcp_accepted", "tcp_refused", "tls_failed")
            }
            | {
                "socket_drops": readings.socket_drops,
                "unsent_congested": sum(counters.unsent_congested for counters in sockets),
                "unsent_too_big": sum(counters.unsent_too_big for counters in sockets),
                "unsent_unreachable": sum(counters.unsent_unreachable for counters in sockets),
            },
            connections=connections,
            generations=dict(self.endpoint.generations()),
            keys=self._keys_version,
            calls=self.calls.by_carrier(),
            observations=observations,
        )

    async def stop(self, reason: str) -> None:
        """Tell every peer that this is the end, and read the sockets no more."""
        self.calls.say_goodbye(reason)
        self._step()
        self.endpoint.close_all(Code.GOING_AWAY, reason)
        self._step()
        await asyncio.gather(*(web.close(Code.GOING_AWAY, reason) for web in self._webs))
        await asyncio.sleep(STOP_LINGER_S)
        for udp in (*self._sockets.values(), *self._forward_sockets.values()):
            self._loop.remove_reader(udp.fileno())
            self._loop.remove_writer(udp.fileno())
            udp.close()
        self._lag.close()
        if self._timer is not None:
            self._timer.cancel()
        await self.calls.close()


async def converse(control: socket.socket) -> None:
    """Serve until the supervisor says stop, or is gone. What keeps it from serving is told, and raised."""
    reader, writer = await asyncio.open_connection(sock=control, limit=messages.LINE_LIMIT)
    with contextlib.closing(writer):
        try:
            worker = _started(await reader.readline())
        except Exception as error:
            messages.write(writer, Failed(" ".join(str(error).split()) or type(error).__name__))
            raise
        messages.write(writer, Ready(edge.__version__))
        reports = asyncio.create_task(_report(worker, writer))
        reason = "the node stopped"
        while line := await _next_line(reader):
            match message := messages.decode_to_worker(line):
                case SetGate(gate=gate):
                    worker.gate = gate
                case ListCalls(request=request):
                    messages.write(writer, Calls(request, worker.calls.records()))
                case SetKeys(keys=keys):
                    worker.set_keys(parse(keys))
                case SetOwners(owners=owners):
                    worker.set_owners(owners)
                case HandOver():
                    worker.hand_over(message)
                case CallOff(reason=called_off):
                    worker.calls.call_off(called_off)
                case CloseCalls(reason=because):
                    worker.close_calls(because)
                case SetSiblings(siblings=siblings):
                    worker.set_siblings(siblings)
                case Leave():
                    worker.leave()
                case Stop(reason=reason):
                    break
                case Start():
                    raise EdgeError("the supervisor said Start twice")
        reports.cancel()
        await worker.stop(reason)


def _started(line: bytes) -> Worker:
    try:
        start = messages.decode_to_worker(line)
    except msgspec.DecodeError as error:
        raise EdgeError(f"what the supervisor says cannot be read by this version: {error}") from error
    if not isinstance(start, Start):
        raise EdgeError(f"the supervisor began with {type(start).__name__}, not Start")
    worker = Worker(start.settings, asyncio.get_running_loop())
    worker.serve()
    return worker


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
    descriptor, supervisor, log_level = map(int, arguments)
    die_with_parent(supervisor)
    # Whoever sends it to all means the supervisor, which decides when a worker goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=log_level, format="%(asctime)s level=%(levelname)s logger=%(name)s %(message)s")
    # The engine speaks of every connection twice.
    logging.getLogger("quic").setLevel(max(logging.WARNING, log_level))
    try:
        asyncio.run(converse(socket.socket(fileno=descriptor)))
    except EdgeError as error:
        log.error('event=worker_failed error="%s"', error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
