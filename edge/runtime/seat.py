"""The backend's place at a call: what it is told, what is pulled from it, and what happens when it fails.

A backend is somebody else's code behind a network. Whatever it does, the call goes on: the turn ends with an `error`
that says why, and the next thing the caller says or asks finds a new adapter in the seat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import assert_never

from edge.backend.base import (
    Backend,
    BackendContext,
    BackendFactory,
    BackendInput,
    BackendReply,
    Cancelled,
    Cleared,
    ClientEvent,
    Committed,
    Control,
    Failed,
    Interrupted,
    ItemBegun,
    ItemEnded,
    ItemFrames,
    Portable,
    ResponseRequested,
    Signal,
    SpeechStarted,
    SpeechStopped,
    Truncated,
)
from edge.runtime.resume_token import MAX_HANDLE
from edge.voice import EdgeSession, FrameLedger
from edge.voice import events as voice

log = logging.getLogger("edge.calls")

REVIVAL_S = 1.0
"""From a failure to the next adapter: one that fails at every frame must not be made fifty times a second."""
CLOSE_S = 5.0
"""For an adapter to close: it has a network to say goodbye to, and nobody waits for it longer."""


class Seat:
    """One call's backend, from its admission to its end.

    ``changed`` is called when the backend has spoken, outside of the caller's turn. Raises what ``make`` raises.
    """

    def __init__(
        self,
        make: BackendFactory,
        context: BackendContext,
        session: EdgeSession,
        *,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._make = make
        self._context = context
        self._session = session
        self._clock = clock
        self._changed = changed
        self._item: int | None = None  # the one that the backend has begun and not ended
        self._items = context.first_item - 1  # the latest begun
        self._room = asyncio.Event()
        self._lost_at = 0.0
        self._sitting = 0  # changes whenever somebody sits down or leaves
        self._closings: set[asyncio.Task[None]] = set()
        self._backend: Backend | None = None  # None after a failure, until there is need of another
        self._replies: asyncio.Task[None] | None = None
        first = self._sit_down()
        self.heard: FrameLedger = first.heard
        self.said: FrameLedger = first.said
        if context.open_item is not None:
            if (portable := _portable(first)) is not None and portable.continues:
                self._item = context.open_item
            else:
                session.cut_item(context.open_item, clock())

    def tell(self, event: voice.EdgeEvent) -> None:
        """What the session tells and a backend has a use for."""
        if isinstance(event, voice.FramesHeard):
            frames = event.frames
            self._ask(lambda backend: backend.hear(frames))
        elif (said := _in_its_words(event)) is not None:
            self._ask(lambda backend: backend.notify(said))

    @property
    def items(self) -> int:
        """The latest item that the backend has begun."""
        return self._items

    def handle(self) -> bytes:
        """What a backend on another node needs to go on in place of this one; empty if it can give nothing."""
        portable = _portable(self._backend)
        if portable is None:
            return b""
        try:
            handle = portable.handle()
        except Exception:
            log.exception("event=no_handle call=%s", self._context.call_id)
            return b""
        if len(handle) > MAX_HANDLE:
            log.warning("event=handle_too_large call=%s bytes=%d", self._context.call_id, len(handle))
            return b""
        return handle

    @property
    def speaks(self) -> bool:
        """Whether the backend has begun an item and not ended it."""
        return self._item is not None

    def make_room(self, room: bool) -> None:
        """Whether more speech may be pulled."""
        if room:
            self._room.set()
        else:
            self._room.clear()

    async def close(self) -> None:
        self._leave()
        await asyncio.gather(*self._closings)

    def _sit_down(self) -> Backend:
        self._sitting += 1
        signal = partial(self._signalled, self._sitting)
        context = replace(self._context, first_item=self._items + 1, signal=signal)
        self._backend = backend = self._make(context)
        self._context = replace(self._context, handle=b"", open_item=None)  # these were for the first
        self._replies = asyncio.create_task(self._pull(backend))
        return backend

    def _leave(self) -> None:
        backend, self._backend = self._backend, None
        replies, self._replies = self._replies, None
        if backend is not None and replies is not None:
            self._sitting += 1
            # Now, for it may be about to give a reply, and nobody would be there to end what that begins.
            replies.cancel()
            closing = asyncio.create_task(self._close(backend, replies))
            self._closings.add(closing)
            closing.add_done_callback(self._closings.discard)

    async def _close(self, backend: Backend, replies: asyncio.Task[None]) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await backend.close()
        except Exception:
            log.exception("event=backend_not_closed call=%s", self._context.call_id)
        await asyncio.gather(replies, return_exceptions=True)

    async def _pull(self, backend: Backend) -> None:
        """Let the backend answer for as long as it sits here."""
        try:
            async for reply in backend.replies():
                self._take(reply)
                # Until its turn has come nobody knows whether there is room for more.
                self._room.clear()
                self._changed()
                await self._room.wait()
        except Exception as error:  # noqa: BLE001 - logged where it is dealt with
            self._fail(error)
            self._changed()

    def _signalled(self, sitting: int, signal: Signal) -> None:
        """From the adapter that sits here; what one says that has failed and is on its way out does not count."""
        if sitting != self._sitting:
            return
        try:
            self._take(signal)
        except Exception as error:  # noqa: BLE001 - logged where it is dealt with
            self._fail(error)
        self._changed()

    def _take(self, reply: BackendReply) -> None:
        now = self._clock()
        session = self._session
        match reply:
            case ItemBegun(item=item):
                self._begin(item)
            case ItemFrames(item=item, frames=frames):
                self._expect(item)
                session.speak(item, frames, now)
            case ItemEnded(item=item):
                self._expect(item)
                session.end_item(item, now)
                self._item = None
            case Control(event=event):
                session.send_control(event)
            case SpeechStarted(at_ms=at_ms):
                session.speech_started(at_ms, now)
            case SpeechStopped(at_ms=at_ms):
                session.speech_stopped(at_ms, now)
            case Interrupted():
                session.interrupt(now)
            case Failed(code=code, message=message):
                log.warning(
                    'event=turn_failed call=%s code=%s reason="%s"', self._context.call_id, code, message
                )
                self._end_turn(code, message)
            case _:
                assert_never(reply)

    def _begin(self, item: int) -> None:
        if self._item is not None:
            self._session.end_item(self._item, self._clock())
        self._items = self._item = self._session.begin_item()
        self._expect(item)

    def _expect(self, item: int) -> None:
        if item > self._items:
            raise ValueError(f"it speaks in item {item}, the latest is {self._items}")

    def _ask(self, verb: Callable[[Backend], None]) -> None:
        try:
            if self._backend is None:
                if self._clock() < self._lost_at + REVIVAL_S:
                    return
                backend = self._sit_down()
                backend.heard, backend.said = self.heard, self.said
            if self._backend is not None:
                verb(self._backend)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        log.error("event=backend_failed call=%s", self._context.call_id, exc_info=error)
        self._lost_at = self._clock()
        self._leave()
        self._end_turn("backend_failed", f"the backend failed: {type(error).__name__}")

    def _end_turn(self, code: str, message: str) -> None:
        self._session.error(code, message)
        if self._item is not None:
            self._session.end_item(self._item, self._clock())
            self._item = None


def _portable(backend: object) -> Portable | None:
    return backend if isinstance(backend, Portable) else None


def _in_its_words(event: voice.EdgeEvent) -> BackendInput | None:
    """An event of the session as a backend knows it; None for what is not its business."""
    match event:
        case voice.UtteranceCommitted(utterance=utterance):
            return Committed(utterance)
        case voice.UtteranceCleared(utterance=utterance):
            return Cleared(utterance)
        case voice.ResponseRequested(fields=fields):
            return ResponseRequested(fields)
        case voice.ResponseCancelled(item=item, played_ms=played_ms):
            return Cancelled(item, played_ms)
        case voice.Truncated(item=item, audio_end_ms=audio_end_ms):
            return Truncated(item, audio_end_ms)
        case voice.ClientEvent(fields=fields):
            return ClientEvent(fields)
        case voice.SessionUpdated(fields=fields) if fields:
            return ClientEvent({"type": "session.update", "session": fields})
        case _:
            return None
