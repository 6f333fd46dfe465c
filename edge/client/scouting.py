"""Looking for another way before the one in use is given up: whichever answers first has the call.

    in use --- nothing is heard on it, or its address is gone ---> doubted --- another has the call ---> in use
    in use --- it has to do without UDP ---> now and then a look whether that gets through, and back to it if so
    doubted --- it is heard again ---> in use; what was looked for meanwhile is not needed

A connection that is lost meanwhile is none of this: who replaces that has nothing to keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from edge.client.dialing import STAGGER_ROUND_TRIPS, STAGGER_S, Dialing
from edge.client.driven import SessionLost
from edge.client.events import CallEvent, Reconnected, Reconnecting
from edge.client.leg import Leg, ms
from edge.client.line import Line
from edge.client.race import first_of
from edge.client.whereabouts import Whereabouts
from edge.errors import EdgeError, RefusedError, UsageError
from edge.voice import Code

QUIC_AGAIN_S, MAX_QUIC_AGAIN_S = 10.0, 60.0
"""How long a call that has to do without UDP waits before it tries again, at first and in the end: twice as long each
time."""
RELOCATED_STAGGER_S: Final = 1.0
"""For how long the service is not asked yet by who has another address of its own: that is no reason to doubt the node."""
DECISIVE: Final = (UsageError, RefusedError)
"""A node that takes no newcomers is there: it will be heard again, or its connection ends, and that is another matter."""
SILENT: Final = "nothing is heard any more"


class Scout:
    """One call's. While it `is_asking`, nobody else may. ``delays_s``: from one attempt to the next; none, no attempt."""

    def __init__(
        self, line: Line, dialing: Dialing, delays_s: Sequence[float], tell: Callable[[CallEvent], None]
    ) -> None:
        self.is_asking = False
        self._line = line
        self._dialing = dialing
        self._delays_s = delays_s
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._way_found = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Learn where this machine is, unless we were told from where to call."""
        if self._delays_s and self._dialing.target.source is None:
            self._watching = asyncio.create_task(Whereabouts(self._where, self._elsewhere).watch())

    async def end(self) -> None:
        tasks = [task for task in (self._watching, self._task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cancel(self) -> None:
        """What was looked for is not needed, or not this way."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None

    def follow(self, leg: Leg) -> None:
        """The call is on ``leg`` now."""
        leg.on_doubt = self._doubted
        self._doubted(leg)

    async def pause(self, until: float) -> None:
        """Or until this machine has found a way to the edge, which it had lost."""
        self._way_found.clear()
        if until > self._loop.time():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._way_found.wait()

    def _doubted(self, leg: Leg) -> None:
        if self.is_asking or not self._delays_s or leg is not self._line.conversation.leg:
            return
        self.cancel()
        if leg.doubted:
            self._task = asyncio.create_task(self._search(leg))
        elif leg.carrier == "websocket" and self._dialing.carrier == "auto":
            self._task = asyncio.create_task(self._return_to_quic(leg))

    async def _search(self, leg: Leg) -> None:
        began = began_at = self._loop.time()
        for delay_s in self._delays_s:
            await self.pause(began_at + delay_s * random.uniform(0.5, 1.5))
            began_at = self._loop.time()
            with contextlib.suppress(EdgeError):
                if await self._take(leg, await self._find(leg), began):
                    return

    async def _find(self, leg: Leg) -> Leg:
        """Another connection to its node or, if that does not answer soon, to the service. Raises as `Dialing.dial_again`.

        A node that only stalls shall keep its calls, and one that is dead must not keep its callers waiting.
        """
        known, discard = self._line.conversation.ready, self._line.discard
        dial = partial(self._dialing.dial_again, None, discard, last=leg)
        ways = [partial(dial, unicast_url=None)]
        if known is not None and known.unicast_url is not None:
            ways.insert(0, partial(dial, unicast_url=known.unicast_url, anywhere=False))
        patience_s = RELOCATED_STAGGER_S if leg.relocated else STAGGER_S
        return await first_of(
            ways,
            stagger_s=max(patience_s, STAGGER_ROUND_TRIPS * (leg.wire.rtt_s() or 0.0)),
            decisive=DECISIVE,
            discard=discard,
        )

    async def _return_to_quic(self, leg: Leg) -> None:
        """To the node that has the call: nobody else could go on with it as it is."""
        pause_s = QUIC_AGAIN_S
        while True:
            await self.pause(self._loop.time() + pause_s)
            pause_s, known = min(2 * pause_s, MAX_QUIC_AGAIN_S), self._line.conversation.ready
            if known is not None:
                with contextlib.suppress(EdgeError):
                    other = await self._dialing.dial_at(known.unicast_url, "quic")
                    if await self._take(leg, other, self._loop.time()):
                        return

    async def _take(self, leg: Leg, other: Leg, began: float) -> bool:
        """Go on with ``other``, which stands, instead of ``leg``; whether there is nothing more to look for."""
        conversation = self._line.conversation
        if self._line.is_moving or conversation.session.resume_token is None:
            self._line.discard(other)
            return False
        self.is_asking, problem = True, ""
        try:
            verdict = await conversation.ask_on(other, self._dialing.timeout_s)
            if not verdict:
                self._line.discard(other, Code.GOING_AWAY)
                # Who knows the call does not answer, and who answers does not know it: only another call is to be had.
                return verdict is False
            if leg.doubted:
                self._tell(Reconnecting(SILENT))
            leg.abandon("the call goes on on another connection")
            self._line.board(other)
            await self._line.resumed(other)
            other.resumed_after_ms = ms(self._loop.time() - began)
            self._tell(Reconnected(other.node, resumed=True))
        except EdgeError as error:
            problem = str(error)
        except SessionLost:
            self._line.discard(other)  # the call is over
        except asyncio.CancelledError:
            self._line.discard(other, Code.GOING_AWAY)
            raise
        finally:
            self.is_asking = False
            self._line.look_after(problem or SILENT)
        self._doubted(other)
        return True

    def _where(self) -> str:
        """The edge's address that matters."""
        last = self._line.last
        return "" if last is None else last.host

    def _elsewhere(self, reachable: bool) -> None:
        """The way there begins at another address of ours, or there is none any more."""
        leg = self._line.conversation.leg
        if reachable and (leg is None or leg.doubted):
            self._way_found.set()
        if leg is not None:
            if reachable:
                leg.relocate()
            else:
                leg.unreachable()
