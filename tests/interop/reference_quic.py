"""The caller of `reference_client` over raw QUIC, by aioquic as it comes; run as a program it talks until SIGINT.

    python -m interop.reference_quic HOST PORT NAME CA follow|stay

``stay``: it takes no notice of the preferred address, as many libraries do. It prints two lines of JSON: of the call
that stands, and of what came of it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    DatagramFrameReceived,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from interop.reference_client import (
    CLOSE,
    DATAGRAM,
    RESET,
    STOP_SENDING,
    STREAM,
    STREAM_FIN,
    Caller,
    Connection,
    Reader,
    integers,
    ledger,
    opus_packets,
)

UTTERANCE_FRAMES = 40
PAUSE_S = 0.2
PATIENCE_S = 20.0


class Protocol(QuicConnectionProtocol):
    """Keeps what happens, as messages of a WebSocket would tell it."""

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self.quic = quic
        self.messages: asyncio.Queue[bytes | None] = asyncio.Queue()

    def quic_event_received(self, event: QuicEvent) -> None:
        match event:
            case StreamDataReceived(data=data, end_stream=fin, stream_id=stream):
                self.messages.put_nowait(integers(STREAM_FIN if fin else STREAM, stream) + data)
            case StreamReset(error_code=code, stream_id=stream):
                self.messages.put_nowait(integers(RESET, stream, code))
            case StopSendingReceived(error_code=code, stream_id=stream):
                self.messages.put_nowait(integers(STOP_SENDING, stream, code))
            case DatagramFrameReceived(data=data):
                self.messages.put_nowait(integers(DATAGRAM) + data)
            case ConnectionTerminated(error_code=code, reason_phrase=reason):
                self.messages.put_nowait(integers(CLOSE, code) + reason.encode())
                self.messages.put_nowait(None)


class QuicSocket:
    """What a WebSocket would carry as messages are here streams and datagrams of QUIC, with the same numbers."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._quic = protocol.quic

    @property
    def remote(self) -> str:
        """Where it sends to now."""
        peer = self._quic.get_peer_address()
        return "" if peer is None else str(peer[0]).removeprefix("::ffff:")

    async def send(self, message: bytes) -> None:
        kind, reader = message[0], Reader(message[1:])
        if kind in (STREAM, STREAM_FIN):
            stream = reader.integers(1)[0]
            self._quic.send_stream_data(stream, reader.data, end_stream=kind == STREAM_FIN)
        elif kind == STOP_SENDING:
            stream, code = reader.integers(2)
            self._quic.stop_stream(stream, code)
        elif kind == DATAGRAM:
            self._quic.send_datagram_frame(reader.data)
        else:
            assert kind == CLOSE
            self._quic.close(error_code=reader.integers(1)[0], reason_phrase=reader.data.decode())
        self._protocol.transmit()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._protocol.messages.get()) is not None:
            yield message

    async def close(self) -> None:
        self._protocol.close()
        await self._protocol.wait_closed()


class QuicCaller(Caller):
    """Calls ``host`` by UDP, and believes who shows a certificate for ``name``."""

    socket: QuicSocket

    def __init__(self, host: str, port: int, name: str, ca: str, *, follows: bool) -> None:
        patient = {"uplink_ms": None, "downlink_ms": None}
        super().__init__(ssl.create_default_context(), {"backend": "echo", "deadline": patient})
        self._where = host, port
        self._configuration = QuicConfiguration(
            is_client=True,
            alpn_protocols=["edge-voice/1"],
            server_name=name,
            cafile=ca,
            max_datagram_frame_size=65_535,
        )
        self._follows = follows
        self._stack = AsyncExitStack()

    async def open(self, url: str) -> Connection:
        def make(quic: QuicConnection, stream_handler: Any = None) -> Protocol:
            if not self._follows:
                quic._probe_preferred_address = lambda: None  # type: ignore[method-assign]
            return Protocol(quic, stream_handler)

        opened = connect(*self._where, configuration=self._configuration, create_protocol=make)
        protocol = await self._stack.enter_async_context(opened)
        assert isinstance(protocol, Protocol)
        self.socket = socket = QuicSocket(protocol)
        return Connection(socket)  # type: ignore[arg-type]  # it has all that is used of one

    async def hang_up(self) -> None:
        await super().hang_up()
        await self._stack.aclose()


async def talk(caller: QuicCaller, hello: list[bytes], over: asyncio.Event) -> None:
    """Say something and hear it back, again and again; then compare what both ends have counted."""
    await caller.call("")
    session = await caller.event("edge.session")
    _tell({"node": session["node"]})
    turns = 0
    while not over.is_set():
        turns = await caller.speak(hello[:UTTERANCE_FRAMES])
        await caller.until(lambda: len(caller.said) in caller.items, PATIENCE_S)
        answer = caller.items[turns]
        await caller.until(lambda answer=answer: answer.over, PATIENCE_S)
        await asyncio.sleep(PAUSE_S)
    stats = await caller.edge_stats()
    heard = {number: item.frames for number, item in caller.items.items()}
    outcome = {
        "turns": turns,
        "whole": all(frames == caller.said[number] for number, frames in heard.items()),
        "agree": stats["heard"] == ledger(caller.said) and stats["said"] == ledger(heard),
        "calls": len({event["session_id"] for event in caller.events if event["type"] == "edge.session"}),
        "remote": caller.socket.remote,
    }
    _tell(outcome)
    await caller.hang_up()


def _tell(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


async def main(host: str, port: str, name: str, ca: str, how: str) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, over.set)
    hello = opus_packets(Path(__file__).parents[2] / "edge" / "client" / "speech" / "hello.opus")
    await talk(QuicCaller(host, int(port), name, ca, follows=how == "follow"), hello, over)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
