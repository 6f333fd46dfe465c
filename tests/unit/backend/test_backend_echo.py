"""The echo: what it says is what it heard, in chunks, bounded, and cancelled where asked."""

import asyncio

from edge.backend.base import (
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
from edge.backend.echo import HELD_MS, EchoBackend
from edge.voice import CHUNK_MS, FRAME_MS, Frame, FrameLedger


def spoken(utterance: int, count: int, start: int = 0) -> list[Frame]:
    return [
        Frame(utterance, seq, seq * FRAME_MS, f"{utterance}.{seq}".encode())
        for seq in range(start, start + count)
    ]


class Host:
    """Pulls an echo until it has nothing more to say; what is heard meanwhile wakes it again."""

    def __init__(self) -> None:
        self.echo = EchoBackend(BackendContext("call-1"))
        self.replies: list[BackendReply] = []
        self._pulling: asyncio.Task[None] | None = None

    async def pull(self) -> list[BackendReply]:
        """What has been said since the last pull."""
        if self._pulling is None:
            self._pulling = asyncio.create_task(self._pull())
        said_before = -1
        while said_before != len(self.replies):
            said_before = len(self.replies)
            await asyncio.sleep(0)
        replies, self.replies = self.replies, []
        return replies

    async def _pull(self) -> None:
        async for reply in self.echo.replies():
            self.replies.append(reply)

    async def close(self) -> None:
        await self.echo.close()
        if self._pulling is not None:
            await self._pulling


def test_an_utterance_comes_back_as_an_item_while_it_is_spoken() -> None:
    async def run() -> None:
        host = Host()
        assert await host.pull() == []
        host.echo.hear(spoken(1, 3))
        assert await host.pull() == [ItemBegun(1), ItemFrames(1, spoken(1, 3))]
        host.echo.hear(spoken(1, 2, start=3))
        assert await host.pull() == [ItemFrames(1, spoken(1, 2, start=3))]
        host.echo.notify(Committed(1))
        host.echo.hear(spoken(2, 1))
        assert await host.pull() == [ItemEnded(1), ItemBegun(2), ItemFrames(2, spoken(2, 1))]
        host.echo.notify(Committed(2))
        assert await host.pull() == [ItemEnded(2)]
        assert host.echo.heard.count() == host.echo.said.count()
        await host.close()

    asyncio.run(run())


def test_nothing_counts_as_said_before_it_is_pulled() -> None:
    echo = EchoBackend(BackendContext("call-1"))
    echo.hear(spoken(1, 3))
    assert (echo.heard.frames, echo.said.count()) == (3, FrameLedger().count())


def test_a_host_that_comes_late_gets_chunks() -> None:
    async def run() -> None:
        host = Host()
        host.echo.hear(spoken(1, 120))
        host.echo.notify(Committed(1))
        begun, *chunks, ended = await host.pull()
        assert (begun, ended) == (ItemBegun(1), ItemEnded(1))
        assert [len(chunk.frames) * FRAME_MS for chunk in chunks if isinstance(chunk, ItemFrames)] == [
            CHUNK_MS,
            CHUNK_MS,
            400,
        ]
        await host.close()

    asyncio.run(run())


def test_what_is_cancelled_is_not_said_and_the_next_utterance_is() -> None:
    async def run() -> None:
        host = Host()
        host.echo.hear(spoken(1, 2))
        await host.pull()
        host.echo.notify(Cancelled(1, played_ms=20))
        host.echo.hear(spoken(1, 2, start=2))
        host.echo.notify(Committed(1))
        host.echo.hear(spoken(2, 1))
        assert await host.pull() == [ItemBegun(2), ItemFrames(2, spoken(2, 1))]
        await host.close()

    asyncio.run(run())


def test_a_cancellation_that_comes_too_late_and_a_request_change_nothing() -> None:
    """The item may have ended here while its last second was still to be played."""

    async def run() -> None:
        host = Host()
        host.echo.hear(spoken(1, 1))
        host.echo.notify(Committed(1))
        await host.pull()
        host.echo.notify(Cancelled(1, played_ms=20))
        host.echo.notify(ResponseRequested())
        host.echo.hear(spoken(2, 1))
        assert await host.pull() == [ItemBegun(2), ItemFrames(2, spoken(2, 1))]
        await host.close()

    asyncio.run(run())


def test_a_host_that_never_pulls_costs_a_minute_of_memory_and_is_told() -> None:
    async def run() -> None:
        host = Host()
        for utterance in range(1, 10_000):
            host.echo.hear(spoken(utterance, 1))
            host.echo.notify(Committed(utterance))
        held = len(host.echo._waiting)
        assert held <= HELD_MS // FRAME_MS + 1
        overrun, *said = await host.pull()
        assert isinstance(overrun, Control)
        assert overrun.event["error"]["code"] == "echo_overrun"
        begun = sum(isinstance(reply, ItemBegun) for reply in said)
        assert begun == sum(isinstance(reply, ItemEnded) for reply in said)
        assert begun == host.echo.said.frames < host.echo.heard.frames == 9_999
        await host.close()

    asyncio.run(run())


def test_closing_ends_the_replies_wherever_they_wait() -> None:
    async def run() -> None:
        waiting, speaking = Host(), Host()
        await waiting.pull()
        speaking.echo.hear(spoken(1, 500))
        for host in (waiting, speaking):
            await host.close()
        assert [reply async for reply in speaking.echo.replies()] == []

    asyncio.run(run())
