"""A call whose connection is lost: what it goes on with, on the node that knows it and on one that does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from client_calls import OTHER_KEYS, PACKETS, Remembering, call_to

from edge.backend.base import Committed
from edge.backend.story import StoryBackend, recording
from edge.client.events import CallContinued, Reconnected, Reconnecting
from edge.client.lifeline import CallLost, SpeechLost
from edge.voice import Deadlines


def cut(world: Any, after_s: float, for_s: float) -> None:
    """Nothing arrives any more; longer than a caller believes in a connection."""
    loop = asyncio.get_running_loop()
    loop.call_later(after_s, setattr, world.network, "loss", 1.0)
    loop.call_later(after_s + for_s, setattr, world.network, "loss", 0.0)


async def collected(call: Any, into: list[Any]) -> None:
    async for event in call.events():
        into.append(event)  # noqa: PERF401 - it is looked at meanwhile


@pytest.mark.parametrize("cut_s", [3.5, 5.0, 9.0])
def test_an_answer_goes_on_where_it_was_cut_off(world: Any, cut_s: float) -> None:
    """Nothing is heard twice, nothing is missing: the digests of both ends are equal."""

    async def main() -> None:
        world.edge(backend=StoryBackend)
        events: list[Any] = []
        call = call_to(world)
        heard = call.record()
        async with call:
            collecting = asyncio.create_task(collected(call, events))
            cut(world, 5.0, cut_s)
            assert await call.reply()
            summary = await call.hang_up()
            await collecting
        assert summary.flawless
        assert (summary.reconnects, summary.resumed, len(summary.sessions)) == (1, 1, 1)
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert Reconnected("a1", resumed=True) in events
        assert summary.underruns == 1
        assert summary.underrun_ratio > 0.02

    world.run(main)


def test_an_utterance_goes_on_where_it_was_cut_off(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=Remembering)
        events: list[Any] = []
        async with call_to(world, deadline=(None, None)) as call:
            collecting = asyncio.create_task(collected(call, events))
            cut(world, 1.0, 4.0)
            await call.say(PACKETS * 2)
            assert await call.reply()
            summary = await call.hang_up()
            await collecting
        assert summary.flawless
        (backend,) = Remembering.calls
        assert backend.utterances == [1]
        assert backend.heard.frames == 2 * len(PACKETS)
        assert (summary.resumed, summary.frames_sent, summary.frames_received) == (
            1,
            2 * len(PACKETS),
            2 * len(PACKETS),
        )
        assert any(isinstance(event, CallContinued) and event.whole for event in events)

    world.run(main)


def test_the_node_is_found_at_its_own_address_where_anycast_leads_elsewhere(world: Any) -> None:
    async def main() -> None:
        first = world.edge("a1", "203.0.113.2", backend=StoryBackend)
        world.edge("a2", "203.0.113.6", backend=StoryBackend)
        first.announce()
        async with call_to(world) as call:
            assert call.summary().last.node == "a1"
            asyncio.get_running_loop().call_later(1.0, world.network.edges.pop, "198.51.100.1")
            cut(world, 2.0, 4.0)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert [leg.node for leg in summary.legs] == ["a1", "a1"]
        assert summary.last.path == "203.0.113.2:443"

    world.run(main)


def test_a_node_that_forgot_the_session_gives_a_new_one(world: Any) -> None:
    """And has no key for what the caller carries along."""

    async def main() -> None:
        edge = world.edge(backend=Remembering)
        events: list[Any] = []
        async with call_to(world) as call:
            collecting = asyncio.create_task(collected(call, events))
            asyncio.get_running_loop().call_later(1.0, edge.restart, OTHER_KEYS)
            await call.say(PACKETS)
            assert await call.reply()
            summary = await call.hang_up()
            await collecting
        assert (summary.reconnects, summary.resumed, len(summary.sessions)) == (1, 0, 2)
        assert Reconnected("a1", resumed=False) in events
        # The second was asked whether it knows the call while the first had not been given up.
        assert [backend.utterances for backend in Remembering.calls] == [[], [], [1]]
        assert summary.sessions[1].agrees_up
        assert summary.sessions[1].agrees_down
        # What the first session's edge had heard, nobody can be asked any more.
        assert summary.ledgers_equal is None

    world.run(main)


def test_a_call_survives_one_cut_after_another(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        async with call_to(world) as call:
            cut(world, 2.0, 4.0)
            cut(world, 9.0, 4.0)
            cut(world, 16.0, 4.0)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert summary.resumed == summary.reconnects == 3

    world.run(main)


def test_a_call_that_is_gone_for_too_long_is_a_new_one(world: Any) -> None:
    """The edge keeps it for 30 s from when it has noticed."""

    async def main() -> None:
        world.edge(backend=StoryBackend)
        async with call_to(world, redial_delays_s=[150.0]) as call:
            cut(world, 2.0, 20.0)
            assert not await call.reply(patience_s=400)
            await call.request_reply()
            summary = await call.hang_up()
        assert (summary.reconnects, summary.resumed) == (1, 0)

    world.run(main)


def test_a_microphone_goes_on_through_a_cut(world: Any) -> None:
    """It cannot wait; what it brings meanwhile is said when the connection is back."""

    async def main() -> None:
        world.edge(backend=Remembering)

        async def microphone() -> Any:
            for packet in PACKETS * 2:
                await asyncio.sleep(0.020)
                yield packet

        async with call_to(world, deadline=Deadlines(None, None)) as call:
            cut(world, 1.0, 3.5)
            await call.say(microphone())
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert Remembering.calls[0].heard.frames == 2 * len(PACKETS)

    world.run(main)


def test_events_that_are_sent_between_two_connections_arrive(world: Any) -> None:
    async def main() -> None:
        edge = world.edge(backend=StoryBackend)
        events: list[Any] = []
        async with call_to(world) as call:
            collecting = asyncio.create_task(collected(call, events))
            assert await call.reply()
            edge.dead = True
            await asyncio.sleep(3.5)
            assert any(isinstance(event, Reconnecting) for event in events)
            await call.request_reply()
            edge.dead = False
            assert await call.reply()
            summary = await call.hang_up()
            await collecting
        assert summary.flawless
        assert summary.frames_received == 2 * len(recording())

    world.run(main)


def test_without_redials_a_lost_connection_is_a_lost_call(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        async with call_to(world, redial_delays_s=()) as call:
            edge.dead = True
            with pytest.raises(CallLost, match="nothing heard for 3 s"):
                await call.say(PACKETS * 3)

    world.run(main)


def test_what_a_microphone_said_to_a_lost_session_is_not_said_to_have_arrived(world: Any) -> None:
    async def main() -> None:
        edge = world.edge(backend=Remembering)

        async def microphone() -> Any:
            for packet in PACKETS:
                await asyncio.sleep(0.020)
                yield packet

        async with call_to(world) as call:
            asyncio.get_running_loop().call_later(1.0, edge.restart, OTHER_KEYS)
            with pytest.raises(SpeechLost, match="say it again"):
                await call.say(microphone())
            await call.say(microphone())
            assert await call.reply()
            summary = await call.hang_up()
        assert Remembering.calls[-1].utterances == [1]
        assert summary.utterances == 1

    world.run(main)


def test_a_confirmation_that_was_lost_with_its_connection_is_not_waited_for(world: Any) -> None:
    """Who takes the call back says that all of the utterance is there; nothing else will."""

    async def main() -> None:
        edge = world.edge(backend=Remembering)
        send = edge.endpoint.datagrams_to_send

        def swallow(now: float) -> list[Any]:
            send(now)
            return []

        def die() -> None:
            edge.dead = True

        def come_back() -> None:
            edge.dead, edge.endpoint.datagrams_to_send = False, send

        async with call_to(world) as call:
            await asyncio.sleep(1.0)
            (backend,) = Remembering.calls
            notify = backend.notify

            def notified(event: Any) -> None:
                notify(event)
                if isinstance(event, Committed):
                    edge.endpoint.datagrams_to_send = swallow
                    asyncio.get_running_loop().call_soon(die)
                    asyncio.get_running_loop().call_later(4.0, come_back)

            backend.notify = notified
            await call.say(PACKETS, patience_s=10.0)
            assert await call.reply()
            summary = await call.hang_up()
        assert backend.utterances == [1]
        assert (summary.reconnects, summary.resumed, summary.utterances) == (1, 1, 1)
        assert summary.flawless

    world.run(main)
