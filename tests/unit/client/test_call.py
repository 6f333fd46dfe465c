"""edge.client.call: whole calls against whole edges, on a network in memory."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from client_calls import PACKETS, Remembering, call_to

from edge.backend.echo import EchoBackend
from edge.backend.story import StoryBackend, recording
from edge.client import CallLost
from edge.client.events import CallEvent, Ended, Migrated, Reconnected, Reconnecting
from edge.client.summary import CallSummary
from edge.errors import DeadlineError
from edge.overload import Verdict
from edge.runtime.dialer import ServerBusy

SECONDS = len(PACKETS) * 0.020
ANYCAST = "198.51.100.1"


async def say_and_hear(call: Any) -> CallSummary:
    await call.say(PACKETS)
    assert await call.reply()
    summary: CallSummary = await call.hang_up()
    return summary


def collect(call: Any) -> tuple[list[CallEvent], asyncio.Task[None]]:
    events: list[CallEvent] = []

    async def run() -> None:
        events.extend([event async for event in call.events()])

    return events, asyncio.create_task(run())


# --- when all is well --------------------------------------------------------------------------------------


def test_an_utterance_comes_back_frame_by_frame_and_the_ledgers_prove_it(world: Any) -> None:
    async def main() -> None:
        world.edge()
        async with call_to(world) as call:
            heard = call.record()
            summary = await say_and_hear(call)
        assert summary.flawless
        assert (summary.missing_up, summary.missing_down, summary.ledgers_equal) == (0, 0, True)
        assert (summary.frames_sent, summary.frames_received) == (len(PACKETS), len(PACKETS))
        assert (summary.utterances, summary.reconnects, summary.underrun_ms) == (1, 0, 0)
        assert heard.packets == PACKETS

    world.run(main)


def test_times_are_those_of_the_network(world: Any) -> None:
    """20 ms around: one round trip to shake hands, a third to be answered from the unicast address; the first
    group is full after 100 ms and takes one round trip."""

    async def main() -> None:
        world.edge()
        async with call_to(world) as call:
            summary = await say_and_hear(call)
        assert summary.last.migrated
        assert summary.last.path == "203.0.113.2:443"
        assert summary.handshake_ms == pytest.approx(20, abs=2)
        assert summary.last.migration_ms == pytest.approx(60, abs=5)
        assert summary.first_audio_ms == pytest.approx(120, abs=5)
        assert summary.last.rtt_ms == pytest.approx(20, abs=5)
        assert summary.duration_s == pytest.approx(SECONDS, abs=1)

    world.run(main)


def test_speech_leaves_in_real_time_unless_asked_otherwise(world: Any) -> None:
    async def main() -> None:
        world.edge()
        loop = asyncio.get_running_loop()
        async with call_to(world) as call:
            began = loop.time()
            await call.say(PACKETS)
            assert loop.time() - began == pytest.approx(SECONDS, abs=0.2)
            await call.reply()
            began = loop.time()
            await call.say(PACKETS, faster=True)
            assert loop.time() - began < 0.5

    world.run(main)


def test_a_long_utterance_said_fast_waits_for_room_on_the_way(world: Any) -> None:
    """Half a minute is 300 group streams, more than an edge lets a caller open at once."""

    async def main() -> None:
        world.edge()
        async with call_to(world) as call:
            await call.say(PACKETS * 9, faster=True)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert summary.frames_sent == 9 * len(PACKETS)

    world.run(main)


def test_utterances_in_a_row_are_answered_one_by_one(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=Remembering)
        async with call_to(world) as call:
            for _ in range(3):
                await call.say(PACKETS)
                assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert Remembering.calls[0].utterances == [1, 2, 3]
        assert summary.frames_received == 3 * len(PACKETS)

    world.run(main)


def test_a_story_is_heard_to_its_end_without_a_word_said(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        call = call_to(world)
        heard = call.record()
        async with call:
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert tuple(heard.packets) == recording()
        assert summary.underruns == 0
        # Played, not only received: the edge holds back what is more than a second ahead.
        assert summary.duration_s == pytest.approx(len(recording()) * 0.020, abs=1)

    world.run(main)


def test_a_story_is_told_again_on_request(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        async with call_to(world) as call:
            await call.reply()
            await call.request_reply()
            assert await call.reply()
            assert call.summary().frames_received == 2 * len(recording())

    world.run(main)


def test_listeners_get_every_frame_and_events_end_with_the_call(world: Any) -> None:
    async def main() -> None:
        world.edge()
        frames: list[bytes] = []
        async with call_to(world) as call:
            events, collecting = collect(call)

            async def listen() -> None:
                frames.extend([frame.payload async for frame in call.listen()])

            listening = asyncio.create_task(listen())
            await asyncio.sleep(0)
            await say_and_hear(call)
            await asyncio.gather(collecting, listening)
        assert frames == PACKETS
        assert [event for event in events if isinstance(event, Migrated)] == [
            Migrated("203.0.113.2:443", call.summary().last.migration_ms)
        ]
        assert events[-1] == Ended("hung_up", "")
        assert [event async for event in call.events()] == []

    world.run(main)


def test_a_silent_call_stays_up(world: Any) -> None:
    """Heartbeats and their acknowledgments keep both ends from giving each other up."""

    async def main() -> None:
        edge = world.edge()
        async with call_to(world) as call:
            await asyncio.sleep(300)
            assert len(edge.calls) == 1
            summary = await say_and_hear(call)
        assert summary.flawless
        assert summary.reconnects == 0
        await asyncio.sleep(1)
        assert len(edge.calls) == 0

    world.run(main)


def test_what_was_said_before_a_cancellation_is_an_utterance_of_its_own(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=Remembering)
        async with call_to(world) as call:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.05):
                    await call.say(PACKETS)
            await call.say(PACKETS[:10])
            await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert summary.frames_sent == 50 + 10
        assert Remembering.calls[0].utterances == [1, 2]

    world.run(main)


# --- when the network is bad -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lossy_network_delays_and_loses_nothing(world: Any, seed: int) -> None:
    async def main() -> None:
        world.edge()
        async with call_to(world) as call:
            summary = await say_and_hear(call)
        assert summary.flawless
        assert summary.last.migrated

    world.network.loss = 0.1
    world.network.dice.seed(seed)
    world.run(main)


def test_a_call_stays_on_anycast_where_unicast_is_blocked(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        del world.network.edges[edge.unicast]
        async with call_to(world) as call:
            summary = await say_and_hear(call)
        assert summary.flawless
        assert (summary.last.migrated, summary.last.migration_ms) == (False, None)
        assert summary.last.path == f"{ANYCAST}:443"

    world.run(main)


# --- when the edge is lost ---------------------------------------------------------------------------------


async def back_at(call: Any) -> float:
    async for event in call.events():
        if isinstance(event, Reconnected):
            break
    return asyncio.get_running_loop().time()


def test_a_node_that_only_stalls_keeps_its_call(world: Any) -> None:
    """Though the routes lead to another one by then, which could go on with it."""

    async def main() -> None:
        first = world.edge("a1", "203.0.113.2", backend=Remembering)
        second = world.edge("a2", "203.0.113.6", backend=Remembering)
        first.announce()
        loop = asyncio.get_running_loop()
        async with call_to(world) as call:
            loop.call_later(0.5, second.announce)
            loop.call_later(1.0, setattr, first, "dead", True)
            loop.call_later(2.15, setattr, first, "dead", False)
            summary = await say_and_hear(call)
        assert summary.flawless
        assert summary.last.node == "a1"

    world.run(main)


@pytest.mark.parametrize(
    "outage_s, noticed", [(0.0, "nothing is heard any more"), (4.0, "nothing heard for 3 s")]
)
def test_an_utterance_cut_off_by_a_dead_edge_is_said_again_to_the_next_one(
    world: Any, outage_s: float, noticed: str
) -> None:
    async def main() -> None:
        first = world.edge("a1", "203.0.113.2", backend=Remembering)
        second = world.edge("a2", "203.0.113.6", backend=Remembering)
        first.announce()
        loop = asyncio.get_running_loop()
        async with call_to(world) as call:
            came_back = asyncio.create_task(back_at(call))
            events, collecting = collect(call)
            loop.call_later(1.0, setattr, first, "dead", True)
            loop.call_later(1.0 + outage_s, second.announce)
            routed_at = loop.time() + 1.0 + outage_s
            summary = await say_and_hear(call)
            await collecting
            assert await came_back - routed_at < 2.0
        whole = Remembering.calls[1]
        assert whole.utterances == [1]
        assert whole.heard.frames == len(PACKETS)
        assert Remembering.calls[0].utterances == []
        assert (summary.reconnects, summary.utterances, summary.last.node) == (1, 1, "a2")
        assert Reconnecting(noticed) in events
        assert Reconnected("a2", resumed=True) in events
        # The first edge cannot be asked any more what it heard: unknown, not zero.
        assert (summary.missing_up, summary.missing_down, summary.ledgers_equal) == (None, None, None)
        assert not summary.flawless
        assert summary.sessions[1].agrees_up

    world.run(main)


def test_a_stateless_reset_is_answered_by_a_new_call_at_once(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        loop = asyncio.get_running_loop()
        async with call_to(world) as call:
            events, collecting = collect(call)
            loop.call_later(1.0, edge.restart)
            summary = await say_and_hear(call)
            await collecting
        assert Reconnecting("stateless reset") in events
        assert summary.reconnects == 1
        assert summary.duration_s == pytest.approx(1 + SECONDS, abs=0.7)

    world.run(main)


def test_a_confirmed_utterance_is_not_said_again(world: Any) -> None:
    async def main() -> None:
        edge = world.edge(backend=Remembering)
        async with call_to(world) as call:
            await call.say(PACKETS)
            edge.restart()
            assert await call.reply()  # which had been received
            await call.say(PACKETS[:5])
            assert await call.reply()
        assert [backend.utterances for backend in Remembering.calls] == [[1], [2]]
        assert Remembering.calls[1].heard.frames == 5

    world.run(main)


def test_an_edge_that_does_not_come_back_loses_the_call(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        async with call_to(world, timeout_s=1.0) as call:
            events, collecting = collect(call)
            edge.dead = True
            with pytest.raises(CallLost, match="nothing heard"):
                await call.say(PACKETS)
            await collecting
            with pytest.raises(CallLost):
                await call.request_reply()
            summary = await call.hang_up()
        assert summary.ending == "lost"
        assert "no answer" in summary.reason
        assert not summary.flawless
        assert isinstance(events[-1], Ended)

    world.run(main)


def test_a_redial_backs_off_and_gets_in_when_the_edge_has_room_again(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        loop = asyncio.get_running_loop()
        async with call_to(world) as call:
            edge.restart()
            edge.verdict = Verdict.REFUSE
            loop.call_later(1.5, setattr, edge, "verdict", Verdict.ACCEPT)
            summary = await say_and_hear(call)
        assert summary.reconnects == 1
        # Each time at its own address, and then at the service's, where another might have answered.
        assert 4 <= edge.endpoint.counters.refused <= 8

    world.run(main)


def test_hanging_up_while_redialling_ends_the_call_as_lost(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        async with call_to(world) as call:
            edge.dead = True
            await asyncio.sleep(3.5)
            summary = await call.hang_up()
        assert summary.ending == "lost"

    world.run(main)


def test_an_edge_that_hangs_up_is_not_dialled_again(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        async with call_to(world) as call:
            events, collecting = collect(call)
            edge.endpoint.close_all(3, "session closed")
            edge.step()
            await collecting
            summary = await call.hang_up()
        assert (summary.ending, summary.reason, summary.reconnects) == ("closed_by_edge", "session closed", 0)
        assert not any(isinstance(event, Reconnecting) for event in events)

    world.run(main)


def test_an_edge_that_is_going_away_is_replaced(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        async with call_to(world) as call:
            edge.endpoint.close_all(4, "going away")
            edge.step()
            summary = await say_and_hear(call)
        assert summary.reconnects == 1

    world.run(main)


# --- what is counted ---------------------------------------------------------------------------------------


class Dropping(EchoBackend):
    """Gives out every tenth chunk only on paper."""

    def _speak(self, seq: int) -> Any:
        reply = super()._speak(seq)
        return type(reply)(reply.item, reply.frames[1:]) if seq % 50 == 0 else reply


class Deaf(EchoBackend):
    """Swallows the first frame it hears."""

    def hear(self, frames: Any) -> None:
        super().hear(frames[1:] if not self.heard.frames else frames)


class Garbling(EchoBackend):
    """Counts another frame than the one it gives out."""

    def _speak(self, seq: int) -> Any:
        reply = super()._speak(seq)
        return type(reply)(
            reply.item, [type(f)(f.utterance, f.seq, f.pts_ms, b"\x78" + f.payload[1:]) for f in reply.frames]
        )


@pytest.mark.parametrize(
    "backend, up, down",
    [(Dropping, 0, 4), (Deaf, 1, 0), (Garbling, 0, 0)],
    ids=["dropping", "deaf", "garbling"],
)
def test_what_is_lost_or_altered_is_found(world: Any, backend: Any, up: int, down: int) -> None:
    async def main() -> None:
        world.edge(backend=backend)
        async with call_to(world) as call:
            summary = await say_and_hear(call)
        assert (summary.missing_up, summary.missing_down) == (up, down)
        assert summary.ledgers_equal is False
        assert not summary.flawless

    world.run(main)


def test_counts_that_could_not_be_asked_for_are_not_measured(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        async with call_to(world) as call:
            await call.say(PACKETS)
            await call.reply()
            edge.dead = True
            summary = await call.hang_up(patience_s=1.0)
        assert (summary.frames_heard_by_edge, summary.missing_up, summary.ledgers_equal) == (None, None, None)
        document = summary.document()
        assert document["frames_missing_up"] is None
        assert document["frames_sent"] == len(PACKETS)

    world.run(main)


def test_a_reply_that_is_cut_short_is_not_measured_as_missing(world: Any) -> None:
    async def main() -> None:
        world.edge(backend=StoryBackend)
        async with call_to(world) as call:
            await asyncio.sleep(5)
            summary = await call.hang_up()
        assert (summary.missing_up, summary.missing_down) == (0, None)
        assert summary.frames_received > 250

    world.run(main)


def test_who_hangs_up_while_speaking_hears_its_words_out_and_all_is_proved(world: Any) -> None:
    """The edge tells what it has counted before its backend has ended the item that says the same back."""

    class TakesAMoment(EchoBackend):
        def notify(self, event: Any) -> None:
            asyncio.get_running_loop().call_later(0.05, super().notify, event)

    async def main() -> None:
        world.edge(backend=TakesAMoment)
        async with call_to(world) as call:
            saying = asyncio.create_task(call.say(PACKETS))
            await asyncio.sleep(SECONDS / 2)
            saying.cancel()
            summary = await call.hang_up()
        assert 0 < summary.frames_sent < len(PACKETS)
        assert summary.flawless

    world.run(main)


def test_a_reply_that_never_comes_is_a_deadline(world: Any) -> None:
    class Mute(EchoBackend):
        def hear(self, frames: Any) -> None:
            self.heard.record(frames)

    async def main() -> None:
        world.edge(backend=Mute)
        async with call_to(world) as call:
            await call.say(PACKETS)
            with pytest.raises(DeadlineError, match="no reply within 2 s"):
                await call.reply(patience_s=2)
            summary = await call.hang_up()
        assert summary.flawless
        assert summary.first_audio_ms is None

    world.run(main)


def test_an_utterance_that_is_never_confirmed_is_a_deadline(world: Any, monkeypatch: Any) -> None:
    async def main() -> None:
        world.edge()
        async with call_to(world) as call:
            with pytest.raises(DeadlineError, match="not confirmed within 2 s"):
                await call.say(PACKETS, patience_s=2)

    monkeypatch.setattr("edge.voice.requests.Requests._commit", lambda requests, event, now: [])
    world.run(main)


@pytest.mark.parametrize("packets", [[], [b""], [b"x" * 2000]], ids=["none", "empty", "too long"])
def test_what_cannot_be_said_does_not_harm_the_call(world: Any, packets: list[bytes]) -> None:
    async def main() -> None:
        world.edge()
        async with call_to(world) as call:
            with pytest.raises(ValueError, match=r"said|bytes"):
                await call.say(packets)
            assert (await say_and_hear(call)).flawless

    world.run(main)


def test_an_error_in_the_body_hangs_up_without_waiting(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        loop = asyncio.get_running_loop()
        call = call_to(world)
        await call.__aenter__()
        began = loop.time()
        await call.__aexit__(ZeroDivisionError, ZeroDivisionError(), None)
        assert loop.time() == began
        assert call.summary().ending == "hung_up"
        await asyncio.sleep(1)
        assert len(edge.calls) == 0

    world.run(main)


def test_a_call_that_is_refused_says_so(world: Any) -> None:
    async def main() -> None:
        world.edge().verdict = Verdict.REFUSE
        with pytest.raises(ServerBusy) as caught:
            async with call_to(world):
                raise AssertionError("connected")
        assert caught.value.exit_code == 6

    world.run(main)
