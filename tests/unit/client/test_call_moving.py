"""A call that goes elsewhere: because its edge asks for it, or because its node is gone for good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from client_calls import NAME, OTHER_KEYS, PACKETS, Remembering, call_to

from edge.backend.base import Committed
from edge.backend.story import StoryBackend, recording
from edge.client import connect
from edge.client.conversation import ANSWER_S, Conversation
from edge.client.events import Moved, Reconnected, Reconnecting
from edge.client.leg import QuicLeg
from edge.overload import Verdict
from edge.runtime.hand_over import CUT_AT
from edge.voice import Code
from edge.voice.frame import FRAME_MS


async def collected(call: Any, into: list[Any]) -> None:
    async for event in call.events():
        into.append(event)  # noqa: PERF401 - it is looked at meanwhile


def two_edges(world: Any, **options: Any) -> tuple[Any, Any]:
    """Callers of the service address reach the first."""
    first = world.edge("a1", "203.0.113.2", **options)
    second = world.edge("a2", "203.0.113.6", **options)
    first.announce()
    return first, second


def hand_over(
    edge: Any, to: Any, *, leave: bool = True, within_ms: int = 8000, reason: str = "drain"
) -> None:
    url = f"https://{to.unicast}:443"
    edge.calls.hand_over([url], reason, within_ms, leave)
    edge.step()


def later(delay_s: float, action: Any, *args: Any, **options: Any) -> None:
    asyncio.get_running_loop().call_later(delay_s, lambda: action(*args, **options))


async def somebody_at(edge: Any) -> None:
    """Wait for a connection to ``edge``: whoever comes there has just dialled."""
    while not edge.calls.records():  # noqa: ASYNC110 - in virtual time
        await asyncio.sleep(0.001)


def states(edge: Any) -> list[str]:
    return [record.hand_over for record in edge.calls.records()]


# --- asked to ------------------------------------------------------------------------------------------------


def test_an_answer_moves_with_its_call_and_nobody_hears_it(world: Any) -> None:
    """Nothing twice, nothing missing, no silence; each node's account is closed and equal to ours."""

    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        events: list[Any] = []
        call = call_to(world)
        heard = call.record()
        async with call:
            collecting = asyncio.create_task(collected(call, events))
            later(3.0, hand_over, first, second)
            assert await call.reply()
            summary = await call.hang_up()
            await collecting
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.flawless
        assert [session.node for session in summary.sessions] == ["a1", "a2"]
        assert (summary.reconnects, summary.resumed, summary.underruns) == (0, 0, 0)
        (move,) = summary.moves
        assert (move.from_node, move.to_node, move.elsewhere, move.silence_ms) == ("a1", "a2", True, 0)
        assert Moved("a2", "203.0.113.6:443", "drain") in events
        assert states(first) == ["moved"]

    world.run(main)


def test_an_utterance_moves_with_its_call(world: Any) -> None:
    """The recogniser over there hears all of it, and nothing else."""

    async def main() -> None:
        first, second = two_edges(world, backend=Remembering)
        async with call_to(world) as call:
            await call.say(PACKETS)
            assert await call.reply()
            later(0.5, hand_over, first, second, within_ms=1000)
            await call.say(PACKETS)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        here, there = Remembering.calls
        assert (here.utterances, there.utterances) == ([1], [2])
        assert there.heard.frames == len(PACKETS)
        assert [session.node for session in summary.sessions] == ["a1", "a2"]
        # What the first had heard of the second utterance is in its account.
        assert summary.sessions[0].sent.frames == here.heard.frames > len(PACKETS)

    world.run(main)


