"""The calls of one worker: each joins a connection, a voice session and a backend.

A connection's events go to its session, what the session asks goes back to the connection, and a task for
each call pulls what the backend has to say for as long as the session has room for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from edge.backend.base import (
    Backend,
    BackendContext,
    BackendReply,
    Cancelled,
    Committed,
    Control,
    ItemBegun,
    ItemEnded,
    ItemFrames,
    ResponseRequested,
)
from edge.quic import (
    ConnectionClosed,
    DatagramReceived,
    Endpoint,
    Event,
    HandshakeCompleted,
    PacketMisrouted,
    PathChanged,
    SendingStopped,
    StreamDataReceived,
    StreamReset,
)
from edge.quic.timers import Timers
from edge.runtime.messages import CallRecord
from edge.voice import actions
from edge.voice import events as voice
from edge.voice.errors import Code
from edge.voice.session import EdgeSession

log = logging.getLogger("edge.calls")

ALPN = "edge-voice/1"
CONTROL_STREAM = 0  # the caller's first bidirectional stream
MIN_TIMER_S = 0.001
REMEMBERED = 256  # ended calls that can still be asked about


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """What all calls of a worker have in common. ``changed`` is called when a backend has spoken."""

    node: str
    worker: int
    unicast_url: str
    lead_ms: int
    backend: Callable[[BackendContext], Backend]
    clock: Callable[[], float]
    changed: Callable[[Call], None]


class Call:
    """One call from its handshake to its end."""

    def __init__(self, settings: CallSettings, endpoint: Endpoint, connection: int, call_id: str) -> None:
        self.call_id = call_id
        self.session = EdgeSession(call_id, lead_ms=settings.lead_ms)
        self.backend = settings.backend(BackendContext(call_id=call_id))
        self.started_at = settings.clock()
        self.underruns = 0
        self.deadlines: list[float] = []  # of `Timers`
        self._settings = settings
        self._endpoint = endpoint
        self._connection = connection
        self._streams: list[int] = []  # our number of a stream -> its QUIC stream ID
        self._item: int | None = None  # the one that the backend has begun and not ended
        self._backend_lost = False  # then it is neither told anything nor asked
        self._room = asyncio.Event()
        self._reply = asyncio.create_task(self._speak())

    async def _speak(self) -> None:
        """Let the backend answer for as long as the call lasts."""
        try:
            async for reply in self.backend.replies():
                self._take(reply)
                # Until its turn has come nobody knows whether there is room for more.
                self._room.clear()
                self._settings.changed(self)
                await self._room.wait()
        except Exception as error:  # noqa: BLE001 - logged where it is dealt with
            self._lose_backend(error)
            self._settings.changed(self)

    def _lose_backend(self, error: Exception) -> None:
        """A backend is somebody else's code behind a network: its failure ends the turn, not the call."""
        log.error("event=backend_failed call=%s", self.call_id, exc_info=error)
        self._backend_lost = True
        self.session.error("backend_failed", f"the backend failed: {type(error).__name__}")
        if self._item is not None:
            self.session.end_item(self._item, self._settings.clock())
            self._item = None

    def _take(self, reply: BackendReply) -> None:
        now = self._settings.clock()
        match reply:
            case ItemBegun():
                self._item = self.session.begin_item()
            case ItemFrames(item=item, frames=frames):
                self.session.speak(item, frames, now)
            case ItemEnded(item=item):
                self.session.end_item(item, now)
                self._item = None
            case Control(event=event):
                self.session.send_control(event)
            case _:
                assert_never(reply)

    def receive(self, event: Event, now: float) -> None:
        """Hand the session what happened on its connection."""
        session = self.session
        match event:
            case StreamDataReceived() if event.stream_id == CONTROL_STREAM:
                session.receive_control(event.data, event.fin, now)
            case StreamDataReceived():
                session.receive_stream(event.stream_id, event.data, event.fin, now)
            case StreamReset():
                session.receive_reset(event.stream_id, event.code, now)
            case SendingStopped() if event.stream_id in self._streams:
                session.receive_stop(self._streams.index(event.stream_id), event.code, now)
            case DatagramReceived():
                session.receive_datagram(event.data, now)
            case HandshakeCompleted() | PathChanged():
                connection = self._endpoint.connection(self._connection)
                if connection is not None:
                    migrated = connection.outcome == "migrated"
                    session.announce_session(self._settings.node, self._settings.unicast_url, migrated)
            case _:
                pass

    def turn(self) -> None:
        """Tell the backend what the session has to tell, and do what the session asks of the connection."""
        while (event := self.session.next_event()) is not None:
            self._tell(event)
        while (action := self.session.next_action()) is not None:
            self._do(action)
        if self.session.wants_audio:
            self._room.set()
        else:
            self._room.clear()

    def _tell(self, event: voice.EdgeEvent) -> None:
        match event:
            case voice.FramesHeard(frames=frames):
                self._ask_backend(lambda backend: backend.hear(frames))
            case voice.UtteranceCommitted(utterance=utterance):
                self._ask_backend(lambda backend: backend.notify(Committed(utterance)))
            case voice.ResponseRequested():
                self._ask_backend(lambda backend: backend.notify(ResponseRequested()))
            case voice.ResponseCancelled(item=item, played_ms=played_ms):
                self._ask_backend(lambda backend: backend.notify(Cancelled(item, played_ms)))
            case voice.PlayoutReported(report=report):
                self.underruns = max(self.underruns, report.underruns)
            case voice.StatsRequested():
                self.session.answer_stats(self.backend.heard.count(), self.backend.said.count())
            case voice.SessionUpdated() | voice.StatsReceived():
                pass
            case _:
                assert_never(event)

    def _ask_backend(self, verb: Callable[[Backend], None]) -> None:
        if self._backend_lost:
            return
        try:
            verb(self.backend)
        except Exception as error:  # noqa: BLE001 - as above
            self._reply.cancel()
            self._lose_backend(error)

    def _do(self, action: actions.Action) -> None:
        endpoint, connection = self._endpoint, self._connection
        match action:
            case actions.SendControl(data=data):
                endpoint.send_stream(connection, CONTROL_STREAM, data)
            case actions.SendStream(stream=stream, data=data, fin=fin):
                endpoint.send_stream(connection, self._stream_id(stream), data, fin)
            case actions.ResetStream(stream=stream, code=code):
                endpoint.reset_stream(connection, self._stream_id(stream), code)
            case actions.StopStream(peer_stream=peer_stream, code=code):
                endpoint.stop_stream(connection, peer_stream, code)
            case actions.SendDatagram(data=data):
                endpoint.send_datagram(connection, data)
            case actions.CloseSession(code=code, reason=reason):
                endpoint.close(connection, code, reason)
            case _:
                assert_never(action)

    def _stream_id(self, stream: int) -> int:
        while len(self._streams) <= stream:
            self._streams.append(self._endpoint.open_stream(self._connection))
        return self._streams[stream]

    def record(self, outcome: str, *, ended: bool) -> CallRecord:
        return CallRecord(
            call_id=self.call_id,
            worker=self._settings.worker,
            outcome=outcome,
            age_s=self._settings.clock() - self.started_at,
            ended=ended,
            heard=self.backend.heard.count(),
            said=self.backend.said.count(),
        )

    async def end(self) -> None:
        self._reply.cancel()
        await asyncio.gather(self._reply, return_exceptions=True)
        try:
            await self.backend.close()
        except Exception:
            log.exception("event=backend_not_closed call=%s", self.call_id)


