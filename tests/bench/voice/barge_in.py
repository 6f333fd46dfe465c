"""Callers that interrupt a long reply after ten seconds; run at a caller's for part (c), prints a list of `Interruption`.

    python -m voice.barge_in ORDER

One call for each lead window and one to a server without any, all at once: together they take a tenth of a core.
"""

import asyncio
import ssl
import sys
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
from voice.backend import GENERATED_RATE, REPLY_S
from voice.callers import QuicCaller
from voice.link import WSS_PORT, Places
from voice.peers import AT_ONCE, Sent
from voice.recordings import Recordings
from websockets.asyncio.client import connect

from edge.voice import FRAME_MS, BargedIn, BargeIn, Lead

LEADS: tuple[Lead, ...] = (200, 500, 1000, 3000, 5000, "auto")
ALL_AT_ONCE = "WSS, all at once"
PIPECAT_LEAD_MS = 25_000
"""So far ahead of the playout Pipecat's MoQ transport lets a bot run."""
REPLY_FRAMES = round(REPLY_S * 1000 / FRAME_MS)
ACCOUNT_WITHIN_S = 5.0
LOOK_S = 0.005


class Order(msgspec.Struct, frozen=True):
    """``after_s`` of playing the callers interrupt."""

    places: Places
    recordings: str
    after_s: float


class Interruption(msgspec.Struct, frozen=True):
    """What the server says of it, in payload bytes. ``lead_ms`` is the window in force, None for none.

    ``wasted_ms`` of speech are what ``wasted_bytes`` play for.
    ``exact``: what was generated, was on the wire and was played are three beginnings of the reply, frame by frame.
    """

    system: str
    lead_ms: int | None
    played_ms: int
    generated_bytes: int
    wire_bytes: int
    wasted_bytes: int
    wasted_ms: int
    saved_bytes: int
    cancel_ms: float | None
    underruns: int
    exact: bool


class Reply:
    """The reply that every server speaks."""

    def __init__(self, packets: Sequence[bytes]) -> None:
        sizes = (len(packets[number % len(packets)]) for number in range(REPLY_FRAMES))
        self.ends = list(accumulate(sizes, initial=0))

    def ms(self, size: int) -> int:
        """How long the first ``size`` bytes play; a part of a frame does not."""
        return (bisect_right(self.ends, size) - 1) * FRAME_MS

    def is_exact(self, account: BargeIn) -> bool:
        return (
            account.played_bytes == self.ends[account.played_ms // FRAME_MS]
            and account.wire_bytes in self.ends
            and account.generated_bytes in self.ends
            and account.played_bytes <= account.wire_bytes <= account.generated_bytes
        )


async def with_a_window(order: Order, reply: Reply, lead: Lead) -> Interruption:
    """A call to our edge."""
    caller = QuicCaller(order.places, f"lead {lead}")
    await caller.connect()
    loop, session = asyncio.get_running_loop(), caller.session
    session.update_session(lead_ms=lead)
    session.request_response()
    caller.wake()
    while session.playout.played_ms < order.after_s * 1000:
        await asyncio.sleep(LOOK_S)
        session.playout.advance(loop.time())
    underruns = session.playout.underruns
    session.cancel(loop.time())
    caller.wake()
    async with asyncio.timeout(ACCOUNT_WITHIN_S):
        while not isinstance(told := await caller.events.get(), BargedIn):
            pass
    await caller.hang_up()
    account = told.account
    return Interruption(
        system=f"edge, lead {lead if lead == 'auto' else f'{lead} ms'}",
        lead_ms=None if lead == "auto" else int(lead),
        played_ms=account.played_ms,
        generated_bytes=account.generated_bytes,
        wire_bytes=account.wire_bytes,
        wasted_bytes=account.wasted_bytes,
        wasted_ms=reply.ms(account.wire_bytes) - reply.ms(account.played_bytes),
        saved_bytes=account.saved_bytes,
        cancel_ms=account.cancel_ms,
        underruns=underruns,
        exact=reply.is_exact(account),
    )


async def without(order: Order, reply: Reply) -> Interruption:
    """A WebSocket to a server that sends what it makes: the interruption has to overtake nothing, and it is late."""
    loop = asyncio.get_running_loop()
    trust = ssl.create_default_context(cafile=order.places.certificate)
    async with connect(
        f"wss://{order.places.peers}:{WSS_PORT}/{AT_ONCE}", ssl=trust, compression=None
    ) as connection:
        await connection.recv()
        stop_at = loop.time() + order.after_s
        stopped = False
        while True:
            if not stopped and loop.time() >= stop_at:
                stopped = True
                await connection.send("stop")
            try:
                async with asyncio.timeout(LOOK_S):
                    message: Any = await connection.recv()
            except TimeoutError:
                continue
            if isinstance(message, str):
                break
    sent = msgspec.json.decode(message, type=Sent)
    played_ms = round(order.after_s * 1000)
    played = reply.ends[played_ms // FRAME_MS]
    return Interruption(
        system=ALL_AT_ONCE,
        lead_ms=None,
        played_ms=played_ms,
        generated_bytes=sent.generated_bytes,
        wire_bytes=sent.wire_bytes,
        wasted_bytes=sent.wire_bytes - played,
        wasted_ms=reply.ms(sent.wire_bytes) - reply.ms(played),
        saved_bytes=sent.generated_bytes - sent.wire_bytes,
        cancel_ms=None,
        underruns=0,
        exact=sent.wire_bytes in reply.ends,
    )


def computed(reply: Reply, lead_ms: int, after_s: float) -> Interruption:
    """What such a window would cost if it were kept as ours is: arithmetic, for windows wider than we allow."""
    generated_ms = min(round(after_s * 1000 * GENERATED_RATE), round(REPLY_S * 1000))
    played_ms = round(after_s * 1000)
    played, wire, generated = (
        reply.ends[ms // FRAME_MS] for ms in (played_ms, min(played_ms + lead_ms, generated_ms), generated_ms)
    )
    return Interruption(
        system=f"lead {lead_ms} ms (computed)",
        lead_ms=lead_ms,
        played_ms=played_ms,
        generated_bytes=generated,
        wire_bytes=wire,
        wasted_bytes=wire - played,
        wasted_ms=reply.ms(wire) - played_ms,
        saved_bytes=generated - wire,
        cancel_ms=None,
        underruns=0,
        exact=True,
    )


async def interrupt(order: Order) -> list[Interruption]:
    reply = Reply(Recordings.load(Path(order.recordings)).speech)
    measured = await asyncio.gather(
        *(with_a_window(order, reply, lead) for lead in LEADS), without(order, reply)
    )
    return [*measured, computed(reply, PIPECAT_LEAD_MS, order.after_s)]


if __name__ == "__main__":
    found = asyncio.run(interrupt(msgspec.json.decode(sys.argv[1], type=Order)))
    print(msgspec.json.encode(found).decode())