def test_a_place_that_stood_too_long_unused_is_dialled_again(world: Any) -> None:
    """An answer that is not at its end is waited for, longer than a connection stays on which nothing is said."""

    async def main() -> None:
        first, second = two_edges(world)
        async with call_to(world) as call:
            # Before the answer begins here, that is: a pause. But it has begun when the edge is asked to let go.
            later(0.1, hand_over, first, second, within_ms=8000)
            await call.say(PACKETS * (7000 // FRAME_MS // len(PACKETS)))
            assert await call.reply()  # what the first has said of it
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert [session.node for session in summary.sessions] == ["a1", "a2"]
        (move,) = summary.moves
        assert move.after_ms < 6500  # at the first try; the edge waits for 6 s
        assert states(first) == ["moved"]

    world.run(main)


@pytest.mark.parametrize("stands_ms", range(3000, 3100, 10))
def test_a_place_that_was_not_asked_for_long_may_answer(
    world: Any, stands_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That nothing was heard of it is no wonder. It may be over when it is asked, but not because it is asked."""
    answers: list[bool | None] = []
    ask = Conversation.ask_on

    async def ask_on(*args: Any) -> bool | None:
        answers.append(await ask(*args))
        return answers[-1]

    async def main() -> None:
        first, second = two_edges(world)
        monkeypatch.setattr(Conversation, "ask_on", ask_on)
        async with call_to(world, dead_after_s=3.0) as call:
            # As in the test before this one, what is waited for is the end of what the first says.
            later(0.1, hand_over, first, second, within_ms=round(stands_ms / CUT_AT))
            await call.say(PACKETS * (5000 // FRAME_MS // len(PACKETS)))
            assert await call.reply()
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert [move.to_node for move in summary.moves] == ["a2"]
        assert answers == [True]

    world.run(main)


def test_a_recording_waits_while_the_edge_lets_go(world: Any) -> None:
    """That may take longer than what is said can be kept: a microphone has to go on, a recording has not."""

    async def main() -> None:
        first, second = two_edges(world, backend=Remembering)
        speech = PACKETS * (20_000 // FRAME_MS // len(PACKETS))
        async with call_to(world) as call:
            # An echo that is not at its end, nor comes to it: nothing is said to it any more.
            later(0.1, hand_over, first, second, within_ms=30_000)
            await call.say(speech)
            summary = await call.hang_up()
        there = Remembering.calls[-1]
        assert (there.utterances, there.heard.frames) == ([1], len(speech))
        assert [session.node for session in summary.sessions] == ["a1", "a2"]
        assert summary.flawless

    world.run(main)


def test_a_caller_waits_for_a_pause(world: Any) -> None:
    async def main() -> None:
        first, second = two_edges(world, backend=Remembering)
        async with call_to(world) as call:
            later(0.5, hand_over, first, second, within_ms=60_000)
            await call.say(PACKETS)
            assert await call.reply()
            await asyncio.sleep(ANSWER_S)
            assert call.summary().last.node == "a2"
            await call.say(PACKETS)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert [backend.utterances for backend in Remembering.calls] == [[1], [2]]

    world.run(main)


class Thoughtful(Remembering):
    """An echo that thinks for a second before it begins."""

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self._thoughts: list[Any] = []

    def hear(self, frames: Any) -> None:
        self.heard.record(frames)
        self._thoughts += frames

    def notify(self, event: Any) -> None:
        if isinstance(event, Committed):
            later(1.0, self._answer, event)
        else:
            super().notify(event)

    def _answer(self, event: Committed) -> None:
        self._waiting.extend(self._thoughts)
        super().notify(event)


def test_the_moment_in_which_words_are_being_confirmed_is_no_pause(world: Any) -> None:
    """Their answer would stay behind with the edge that has just been asked for it."""

    async def main() -> None:
        first, second = two_edges(world, backend=Thoughtful)
        async with call_to(world) as call:
            ends_s = len(PACKETS) * FRAME_MS / 1000
            later(
                ends_s - 0.005, hand_over, first, second, within_ms=60_000
            )  # which arrives 5 ms behind them
            await call.say(PACKETS)
            assert await call.reply(patience_s=5.0)
            await asyncio.sleep(ANSWER_S)
            summary = await call.hang_up()
        assert summary.flawless
        assert [session.node for session in summary.sessions] == ["a1", "a2"]

    world.run(main)


def test_a_place_that_does_not_answer_leaves_the_call_where_it_is(world: Any) -> None:
    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        second.dead = True
        call = call_to(world, timeout_s=2.0)
        heard = call.record()
        async with call:
            later(3.0, hand_over, first, second)
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.flawless
        assert (len(summary.legs), len(summary.sessions), summary.moves) == (1, 1, ())
        assert states(first) == ["refused"]

    world.run(main)


def test_a_place_that_answers_later_is_tried_once_more(world: Any) -> None:
    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        second.dead = True
        async with call_to(world, timeout_s=1.0) as call:
            later(3.0, hand_over, first, second, within_ms=20_000)
            later(14.5, setattr, second, "dead", False)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert len(summary.moves) == 1

    world.run(main)


@pytest.mark.parametrize("leave", [False, True])
def test_a_place_that_does_not_know_the_call_costs_nothing(world: Any, leave: bool) -> None:
    """With other keys it can make nothing of the token; if the old node had let go, it takes the call back."""

    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        second.restart(OTHER_KEYS)
        call = call_to(world)
        heard = call.record()
        async with call:
            later(3.0, hand_over, first, second, leave=leave)
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.flawless
        assert summary.moves == ()
        assert {leg.node for leg in summary.legs} == {"a1"}

    world.run(main)


def test_a_place_that_stands_and_does_not_answer_leaves_the_call_where_it_is(world: Any) -> None:
    """What the old connection brings between the question and the end of patience is put aside, not lost."""

    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        second.calls.turn = lambda _: None
        call = call_to(world, timeout_s=2.0)
        heard = call.record()
        async with call:
            later(3.0, hand_over, first, second, leave=False, within_ms=4000)
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.flawless
        assert (len(summary.legs), summary.moves) == (1, ())

    world.run(main)


def test_a_place_that_hangs_up_instead_of_answering_is_no_reason_to_wait(world: Any) -> None:
    """Nobody hears of it: what the old connection brings meanwhile goes on at once."""

    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        turn = second.calls.turn

        def hang_up(now: float) -> None:
            for asking in second.calls._calls:
                asking.carrier.close(Code.LIMIT, "not here")
            turn(now)

        second.calls.turn = hang_up
        call = call_to(world)
        heard = call.record()
        async with call:
            later(3.0, hand_over, first, second, leave=False, within_ms=4000)
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.flawless
        assert (len(summary.legs), summary.underruns, summary.moves) == (1, 0, ())

    world.run(main)


def test_a_place_that_dies_as_soon_as_it_has_the_call(world: Any) -> None:
    """The old node takes it back, by the token of the new one."""

    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        call = call_to(world)
        heard = call.record()
        async with call:
            hand_over(first, second, within_ms=4000)
            while call.summary().last.node != "a2":  # noqa: ASYNC110 - in virtual time
                await asyncio.sleep(0.001)
            second.dead = True
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert [session.node for session in summary.sessions] == ["a1", "a2", "a1"]
        assert (len(summary.moves), summary.resumed) == (1, 1)

    world.run(main)


def test_an_old_connection_that_dies_before_it_has_let_go(world: Any) -> None:
    """The last token that was renewed has to do; where the answer is, the caller says."""

    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        call = call_to(world)
        heard = call.record()
        async with call:
            await asyncio.sleep(3.0)
            hand_over(first, second, within_ms=4000)
            await somebody_at(second)
            first.dead = True
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.last.node == "a2"
        assert (summary.sessions[1].agrees_down, summary.ledgers_equal) == (True, None)

    world.run(main)


def test_who_is_asked_twice_while_it_goes_goes_once(world: Any) -> None:
    """The second word is of an edge that has the call no more by then."""

    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        third = world.edge("a3", "203.0.113.10", backend=StoryBackend)
        first.announce()
        call = call_to(world)
        heard = call.record()
        async with call:
            await asyncio.sleep(3.0)
            hand_over(first, second, within_ms=4000)
            await somebody_at(second)
            (leaving,) = first.calls._calls
            leaving.session.go_away(f"https://{third.unicast}:443", "drain", 4000, leave=True)
            first.step()
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.flawless
        assert [move.to_node for move in summary.moves] == ["a2"]

    world.run(main)


def test_who_is_asked_again_by_the_new_place_follows(world: Any) -> None:
    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        third = world.edge("a3", "203.0.113.10", backend=StoryBackend)
        first.announce()
        call = call_to(world)
        heard = call.record()
        async with call:
            later(3.0, hand_over, first, second, within_ms=4000)
            announce = second.calls.turn

            def ask_at_once(now: float) -> None:
                announce(now)
                if any(one._seat is not None for one in second.calls._calls):
                    second.calls.turn = announce
                    hand_over(second, third, within_ms=4000)

            second.calls.turn = ask_at_once
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.flawless
        assert [move.to_node for move in summary.moves] == ["a2", "a3"]

    world.run(main)


def test_what_an_edge_had_asked_is_forgotten_when_another_one_has_the_call(world: Any) -> None:
    """It waited for a pause, and then its node was gone: the call stays where it was taken in."""

    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        third = world.edge("a3", "203.0.113.10", backend=StoryBackend)
        first.announce()

        def die() -> None:
            first.dead = True
            second.announce()

        call = call_to(world)
        heard = call.record()
        async with call:
            later(3.0, hand_over, first, third, within_ms=10_000)
            later(4.0, die)
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert [session.node for session in summary.sessions] == ["a1", "a2"]
        assert (summary.moves, states(third)) == ((), [])

    world.run(main)


# --- from the service address to the node's own --------------------------------------------------------------


@pytest.mark.parametrize("siblings", [False, True])
def test_who_follows_no_preferred_address_is_asked_to_move_and_keeps_the_session(
    world: Any, siblings: bool
) -> None:
    """Where another worker could get the connection, the edge lets go first; here the same one gets it back."""

    async def main() -> None:
        edge = world.edge(backend=StoryBackend, preferred=False, siblings=siblings)
        call = call_to(world)
        heard = call.record()
        async with call:
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.flawless
        assert [leg.path for leg in summary.legs] == ["198.51.100.1:443", "203.0.113.2:443"]
        (move,) = summary.moves
        assert (move.reason, move.elsewhere, move.silence_ms, len(summary.sessions)) == (
            "anycast",
            False,
            0,
            1,
        )
        assert states(edge) == ["moved"]

    world.run(main)


def test_who_wants_to_stay_on_the_service_address_is_left_alone(world: Any) -> None:
    async def main() -> None:
        edge = world.edge(backend=StoryBackend, preferred=False)
        async with call_to(world, migrate=False) as call:
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert (len(summary.legs), states(edge)) == (1, ["refused"])

    world.run(main)


def test_who_followed_or_came_directly_is_not_asked(world: Any) -> None:
    async def main() -> None:
        edge = world.edge(backend=StoryBackend)
        edge._asks["unicast_goaway"] = True
        edge.restart()
        async with call_to(world) as call:
            await asyncio.sleep(3.0)
            await call.hang_up()
        async with connect(edge.unicast, ca=world.authority.ca, server_name=NAME, carrier="quic") as call:
            await asyncio.sleep(3.0)
            await call.hang_up()
        assert states(edge) == ["", ""]

    world.run(main)


# --- gone for good -------------------------------------------------------------------------------------------


def test_a_call_goes_on_when_its_node_is_gone(world: Any) -> None:
    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        events: list[Any] = []
        call = call_to(world)
        heard = call.record()

        def die() -> None:
            first.dead = True
            second.announce()

        async with call:
            collecting = asyncio.create_task(collected(call, events))
            later(5.0, die)
            assert await call.reply()
            summary = await call.hang_up()
            await collecting
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert any(isinstance(event, Reconnecting) for event in events)
        assert Reconnected("a2", resumed=True) in events
        assert (summary.reconnects, summary.resumed, summary.last.elsewhere) == (1, 1, True)
        assert [session.node for session in summary.sessions] == ["a1", "a2"]
        assert summary.sessions[1].agrees_down

    world.run(main)


def test_what_was_being_said_is_said_again_where_nobody_has_heard_it(world: Any) -> None:
    async def main() -> None:
        first, second = two_edges(world, backend=Remembering)

        def die() -> None:
            first.dead = True
            second.announce()

        async with call_to(world) as call:
            await call.say(PACKETS)
            assert await call.reply()
            later(1.0, die)
            await call.say(PACKETS)
            assert await call.reply()
            summary = await call.hang_up()
        here, there = Remembering.calls
        assert (here.utterances, there.utterances) == ([1], [2])
        assert there.heard.frames == len(PACKETS)
        assert summary.utterances == 2
        assert summary.sessions[1].agrees_up

    world.run(main)


def test_a_node_with_other_keys_knows_nobody(world: Any) -> None:
    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        second.restart(OTHER_KEYS)

        def die() -> None:
            first.dead = True
            second.announce()

        async with call_to(world) as call:
            later(5.0, die)
            assert not await call.reply()
            summary = await call.hang_up()
        assert (summary.reconnects, summary.resumed) == (1, 0)

    world.run(main)


def test_a_caller_that_missed_the_answer_asks_again_and_gets_the_same_call(world: Any) -> None:
    """The token is used up by then; but it has brought the call here, so it is not lost, nor begun once more."""

    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        send = second.endpoint.datagrams_to_send
        muffled: list[float] = []

        def send_late(now: float) -> Any:
            packets = send(now)
            if any(call._seat is not None for call in second.calls._calls):
                muffled.append(now)
                return [] if now < muffled[0] + 4.0 else packets
            return packets

        second.endpoint.datagrams_to_send = send_late

        def die() -> None:
            first.dead = True
            second.announce()

        call = call_to(world, timeout_s=2.0)
        heard = call.record()
        async with call:
            later(5.0, die)
            assert await call.reply()
            summary = await call.hang_up()
        assert muffled
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert [session.node for session in summary.sessions] == ["a1", "a2"]
        assert summary.sessions[1].agrees_down
        assert len(second.calls.records()) == 1

    world.run(main)


def test_who_hangs_up_on_the_way_is_accounted_for_all_the_same(world: Any) -> None:
    async def main() -> None:
        first, second = two_edges(world, backend=Remembering)
        async with call_to(world) as call:
            await call.say(PACKETS)
            assert await call.reply()
            await asyncio.sleep(ANSWER_S)
            hand_over(first, second)
            await somebody_at(second)
            summary = await call.hang_up()
        assert summary.ending == "hung_up"
        assert summary.flawless
        assert [session.node for session in summary.sessions] == ["a1", "a2"]

    world.run(main)


# --- what no edge should say ---------------------------------------------------------------------------------

NO_PLACES = [
    "",
    "https://[::1",
    "https://a2:99999",
    "javascript:alert(1)",
    "https://nowhere.example",
    "https://b\u00fccher.example",
    "//",
]


@pytest.mark.parametrize("url", NO_PLACES)
def test_who_is_asked_to_go_nowhere_keeps_the_call(world: Any, url: str) -> None:
    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        call = call_to(world)
        heard = call.record()
        async with call:
            later(3.0, lambda: (first.calls.hand_over([url], "drain", 4000, False), first.step()))
            later(12.0, hand_over, first, second)
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.flawless
        assert summary.last.node == "a2"  # that it can be asked again

    world.run(main)


@pytest.mark.parametrize("url", NO_PLACES)
def test_who_was_told_of_no_address_comes_back_by_the_service(world: Any, url: str) -> None:
    async def main() -> None:
        edge = world.edge(backend=StoryBackend)
        async with call_to(world) as call:
            await asyncio.sleep(2.0)
            (one,) = edge.calls._calls
            announce = one.session.announce_session
            one.session.announce_session = lambda node, _, **state: announce(node, url, **state)
            one._announce()
            edge.step()
            await asyncio.sleep(1.0)
            edge.dead = True
            later(4.0, setattr, edge, "dead", False)
            assert await call.reply()
            summary = await call.hang_up()
        assert (summary.ending, summary.reconnects, summary.resumed) == ("hung_up", 1, 1)

    world.run(main)


def test_another_name_does_not_make_a_caller_believe_it(world: Any) -> None:
    """Whatever place an edge names, who answers there has to prove to be the one that was called."""

    async def main() -> None:
        first = world.edge("a1", "203.0.113.2", backend=StoryBackend)
        world.network.names["elsewhere.example"] = ["203.0.113.6"]
        stranger = world.edge("x1", "203.0.113.6", service=(), backend=StoryBackend)
        asked: list[str | None] = []
        configured = QuicLeg.dial

        async def dial(target: Any, **options: Any) -> Any:
            asked.append(target.server_name or target.host)
            return await configured(target, **options)

        QuicLeg.dial = dial  # type: ignore[method-assign,assignment]
        try:
            async with call_to(world) as call:
                await asyncio.sleep(2.0)
                first.calls.hand_over(["http://elsewhere.example:443"], "drain", 4000, True)
                first.step()
                await asyncio.sleep(4.0)
                assert call.summary().last.node == stranger.name
        finally:
            QuicLeg.dial = configured  # type: ignore[method-assign]
        assert set(asked) == {NAME}

    world.run(main)


def test_a_place_that_is_lost_right_after_it_was_asked_is_asked_once_more(world: Any) -> None:
    """It has the call by then, and the old one, which is drained, lets nobody in."""

    async def main() -> None:
        first, second = two_edges(world, backend=StoryBackend)
        turn = second.calls.turn

        def lose(now: float) -> None:
            turn(now)
            for taken in second.calls._calls:
                if taken._seat is not None and taken.carrier is not None:
                    second.calls.turn = turn
                    taken.carrier.close(Code.GOING_AWAY, "lost")

        second.calls.turn = lose
        call = call_to(world)
        heard = call.record()
        async with call:
            await asyncio.sleep(3.0)
            first.verdict = Verdict.REFUSE
            second.announce()
            hand_over(first, second, within_ms=4000)
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.last.node == "a2"

    world.run(main)
