"""Whole calls over real WebSockets: the caller's session, the worker's table of calls, the echo."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from worker_rig import call_settings

from edge.client.conversation import Conversation
from edge.client.websocket_leg import WebSocketLeg
from edge.errors import DeadlineError, RefusedError, UnreachableError
from edge.runtime.calls import CallTable
from edge.runtime.dialer import CertificateRejected, Target
from edge.runtime.sockets import listen_tcp
from edge.voice import CallerSession
from edge.voice.events import FramesReceived, ItemDone, SessionReady, UtteranceCommitted

HOST = "127.0.0.1"
SPEECH = [bytes([number % 256]) * 60 for number in range(125)]  # 2.5 s


class Worker:
    """What of a worker matters here: a table of calls, and its turns."""

    def __init__(self, resume_s: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._awake = False
        numbers = count(1)
        self.table = CallTable(
            call_settings(
                self._loop.time,
                self._changed,
                unicast_url="https://unicast.example:4433",
                resume_s=resume_s,
            ),
            lambda: f"sess_{next(numbers)}",
        )

    def _changed(self, call: Any) -> None:
        self.table.wake(call)
        self.wake()

    def wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._awake = False
        self.table.turn(self._loop.time())
        if self._timer is not None:
            self._timer.cancel()
        at = self.table.get_timer()
        self._timer = None if at is None else self._loop.call_at(at, self.wake)


class Caller:
    """One caller, and what it was told."""

    def __init__(self, session: CallerSession, ca: Path) -> None:
        self.session = session
        self.told: list[Any] = []
        self.conversation = Conversation(session, self._hear, lambda: None)
        self._ca = ca
        self._happened = asyncio.Event()

    async def call(self, site: Any) -> None:
        self.leg = await WebSocketLeg.dial(Target(host=HOST, port=site.port, ca=self._ca), timeout_s=10)
        self.leg.on_change = self._hear
        self.conversation.board(self.leg)

    async def hang_up(self, reason: str) -> None:
        self.conversation.close(reason)
        self.leg.abandon(reason)
        await self.leg.gone()

    def _hear(self, event: Any) -> None:
        self.told.append(event)
        self._happened.set()

    async def until(self, kind: type, number: int = 1) -> Any:
        async with asyncio.timeout(30):
            while len(found := [event for event in self.told if isinstance(event, kind)]) < number:
                self._happened.clear()
                await self._happened.wait()
        return found[number - 1]

    def say(self, frames: list[bytes]) -> None:
        now = asyncio.get_running_loop().time()
        self.session.send_frames(frames, now)
        self.session.commit(now)
        self.conversation.wake()


def test_two_calls_are_echoed_whole_and_in_order(
    serve: Callable[..., Any], tls_files: tuple[Path, Path]
) -> None:
    """Said at once, so that all of it leans on the wire; heard at the pace of its lead."""

    async def main() -> None:
        worker = Worker()
        async with serve(calls=worker.table, changed=worker.wake) as site:
            now = asyncio.get_running_loop().time()
            callers = [Caller(CallerSession(now), tls_files[0]) for _ in range(2)]
            for caller in callers:
                await caller.call(site)
                assert (await caller.until(SessionReady)).node == "unit"
            for caller in callers:
                caller.say(SPEECH[:100])
            for caller in callers:
                assert (await caller.until(UtteranceCommitted)).frames == 100
                assert (await caller.until(ItemDone)).frames == 100
                heard = [
                    frame.payload
                    for event in caller.told
                    if isinstance(event, FramesReceived)
                    for frame in event.frames
                ]
                assert heard == SPEECH[:100]
            assert worker.table.by_carrier() == {"websocket": 2}
            for caller in callers:
                await caller.hang_up("that was all")
            async with asyncio.timeout(10):
                while len(worker.table):  # noqa: ASYNC110 - the table tells nobody
                    await asyncio.sleep(0.01)
            records = worker.table.records()
            assert {record.heard.frames for record in records} == {100}
            assert {record.outcome for record in records} == {"on_anycast"}
            assert all(record.heard == record.said for record in records)
            await worker.table.close()

    asyncio.run(main())


def test_a_call_goes_on_after_its_connection_was_cut(
    serve: Callable[..., Any], tls_files: tuple[Path, Path]
) -> None:
    async def main() -> None:
        worker = Worker(resume_s=30.0)
        clock = asyncio.get_running_loop().time
        async with serve(calls=worker.table, changed=worker.wake) as site:
            caller = Caller(CallerSession(clock()), tls_files[0])
            await caller.call(site)
            await caller.until(SessionReady)
            caller.say(SPEECH)
            await caller.until(FramesReceived)
            caller.leg._wire._room.cut_off()
            await caller.until(WebSocketLeg)
            assert not caller.leg.ended.by_application
            caller.conversation.leave()
            assert caller.conversation.ask_to_continue()
            await caller.call(site)
            assert (await caller.until(ItemDone)).frames == len(SPEECH)
            assert caller.session.heard.frames == len(SPEECH)
            assert len(worker.table) == 1
            await caller.hang_up("that was all")
            await worker.table.close()

    asyncio.run(main())


def test_who_cannot_be_called_is_said_in_a_line(
    serve: Callable[..., Any], tls_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attempt(port: int, ca: Path | None, timeout_s: float = 10.0) -> None:
        await WebSocketLeg.dial(Target(host=HOST, port=port, ca=ca), timeout_s=timeout_s)

    async def main() -> None:
        ca = tls_files[0]
        async with serve() as site:
            with pytest.raises(CertificateRejected, match="CERTIFICATE_VERIFY_FAILED"):
                await attempt(site.port, None)
            monkeypatch.setattr("edge.client.websocket_leg.VOICE_PATH", "/livez")
            with pytest.raises(RefusedError, match=r"no call over TCP: 200 "):
                await attempt(site.port, ca)
        with pytest.raises(UnreachableError, match="Connect call failed"):
            await attempt(site.port, ca)
        silent = listen_tcp(HOST, 0)
        with silent, pytest.raises(DeadlineError, match=r"no answer within 0\.2 s"):
            await attempt(silent.getsockname()[1], ca, 0.2)

    asyncio.run(main())
