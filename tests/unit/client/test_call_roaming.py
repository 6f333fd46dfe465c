"""A caller whose own network changes: other addresses, another family, no way out, a NAT that forgets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from client_calls import NAME, PACKETS, Remembering, call_to

from edge.backend.story import StoryBackend
from edge.client.events import (
    CallContinued,
    FramesReceived,
    Reconnected,
    Reconnecting,
    UtteranceCommitted,
)
from edge.client.whereabouts import LOOK_S
from edge.overload import Verdict

ANYCAST, ANYCAST_6 = "198.51.100.1", "2001:db8:a::1"
ELSEWHERE = "192.0.2.66"


async def microphone(packets: list[bytes]) -> Any:
    for packet in packets:
        await asyncio.sleep(0.020)
        yield packet


def later(after_s: float, do: Any, *args: Any) -> None:
    asyncio.get_running_loop().call_later(after_s, do, *args)


async def spoken_through(call: Any) -> Any:
    """Say something that no pause waits for, hear it back, and hang up."""
    await call.say(microphone(PACKETS * 3))
    assert await call.reply()
    return await call.hang_up()


def heard_by_backends() -> int:
    return sum(backend.heard.frames for backend in Remembering.calls)


def host_seen(edge: Any) -> str:
    (connection,) = edge.endpoint.connections.values()
    return str(connection.path.host)


def test_a_call_takes_no_notice_of_another_address_of_ours(world: Any) -> None:
    async def main() -> None:
        edge = world.edge(backend=Remembering)
        async with call_to(world, deadline=(None, None)) as call:
            later(2.0, world.network.sources.update, {4: ELSEWHERE})
            later(4.0, lambda: seen.append(host_seen(edge)))
            seen: list[str] = []
            summary = await spoken_through(call)
        assert summary.flawless
        assert (summary.reconnects, seen) == (0, [ELSEWHERE])
        assert heard_by_backends() == 3 * len(PACKETS)

    world.run(main)


def test_the_edge_sees_another_address_at_once_and_under_another_connection_id(world: Any) -> None:
    """Who only listens sends little; until it does, the edge would go on talking to where nobody is any more."""

    async def main() -> None:
        edge = world.edge(backend=StoryBackend)
        used: list[set[bytes]] = [set(), set()]
        receive = edge.receive

        def tap(data: bytes, source: tuple[str, int], local: str) -> None:
            if not data[0] & 0x80:
                used[source[0] == ELSEWHERE].add(data[1:19])
            receive(data, source, local)

        async with call_to(world) as call:
            await asyncio.sleep(1.0)
            for address in list(world.network.edges):
                world.network.edges[address] = tap
            await asyncio.sleep(1.0)
            world.network.sources[4] = ELSEWHERE
            await asyncio.sleep(LOOK_S + 0.1)
            assert host_seen(edge) == ELSEWHERE
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert summary.reconnects == 0
        # What leaves before we know of the new address goes under the old one's, and nothing after that.
        assert len(used[True] - used[False]) == 1

    world.run(main)


def test_a_call_takes_no_notice_of_a_nat_that_forgets(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=Remembering)
        async with call_to(world, deadline=(None, None)) as call:
            later(2.0, setattr, world.network, "shift", 5000)
            later(4.0, setattr, world.network, "shift", 9000)
            summary = await spoken_through(call)
        assert summary.flawless
        assert summary.reconnects == 0
        assert heard_by_backends() == 3 * len(PACKETS)

    world.run(main)


def test_a_call_goes_on_over_ipv6_where_ipv4_goes_away(world: Any) -> None:
    async def main() -> None:
        world.network.names[NAME] = [ANYCAST_6, ANYCAST]
        world.network.sources[6] = None
        world.edge(backend=Remembering)
        async with call_to(world, deadline=(None, None)) as call:
            assert call.summary().last.path == f"{ANYCAST}:443"
            later(2.0, world.network.sources.update, {6: "2001:db8:1::2"})
            later(3.0, world.network.sources.update, {4: None})
            summary = await spoken_through(call)
        assert summary.flawless
        assert (summary.reconnects, summary.resumed) == (1, 1)
        assert summary.last.path == f"[{ANYCAST_6}]:443"
        assert heard_by_backends() == 3 * len(PACKETS)

    world.run(main)


def test_a_call_goes_on_as_soon_as_there_is_a_network_again(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=Remembering)
        loop = asyncio.get_running_loop()
        back_at: list[float] = []
        async with call_to(world, deadline=(None, None)) as call:

            async def watch() -> None:
                async for event in call.events():
                    if isinstance(event, Reconnected):
                        back_at.append(loop.time())  # noqa: PERF401 - of each as it happens

            watching = asyncio.create_task(watch())
            gone_at = loop.time() + 2.0
            later(2.0, world.network.sources.update, {4: None, 6: None})
            later(7.0, world.network.sources.update, {4: ELSEWHERE})
            summary = await spoken_through(call)
            await watching
        assert summary.flawless
        assert (summary.reconnects, summary.resumed) == (1, 1)
        assert gone_at + 5.0 < back_at[0] < gone_at + 5.0 + LOOK_S + 0.5
        assert heard_by_backends() == 3 * len(PACKETS)

    world.run(main)


def test_a_silent_connection_is_replaced_before_it_is_given_up(world: Any) -> None:
    """A firewall on the way has forgotten it, and lets others pass; a pause of a second is enough to look for one."""

    async def main() -> None:
        edge = world.edge(backend=Remembering)
        events: list[Any] = []

        def forget(port: int) -> None:
            def guard(data: bytes, source: tuple[str, int], local: str) -> None:
                if source[1] != port:
                    edge.receive(data, source, local)

            world.network.edges.update(dict.fromkeys(world.network.edges, guard))

        async with call_to(world, deadline=(None, None), dead_after_s=60.0) as call:

            async def collect() -> None:
                async for event in call.events():
                    events.append(event)  # noqa: PERF401 - it is looked at meanwhile

            collecting = asyncio.create_task(collect())
            later(2.0, forget, min(world.network.callers))
            summary = await spoken_through(call)
            await collecting
        assert summary.flawless
        assert (summary.reconnects, summary.resumed) == (1, 1)
        assert Reconnecting("nothing is heard any more") in events

    world.run(main)


def test_who_has_another_address_gives_its_node_time_to_answer(world: Any) -> None:
    """Callers of the service address are led elsewhere there, and sooner. But nothing is the matter with the node."""

    async def main() -> None:
        first = world.edge("a1", "203.0.113.2", backend=Remembering)
        second = world.edge("a2", "203.0.113.6", backend=Remembering)
        first.announce()

        def move() -> None:
            old, slow_s = min(world.network.callers), 0.5
            second.announce()
            world.network.sources[4] = ELSEWHERE

            def answer_late(data: bytes, source: tuple[str, int], local: str) -> None:
                if source[1] != old:  # which a firewall there does not know
                    later(slow_s, first.receive, data, source, local)

            world.network.edges[first.unicast] = answer_late

        async with call_to(world, deadline=(None, None)) as call:
            later(2.0, move)
            summary = await spoken_through(call)
        assert summary.flawless
        assert (summary.last.node, summary.reconnects, summary.resumed) == ("a1", 1, 1)

    world.run(main)


def test_an_edge_that_was_only_slow_keeps_its_call(world: Any) -> None:
    """It takes no newcomers meanwhile; when it does again, nobody looks any more."""

    async def main() -> None:
        edge = world.edge(backend=Remembering)
        async with call_to(world, deadline=(None, None)) as call:
            edge.verdict = Verdict.REFUSE
            later(2.0, setattr, world.network, "loss", 1.0)
            later(4.0, setattr, world.network, "loss", 0.0)
            later(5.0, setattr, edge, "verdict", Verdict.ACCEPT)
            summary = await spoken_through(call)
        assert summary.flawless
        assert summary.reconnects == 0
        assert heard_by_backends() == 3 * len(PACKETS)

    world.run(main)


@pytest.mark.parametrize("dead", [ANYCAST, ANYCAST_6])
def test_a_dead_address_family_costs_a_moment_and_not_the_call(world: Any, dead: str) -> None:
    """RFC 8305: of the addresses that a name has, both families are tried, one behind the other."""

    async def main() -> None:
        world.network.names[NAME] = [dead, ANYCAST if dead == ANYCAST_6 else ANYCAST_6]
        world.edge()
        del world.network.edges[dead]
        loop = asyncio.get_running_loop()
        async with call_to(world) as call:
            assert loop.time() < 0.5
            assert (await call.hang_up()).last.node == "a1"

    world.run(main)


def test_what_could_not_be_kept_long_enough_is_told_and_holds_nothing_up(world: Any) -> None:
    """Of 20 s without a network the last ten are kept. Without a deadline nothing is ever given up, but for this."""

    async def main() -> None:
        world.edge(backend=Remembering)
        events: list[Any] = []
        async with call_to(world, deadline=(None, None)) as call:

            async def collect() -> None:
                async for event in call.events():
                    events.append(event)  # noqa: PERF401 - it is looked at meanwhile

            collecting = asyncio.create_task(collect())
            later(2.0, world.network.sources.update, {4: None})
            later(22.0, world.network.sources.update, {4: ELSEWHERE})
            await call.say(microphone(PACKETS * 8))
            await call.say(PACKETS)
            assert await call.reply()
            summary = await call.hang_up()
            await collecting
        (continued,) = (event for event in events if isinstance(event, CallContinued))
        first, second = (event for event in events if isinstance(event, UtteranceCommitted))
        assert not continued.whole
        assert 450 < first.lost < 550
        assert first.frames + first.lost == 8 * len(PACKETS)
        assert (second.frames, second.lost) == (len(PACKETS), 0)
        assert summary.flawless
        assert summary.lost_up == first.lost
        assert summary.sessions[0].uplink_ms is None

    world.run(main)


@pytest.mark.parametrize("forgets", [False, True])
def test_an_answer_goes_on_at_once_and_not_with_the_next_heartbeat(world: Any, forgets: bool) -> None:
    """The edge writes no more than the lead beyond what it knows to be played, and who is back has told it nothing yet."""

    async def main() -> None:
        edge = world.edge(backend=Remembering)
        loop = asyncio.get_running_loop()
        times: list[tuple[Any, float]] = []

        def wake_up() -> None:
            edge.dead = False
            if forgets:
                edge.restart()

        async with call_to(world, deadline=(None, None)) as call:

            async def collect() -> None:
                async for event in call.events():
                    times.append((event, loop.time()))  # noqa: PERF401 - of each as it happens

            collecting = asyncio.create_task(collect())
            later(4.0, setattr, edge, "dead", True)
            later(8.0, wake_up)
            await spoken_through(call)
            await collecting
        (continued_at,) = (at for event, at in times if isinstance(event, CallContinued))
        heard_at = min(at for event, at in times if isinstance(event, FramesReceived) and at >= continued_at)
        assert heard_at - continued_at < 0.2

    world.run(main)
