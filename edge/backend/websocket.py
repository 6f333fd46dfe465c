"""A backend behind a WebSocket: dialled when it is needed, and again after it was lost.

    idle --- the call begins, or something waits to be sent ---> dialling
    dialling --- it answers ---> talking
    dialling, talking --- it fails in whatever way: `Failed` ---> idle

What the backend says is read only as fast as it is pulled, but for what a `ReplyQueue` holds: not reading is the
backpressure. What the caller says waits for a backend that is slow, up to `MAX_UNSENT`; then the turn has failed.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import aiohttp

from edge.backend.base import (
    BackendContext,
    BackendInput,
    BackendReply,
    Cancelled,
    Cleared,
    Committed,
    Control,
    Failed,
    Interrupted,
    ItemFrames,
    Signal,
    SpeechStarted,
    SpeechStopped,
)
from edge.backend.dialect import Dialect, Fault, error
from edge.backend.line import Address, Line
from edge.backend.replyqueue import ReplyQueue
from edge.voice.frame import Frame
from edge.voice.ledger import FrameLedger

MAX_UNSENT: Final = 2 * 1024 * 1024
"""Bytes that wait for the backend to take them: half a minute of speech, as base64."""
REDIAL_S: Final = 1.0
"""From one attempt to the next: a caller's turns may be short, and a backend down for long."""
DEAF_S: Final = 5.0
"""For so long the rest of an utterance is not worth another attempt. One that goes on after that has no turns."""


class WebSocketBackend:
    """An `edge.backend.base.Backend` that speaks ``dialect`` with whoever is at ``address``."""

    continues = False  # whoever says an item is gone with the connection

    def __init__(self, context: BackendContext, dialect: Dialect, address: Address) -> None:
        self.heard = FrameLedger()
        self.said = FrameLedger()
        self._signal = context.signal
        self._dialect = dialect
        self._address = address
        self._queue = ReplyQueue()
        self._line: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._wake.set()  # the call begins: dial before the first word
        self._patience: asyncio.Timeout | None = None  # while the backend is listened to
        self._utterance = 0  # the latest heard
        self._deaf_to = 0  # an utterance whose turn has failed, for a while
        self._deaf_until = 0.0

    # --- the host's side -------------------------------------------------------------------------------

    def hear(self, frames: Sequence[Frame]) -> None:
        self.heard.record(frames)
        if not frames or self._is_deaf_to(frames[0].utterance):
            return
        self._utterance = frames[-1].utterance
        if self._dialect.outgoing.size < MAX_UNSENT:  # beyond it the line is given up, by whoever sends
            self._dialect.hear(frames)
        self._look_again()

    def notify(self, event: BackendInput) -> None:
        match event:
            case Committed(utterance=utterance) | Cleared(utterance=utterance) if self._is_deaf_to(utterance):
                return  # its turn has failed already
            case Cancelled(item=item):
                self._queue.drop(item)
            case _:
                pass
        try:
            for signal in self._dialect.notify(event):
                self._signal(signal)
        except RecursionError:  # the caller's JSON was only just not too deep where it was read
            self._signal(error("event_too_deep", "no backend is sent that", kind="invalid_request_error"))
        self._look_again()

    async def replies(self) -> AsyncIterator[BackendReply]:
        """What the backend says, until `close`. The first pull makes the connection."""
        self._line = line = asyncio.create_task(self._keep_line())
        line.add_done_callback(lambda _: self._queue.close())
        while (reply := await self._queue.take()) is not None:
            if isinstance(reply, ItemFrames):
                self.said.record(reply.frames)
            yield reply
        if line.done() and not line.cancelled():
            line.result()  # a `Fault` ends no line; what does is a bug, and the host has to know

    async def close(self) -> None:
        self._queue.close()
        if self._line is not None:
            self._line.cancel()
            await asyncio.gather(self._line, return_exceptions=True)

    def handle(self) -> bytes:
        return self._dialect.handle()

    # --- the line --------------------------------------------------------------------------------------

    async def _keep_line(self) -> None:
        clock = asyncio.get_running_loop().time
        async with aiohttp.ClientSession() as client:
            while True:
                await self._wake.wait()
                dialled_at = clock()
                try:
                    await self._talk(await Line.dial(client, self._address))
                except Fault as fault:
                    self._fail(fault)
                await asyncio.sleep(dialled_at + REDIAL_S - clock())

    async def _talk(self, line: Line) -> None:
        """Over one connection, until a `Fault` ends it."""
        self._dialect.opened()
        self._wake.set()
        tasks = [asyncio.create_task(self._listen(line)), asyncio.create_task(self._send(line))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await line.hang_up()

    async def _listen(self, line: Line) -> None:
        while True:
            await self._queue.room()
            try:
                async with asyncio.timeout(self._dialect.patience_s) as self._patience:
                    message = await line.receive()
            except TimeoutError:
                replies, size = self._dialect.handle_silence(), 0
            else:
                replies, size = self._dialect.receive(message), len(message)
            finally:
                self._patience = None
            for reply in replies:
                await self._say(reply, size)
            self._look_again()

    async def _say(self, reply: BackendReply, size: int) -> None:
        """Let the host have it. ``size`` is that of the backend's message."""
        match reply:
            case SpeechStarted() | SpeechStopped() | Interrupted():
                self._interject(reply)
            case _:
                self._queue.put(reply, size if isinstance(reply, Control) else 0)
                # The next may take time to make: let others have a turn, and wait until it is wanted.
                await asyncio.sleep(0)
                await self._queue.room()

    def _interject(self, signal: Signal) -> None:
        """Tell the host at once, not behind speech that nobody wants any more."""
        if isinstance(signal, Interrupted):
            for item in self._queue.silence():
                self._dialect.notify(Cancelled(item, 0))  # the host, which knows nothing of it, cannot
        self._signal(signal)

    async def _send(self, line: Line) -> None:
        outgoing = self._dialect.outgoing
        while True:
            await self._wake.wait()
            self._wake.clear()
            while outgoing:
                if outgoing.size >= MAX_UNSENT:
                    raise Fault("backend_timeout", "the backend is slower than the caller speaks")
                if not await line.send(outgoing.take()):
                    return  # `_listen` reads what it still had to say, and why it went

    # --- common ----------------------------------------------------------------------------------------

    def _look_again(self) -> None:
        """The dialect has had its say: there may be something to send now, or to wait for."""
        if self._dialect.outgoing:
            self._wake.set()
        patience, patience_s = self._patience, self._dialect.patience_s
        if patience is None or patience.expired():
            return
        if patience_s is None:
            patience.reschedule(None)
        elif patience.when() is None:
            patience.reschedule(asyncio.get_running_loop().time() + patience_s)

    def _fail(self, fault: Fault) -> None:
        for reply in self._dialect.closed():
            self._queue.put(reply)
        self._queue.put(Failed(fault.code, str(fault)))
        self._wake.clear()
        self._deaf_to = self._utterance
        self._deaf_until = asyncio.get_running_loop().time() + DEAF_S

    def _is_deaf_to(self, utterance: int) -> bool:
        return utterance == self._deaf_to and asyncio.get_running_loop().time() < self._deaf_until
