"""The worker's end of recognition: PCM goes out, words come back, and no process is ever waited for."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable

import msgspec

from edge.backend.demo.wire import HEADER, Report
from edge.errors import EdgeError

PATIENCE_S = 10.0
"""From the end of a turn to its words. A turn of 30 s is understood in 5 s on an idle core."""
MAX_BEHIND_BYTES = 32_000 * 30
"""Speech that the recogniser has not taken yet."""


class RecogniserLost(EdgeError):
    """The recogniser's process has ended, or was given up. The next turn gets a new one."""


class RecogniserServer:
    """The process that has the model and forks; one for a worker, started when the first call needs it.

    That call loses nothing: the model is loaded while its caller speaks, and then runs six times as fast as speech.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def connect(self) -> socket.socket:
        """A call's socket, with a process of its own at the other end, now or soon."""
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as failed, theirs:
            failed.enter_context(ours)
            try:
                self._send(theirs)
            except OSError:  # it has died since the last call, or does not read
                self.close()
                self._send(theirs)
            ours.setblocking(False)
            failed.pop_all()
        return ours

    def _send(self, call: socket.socket) -> None:
        if self._orders is None:
            self._start()
        assert self._orders is not None
        socket.send_fds(self._orders, [b"\0"], [call.fileno()])

    def _start(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.setblocking(False)
        with theirs:
            argv = [sys.executable, "-P", "-m", "edge.backend.demo.recogniser"]
            self._process = subprocess.Popen(argv, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
        atexit.register(self.close)

    def close(self) -> None:
        """Calls that it has served keep their processes."""
        atexit.unregister(self.close)
        if self._orders is not None:
            self._orders.close()
            self._orders = None
        if self._process is not None:
            # It may be loading its model, and hold nothing that is worth waiting for.
            self._process.kill()
            self._process.wait()
            self._process = None


SERVER = RecogniserServer()


class Listener:
    """One call's recogniser. ``partial`` is called with the words of the turn in hand, which may still change."""

    def __init__(self, partial: Callable[[str], None], server: RecogniserServer = SERVER) -> None:
        self._partial = partial
        self._server = server
        self._process: _Process | None = None
        self._in_turn = False

    @property
    def pid(self) -> int | None:
        """Of the process that listens now, or did last, once it has said so."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Have a process, if there is none, before there is something to hear."""
        if self._process is not None and self._process.lost and self._process.pid is None:
            self._server.close()  # it did not fork, so it hangs
        if self._process is None or self._process.lost:
            self._process = _Process(self._server.connect(), self._partial)

    def hear(self, pcm: bytes) -> None:
        """More of the turn in hand. A turn whose process is lost gets no other: half of it would be misunderstood."""
        if not self._in_turn:
            self._in_turn = True
            self.start()
        if self._process is not None:
            self._process.send(HEADER.pack(len(pcm)) + pcm)

    def finish(self) -> asyncio.Future[str]:
        """The turn in hand, of which something was heard, is over: all its words, in lower case, or `RecogniserLost`."""
        assert self._process is not None
        self._in_turn = False
        return self._process.finish()

    def close(self) -> None:
        """Let the process go; turns that are not understood yet are lost."""
        if self._process is not None:
            self._process.close()


class _Process(asyncio.Protocol):
    """The socket of one of the recogniser's processes, until either end closes it."""

    def __init__(self, call: socket.socket, partial: Callable[[str], None]) -> None:
        self.pid: int | None = None
        self.lost = False
        self._partial = partial
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._received = b""
        self._finals: deque[asyncio.Future[str]] = deque()
        self._decode = msgspec.json.Decoder(Report).decode
        self._connecting = asyncio.create_task(self._connect(call))

    async def _connect(self, call: socket.socket) -> None:
        with contextlib.ExitStack() as opened:
            opened.enter_context(call)
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=call)
            opened.pop_all()

    def send(self, record: bytes) -> None:
        if self.lost:
            return
        if self._transport is None:
            self._unsent.append(record)
            return
        self._transport.write(record)
        if self._transport.get_write_buffer_size() > MAX_BEHIND_BYTES:
            self.close()

    def finish(self) -> asyncio.Future[str]:
        loop = asyncio.get_running_loop()
        final: asyncio.Future[str] = loop.create_future()
        self._finals.append(final)
        if self.lost:
            self.connection_lost(None)
            return final
        self.send(HEADER.pack(0))
        patience = loop.call_later(PATIENCE_S, self.close)
        final.add_done_callback(lambda _: patience.cancel())
        return final

    def close(self) -> None:
        self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.writelines(self._unsent)
        self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        *lines, self._received = (self._received + data).split(b"\n")
        for report in map(self._decode, lines):
            if report.pid:
                self.pid = report.pid
            elif report.final and self._finals:
                final = self._finals.popleft()
                if not final.done():
                    final.set_result(report.words)
            elif not self._finals:
                self._partial(report.words)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._unsent.clear()
        while self._finals:
            final = self._finals.popleft()
            if not final.done():
                final.set_exception(RecogniserLost("the recogniser has ended, or does not keep up"))
