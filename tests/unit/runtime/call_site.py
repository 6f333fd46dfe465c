"""Callers and the calls of a worker, face to face with nothing between them, in virtual time; both ends are real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from voice_stack import Told, VoiceStack
from worker_rig import call_settings

from edge.auth import Origins, TokenKeys
from edge.backend.base import BackendContext
from edge.backend.echo import EchoBackend
from edge.keys import parse
from edge.overload.limits import Limits
from edge.quic import ClientConfig, ClientConnection, Endpoint, EndpointConfig, Identity, Path, Secrets
from edge.runtime.call import Call
from edge.runtime.calls import CallTable
from edge.runtime.messages import WorkerSettings
from edge.runtime.quic_calls import QuicCalls
from edge.voice import ALPN
from edge.voice.caller import CallerSession
from edge.voice.errors import Code

ADDRESS = ("192.0.2.1", 443)
SPEECH = [bytes([number]) * 40 for number in range(10)]
STEP_S = 0.005


class Caller:
    """One caller: its stack, and what it was told."""

    def __init__(
        self,
        host: str,
        now: float,
        *,
        mute: bool = False,
        deaf: bool = False,
        credit: int | None = None,
        **chosen: str,
    ) -> None:
        """``mute``: it says nothing of itself; ``deaf``: nothing reaches it once its connection stands; ``credit``: it
        lets so many bytes through, and never more.
        """
        self.session = CallerSession(now, **chosen)
        while mute and self.session.next_action():
            pass
        self.deaf = deaf
        self._credit = credit
        self.told: list[Told] = []
        self.connect(host, now)

    def connect(self, host: str, now: float) -> None:
        self.now = now
        self.path = Path(host, 40_000, local=ADDRESS[0])
        self.connection = ClientConnection(
            ClientConfig(server_name="voice.example", alpn=(ALPN,), verify=False)
        )
        self.stack = VoiceStack(self.connection, self.session, dead_after_s=60.0)
        if self._credit is not None:
            engine: Any = self.connection._engine
            engine._local_max_data.value = engine._local_max_data.sent = self._credit
            engine._write_connection_limits = lambda *_, **__: None
        self.connection.connect(ADDRESS, now)
        self.now_connected = now

    def say(self, frames: Sequence[bytes] = SPEECH) -> None:
        """One utterance, all of it."""
        self.session.send_frames(frames, self.now)
        self.session.commit(self.now)

    def heard(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


class Site:
    """A worker's calls and its endpoint, and the callers that reach it."""

    def __init__(
        self,
        settings: WorkerSettings,
        backend: Callable[[BackendContext], Any],
        *,
        resume_s: float = 30.0,
        keys: TokenKeys | None = None,
        limits: Limits = Limits(),  # noqa: B008 - it cannot change
        **changes: Any,
    ) -> None:
        self.now = 0.0
        self.observed: list[tuple[str, float]] = []
        self.callers: list[Caller] = []
        numbers = count(1)
        self.endpoint = Endpoint(
            EndpointConfig(
                identity=Identity.from_pem(settings.certificate, settings.private_key),
                alpn=(ALPN, "h3"),
            ),
            Secrets(parse(settings.keys), server_id=settings.server_id, nonce_start=0),
        )
        self.table = CallTable(
            call_settings(
                lambda: self.now,
                self._changed,
                backend=backend,
                keys=keys,
                worker=3,
                resume_s=resume_s,
                limits=limits,
                observe=lambda name, value: self.observed.append((name, value)),
                **changes,
            ),
            lambda: f"sess_{next(numbers)}",
        )
        self.quic = QuicCalls(self.endpoint, self.table, Origins())

    def _changed(self, call: Call) -> None:
        self.table.wake(call)

    async def caller(self, *, host: str = "", **how: Any) -> Caller:
        """A new one, whose call stands."""
        caller = Caller(host or f"192.0.2.{len(self.callers) + 100}", self.now, **how)
        self.callers.append(caller)
        await self.pass_time(0.1)
        return caller

    async def come_back(self, caller: Caller, *, unnoticed: bool = False) -> None:
        """From another address; the connection before is lost, and the edge knows it or not."""
        lost = caller.stack
        if not (unnoticed or lost.connection.closed):
            lost.connection.close(Code.GOING_AWAY, "lost")
            await self.pass_time(0.05)
        caller.session.reconnect(self.now)
        caller.connect(f"198.51.100.{len(self.callers) + 100}", self.now)
        await self.pass_time(0.1)

    async def pass_time(self, seconds: float) -> None:
        """Let everybody do what they have to do; datagrams take no time."""
        end = self.now + seconds
        while self.now < end:
            for caller in self.callers:
                self._carry_from(caller)
            self._turn()
            # Backends run as tasks of this loop: let them come to rest.
            for _ in range(5):
                await asyncio.sleep(0)
            self._turn()
            self.now += STEP_S

    def _carry_from(self, caller: Caller) -> None:
        caller.now = self.now
        stack = caller.stack
        at = stack.get_timer()
        if at is not None and at <= self.now:
            stack.handle_timer(self.now)
        while (told := stack.next_event()) is not None:
            caller.told.append(told)
        for data, _ in stack.datagrams_to_send(self.now):
            self.endpoint.receive_datagram(data, caller.path, self.now)

    def _turn(self) -> None:
        at = self.endpoint.get_timer()
        if at is not None and at <= self.now:
            self.endpoint.handle_timer(self.now)
        while (event := self.endpoint.next_event()) is not None:
            self.quic.receive(event, self.now)
        self.table.turn(self.now)
        for data, path in self.endpoint.datagrams_to_send(self.now):
            for caller in self.callers:
                if caller.path == path and not (caller.deaf and self.now > caller.now_connected + 0.05):
                    caller.stack.receive_datagram(data, ADDRESS, self.now)


class Backend(EchoBackend):
    """One that works; the others differ in one thing."""

    closed = False

    async def close(self) -> None:
        self.closed = True
        await super().close()


def choosing(*kinds: type[Backend]) -> tuple[Callable[[BackendContext], Backend], list[Backend]]:
    """A factory that makes them in turn, and what it has made."""
    made: list[Backend] = []
    following = iter(kinds)

    def make(context: BackendContext) -> Backend:
        made.append(next(following)(context))
        return made[-1]

    return make, made