class CallTable:
    """Every call of a worker, by connection."""

    def __init__(self, settings: CallSettings, endpoint: Endpoint, call_ids: Callable[[], str]) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._call_ids = call_ids
        self._calls: dict[int, Call] = {}
        self._awake: dict[Call, None] = {}
        self._timers: Timers[Call] = Timers()
        self._outcomes: dict[int, str] = {}
        self._ended: deque[CallRecord] = deque(maxlen=REMEMBERED)
        self._endings: set[asyncio.Task[None]] = set()
        self._totals = {"frames_heard": 0, "frames_said": 0, "underruns": 0}

    def __len__(self) -> int:
        return len(self._calls)

    def receive(self, event: Event, now: float) -> None:
        """Take one event of the endpoint; events of connections that carry no call are ignored."""
        if isinstance(event, PacketMisrouted):
            return
        connection = event.connection
        if isinstance(event, HandshakeCompleted) and event.alpn == ALPN:
            self._begin(connection)
        call = self._calls.get(connection)
        if call is None:
            return
        if isinstance(event, ConnectionClosed):
            self._end(connection, event)
            return
        call.receive(event, now)
        self._awake[call] = None
        if isinstance(event, HandshakeCompleted | PathChanged):
            info = self._endpoint.connection(connection)
            if info is not None:
                self._outcomes[connection] = info.outcome

    def wake(self, call: Call) -> None:
        """Something has happened to ``call`` outside of `receive`."""
        self._awake[call] = None

    def turn(self, now: float) -> None:
        """Let every call that has something to do take its turn. Call it before asking what to send."""
        for call in self._timers.due(now):
            call.session.handle_timer(now)
            self._awake[call] = None
        while self._awake:
            call, _ = self._awake.popitem()
            call.turn()
            at = call.session.get_timer()
            if at is not None:
                self._timers.arm(call, max(at, now + MIN_TIMER_S))

    def get_timer(self) -> float | None:
        """When to call `turn`, if nothing happens before."""
        return self._timers.next()

    def _begin(self, connection: int) -> None:
        call_id = self._call_ids()
        try:
            self._calls[connection] = Call(self._settings, self._endpoint, connection, call_id)
        except Exception as error:
            log.exception("event=backend_not_made call=%s", call_id)
            reason = f"no backend for this call: {type(error).__name__}"
            self._endpoint.close(connection, Code.SESSION_CLOSED, reason)

    def _end(self, connection: int, event: ConnectionClosed) -> None:
        call = self._calls.pop(connection)
        self._awake.pop(call, None)
        self._ended.append(call.record(self._outcomes.pop(connection, "direct"), ended=True))
        for name, value in self._counts(call).items():
            self._totals[name] += value
        log.info(
            'event=call_ended call=%s code=%d by_peer=%s reason="%s"',
            call.call_id,
            event.code,
            event.by_peer,
            event.reason,
        )
        ending = asyncio.create_task(call.end())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def _counts(self, call: Call) -> dict[str, int]:
        return {
            "frames_heard": call.backend.heard.frames,
            "frames_said": call.backend.said.frames,
            "underruns": call.underruns,
        }

    def counters(self) -> dict[str, int]:
        """Totals over all calls since the worker began; they only grow."""
        totals = dict(self._totals)
        for call in self._calls.values():
            for name, value in self._counts(call).items():
                totals[name] += value
        return totals

    def records(self) -> list[CallRecord]:
        """The last calls that ended, then those that are up."""
        up = [
            call.record(self._outcomes.get(connection, "direct"), ended=False)
            for connection, call in self._calls.items()
        ]
        return [*self._ended, *up]

    async def close(self) -> None:
        """Give every call's backend back."""
        await asyncio.gather(*(call.end() for call in self._calls.values()), *self._endings)
