"""One worker on a real socket, in this process: what callers, its supervisor and stock clients get from it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent
from waiting import eventually

from edge.errors import EdgeError
from edge.overload import Gate
from edge.quic import ConnectionClosed
from edge.runtime import messages
from edge.runtime.dialer import ServerBusy, Target, dial
from edge.runtime.messages import Calls, ListCalls, Ready, Report, SetGate, Start, Stop
from edge.runtime.metric_table import OUTCOMES, WORKER_COUNTERS
from edge.runtime.sockets import open_udp
from edge.runtime.worker import converse
from edge.voice import Code


@contextlib.asynccontextmanager
async def calling(port: int) -> AsyncIterator[asyncio.Future[ConnectionClosed]]:
    """A connection that a call could be on, and how it will be closed."""
    closed: asyncio.Future[ConnectionClosed] = asyncio.get_running_loop().create_future()

    def hear(event: object) -> None:
        if isinstance(event, ConnectionClosed):
            closed.set_result(event)

    target = Target(host="127.0.0.1", port=port, insecure=True)
    dialed = await dial(target, stack=lambda connection: connection, on_event=hear)
    try:
        yield closed
    finally:
        dialed.driver.leave()


def test_every_counter_of_a_report_is_a_metric(serving: Any) -> None:
    """One that the metrics do not know would end the node's control loop."""

    async def main() -> Report:
        async with serving() as edge:
            report: Report = edge.worker.report()
            return report

    report = asyncio.run(main())
    assert set(report.counters) == set(WORKER_COUNTERS)
    assert set(report.connections) == set(OUTCOMES)


def test_a_call_is_counted_while_it_is_up_and_told_when_the_worker_leaves(serving: Any) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as caller:
            async with serving() as edge:
                closed = await caller.enter_async_context(calling(edge.port))
                await eventually(lambda: len(edge.worker.calls) == 1)
                report = edge.worker.report()
                assert report.load.calls == 1
                assert report.connections["on_anycast"] == 1
            told = await asyncio.wait_for(closed, 5)
            assert (told.code, told.reason, told.by_peer) == (Code.GOING_AWAY, "the test is over", True)
            (record,) = edge.worker.calls.records()
            assert record.ended

    asyncio.run(main())


def test_a_closed_gate_refuses_newcomers_and_keeps_who_is_in(serving: Any) -> None:
    async def main() -> None:
        async with serving() as edge, calling(edge.port) as closed:
            edge.worker.gate = Gate(refuse_probability=1.0)
            with pytest.raises(ServerBusy):
                await calling(edge.port).__aenter__()
            assert edge.worker.report().counters["refused"] == 1
            edge.worker.gate = Gate(retry=True)
            async with calling(edge.port):
                assert edge.worker.report().counters["retried"] == 1
                await eventually(lambda: len(edge.worker.calls) == 2)
            assert not closed.done()

    asyncio.run(main())


# --- the conversation with the supervisor ------------------------------------------------------------------


@contextlib.asynccontextmanager
async def supervised(settings: Any) -> AsyncIterator[Any]:
    """A worker in conversation: our ends of it, the task, and the port it serves."""
    ours, theirs = socket.socketpair()
    (sock,) = open_udp("127.0.0.1", 0)
    with sock:
        task = asyncio.create_task(converse(theirs))
        reader, writer = await asyncio.open_connection(sock=ours)
        own = msgspec.structs.replace(settings, sockets={"127.0.0.1": sock.dup().detach()})
        messages.write(writer, Start(own))
        assert isinstance(messages.decode_to_supervisor(await reader.readline()), Ready)
        try:
            yield reader, writer, task, sock.getsockname()[1]
        finally:
            writer.close()
            await asyncio.wait_for(task, 5)


def test_it_reports_by_itself_obeys_and_answers(settings: Any) -> None:
    async def main() -> None:
        async with supervised(settings) as (reader, writer, task, port), calling(port) as closed:
            assert isinstance(messages.decode_to_supervisor(await reader.readline()), Report)
            messages.write(writer, SetGate(Gate(refuse_probability=1.0)))
            heard: Ready | Report | Calls = Ready()
            while not (isinstance(heard, Calls) and heard.calls):
                messages.write(writer, ListCalls(7))
                heard = messages.decode_to_supervisor(await reader.readline())
            assert heard.request == 7
            assert [record.ended for record in heard.calls] == [False]
            with pytest.raises(ServerBusy):
                await calling(port).__aenter__()
            messages.write(writer, Stop("enough"))
            assert (await asyncio.wait_for(closed, 5)).reason == "enough"
            await asyncio.wait_for(task, 5)

    asyncio.run(main())


def test_it_leaves_when_its_supervisor_is_gone(settings: Any) -> None:
    async def main() -> None:
        async with supervised(settings) as (_, writer, task, port), calling(port) as closed:
            writer.close()
            assert (await asyncio.wait_for(closed, 5)).code == Code.GOING_AWAY
            await asyncio.wait_for(task, 5)

    asyncio.run(main())


def test_a_supervisor_that_begins_with_something_else_is_not_obeyed() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        with ours:
            ours.send(messages.encode(Stop("?")) + b"\n")
            with pytest.raises(EdgeError, match="began with Stop, not Start"):
                await converse(theirs)

    asyncio.run(main())


# --- HTTP/3 for stock clients ------------------------------------------------------------------------------


class Http(QuicConnectionProtocol):
    """aioquic's own client, one request at a time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._http = H3Connection(self._quic)
        self._body = b""

    async def ask(self, method: str, path: str) -> tuple[bytes, bytes]:
        """The status and the body of the answer."""
        self._answer: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()
        fields = {":method": method, ":scheme": "https", ":authority": "voice.example", ":path": path}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        self._http.send_headers(self._quic.get_next_available_stream_id(), headers, end_stream=True)
        self.transmit()
        return await asyncio.wait_for(self._answer, 5)

    def quic_event_received(self, event: QuicEvent) -> None:
        for heard in self._http.handle_event(event):
            if isinstance(heard, HeadersReceived):
                self._status, self._body = dict(heard.headers)[b":status"], b""
            if isinstance(heard, DataReceived):
                self._body += heard.data
            if isinstance(heard, HeadersReceived | DataReceived) and heard.stream_ended:
                self._answer.set_result((self._status, self._body))


def test_proof_of_life_over_http3(serving: Any, settings: Any) -> None:
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=["h3"], server_name="voice.example", cadata=settings.certificate
    )

    async def main() -> None:
        async with (
            serving() as edge,
            connect(edge.host, edge.port, configuration=configuration, create_protocol=Http) as client,
        ):
            assert isinstance(client, Http)
            assert await client.ask("GET", "/livez") == (b"200", b'{"status":"ok","node":"unit"}\n')
            assert await client.ask("HEAD", "/livez") == (b"200", b"")
            assert (await client.ask("POST", "/livez"))[0] == b"405"
            assert (await client.ask("GET", "/"))[0] == b"404"
            assert len(edge.worker.calls) == 0  # a request is no call

    asyncio.run(main())
