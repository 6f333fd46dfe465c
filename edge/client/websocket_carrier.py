"""A caller's session on a WebSocket: where UDP is blocked, the same call on the same events."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import aiohttp

from edge.errors import DeadlineError, RefusedError, UnreachableError
from edge.runtime.carriers import carry_out
from edge.runtime.websocket_carrier import LINGER_S, SUBPROTOCOL, Ended, WebSocketCarrier
from edge.voice import CallerEvent, CallerSession
from edge.voice.mux import MAX_MESSAGE, Frame, Role, deliver


class WebSocketCall:
    """One connection of a call: carries what ``session`` asks and tells ``on_event`` what it tells, until `run` ends.

    Verbs go to ``session`` directly; call `wake` after them.
    """

    def __init__(
        self, http: aiohttp.ClientSession, ws: aiohttp.ClientWebSocketResponse, session: CallerSession
    ) -> None:
        self.session = session
        self.carrier = WebSocketCarrier(ws, Role.CALLER)
        self._http = http
        self._on_event: Callable[[CallerEvent], None] = lambda _: None
        self._loop = asyncio.get_running_loop()
        self._awake = False
        self._over = False
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def connect(
        cls, url: str, session: CallerSession, *, tls: ssl.SSLContext, timeout_s: float
    ) -> WebSocketCall:
        """Open a WebSocket to ``url`` (``wss://NAME:port/v1/voice``).

        Raises `DeadlineError` after ``timeout_s``, `RefusedError` if what answers gives no call, and
        `UnreachableError` if nothing answers.
        """
        http = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(timeout_s):
                ws = await http.ws_connect(
                    url,
                    protocols=(SUBPROTOCOL,),
                    ssl=tls,
                    autoping=False,
                    max_msg_size=MAX_MESSAGE,
                    timeout=aiohttp.ClientWSTimeout(ws_close=LINGER_S),
                )
            if ws.protocol != SUBPROTOCOL:
                raise RefusedError(f"{url}: what answers does not speak {SUBPROTOCOL}")
            return cls(http, ws, session)
        except TimeoutError:
            await http.close()
            raise DeadlineError(f"{url}: no answer within {timeout_s:g} s") from None
        except aiohttp.WSServerHandshakeError as error:
            await http.close()
            raise RefusedError(f"{url}: {error.status} {error.message}") from error
        except (aiohttp.ClientError, OSError) as error:
            await http.close()
            raise UnreachableError(f"{url}: {error}") from error
        except BaseException:
            await http.close()
            raise

    async def run(self, on_event: Callable[[CallerEvent], None]) -> Ended:
        """To the end of the connection, which it says how it came about."""
        self._on_event = on_event
        self.wake()
        try:
            return await self.carrier.run(self._receive)
        finally:
            self._over = True
            if self._timer is not None:
                self._timer.cancel()
            await self._http.close()

    def wake(self) -> None:
        """Have what the session asks done, once for all that happens in this turn."""
        if not self._awake and not self._over:
            self._awake = True
            self._loop.call_soon(self._settle)

    def _receive(self, frame: Frame, now: float) -> None:
        rtt_s = self.carrier.rtt_s()
        if rtt_s is not None:
            self.session.set_rtt(rtt_s)
        deliver(frame, self.session, now)
        self.wake()

    def _settle(self) -> None:
        self._awake = False
        while (event := self.session.next_event()) is not None:
            self._on_event(event)
        while (action := self.session.next_action()) is not None:
            carry_out(self.carrier, action)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self.session.get_timer()
        if at is not None and not self._over:
            self._timer = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self.session.handle_timer(self._loop.time())
        self.wake()
