"""Calls over real QUIC on a network that loses, delays and breaks, in virtual time."""

import pytest
from sim.voice_world import Bursts, Caller, Edge, speech
from sim.world import Network, World

from edge.voice import (
    FRAME_MS,
    RESUME_S,
    BargedIn,
    CallContinued,
    Code,
    DeadlinesAgreed,
    ItemDone,
    Presented,
    ResetStream,
    ResponseCancelled,
    StatsReceived,
    UtteranceCommitted,
)

RTT = 0.06
GROUP_BYTES = 5 * 80


def bad_world(seed: int, loss: float) -> World:
    world = World(Network(seed=seed, delay=RTT / 2, jitter=0.005))
    world.blocks.append(Bursts(100 + seed, loss))
    return world


def good_world() -> World:
    return World(Network(seed=1, delay=RTT / 2))


@pytest.mark.parametrize("seed", [1, 3])
def test_chat_loses_nothing_at_a_tenth_of_all_packets(seed: int) -> None:
    """Half a second is enough for several repairs: nothing is lost, and nothing waits for the repair of another.

    These seeds are ordinary. Of 30 others one loses a frame, in bursts that take almost all packets of half a second.
    """
    world = bad_world(seed, 0.1)
    edge = Edge(world, [speech(1, 500)])
    caller = Caller(edge, deadline="chat")
    words = speech(2, 500)
    world.run(1.0)
    caller.say(words)
    world.run(16.0)
    (call,) = edge.calls
    assert [frame.payload for frame in call.frames] == words
    assert [frame.payload for frame in caller.received()] == speech(1, 500)
    assert caller.of(UtteranceCommitted) == [UtteranceCommitted(1, 500, lost=0)]
    assert caller.of(ItemDone) == [ItemDone(1, 500, cancelled=False, lost=0)]
    late = sorted(heard - said for heard, said in zip(call.heard_at, caller.said_at, strict=True))
    assert late[len(late) // 2] < RTT / 2 + 0.1  # a group's length at most
    assert late[-1] < RTT / 2 + 0.5 + 0.1


def test_live_declares_what_is_lost_and_both_ledgers_agree(world_seed: int) -> None:
    """At 60 ms a repair within 50 ms is not possible, so both directions go in datagrams."""
    world = bad_world(world_seed, 0.15)
    edge = Edge(world, [speech(1, 500)])
    caller = Caller(edge, deadline="live")
    world.run(1.0)
    caller.say(speech(2, 500))
    world.run(14.0)
    caller.do("request_stats")
    world.run(16.0)
    assert caller.of(DeadlinesAgreed)[-1].uplink_datagrams
    (committed,) = caller.of(UtteranceCommitted)
    assert 0 < committed.lost < 150
    assert committed.frames + committed.lost == 500
    (done,) = caller.of(ItemDone)
    assert done.frames + done.lost == 500
    assert [frame.seq for frame in caller.received()] == sorted({frame.seq for frame in caller.received()})
    stats: StatsReceived = caller.of(StatsReceived)[-1]
    assert stats.heard.accounts_for(caller.session.said.count())
    assert caller.session.heard.count().without(done.lost).accounts_for(stats.said)


def test_an_interruption_costs_the_lead_and_its_account_is_exact() -> None:
    world = good_world()
    edge = Edge(world, [speech(1, 3000), speech(2, 50)])
    caller = Caller(edge)
    world.run(6.0)
    caller.do("cancel", world.now)
    played_ms = caller.session.playout.played_ms
    world.run(6.0 + RTT + RESUME_S - 0.05)
    (call,) = edge.calls
    assert not any(isinstance(event, ResponseCancelled) for event in call.told)
    assert ResetStream(0, Code.CANCELLED) in call.done
    world.run(9.0)
    (barged_in,) = caller.of(BargedIn)
    account = barged_in.account
    assert [event.account for event in call.told if isinstance(event, ResponseCancelled)] == [account]
    heard_bytes = sum(len(payload) for payload in speech(1, 3000)[: account.played_ms // FRAME_MS])
    assert account.played_ms == played_ms
    assert account.generated_bytes == account.wire_bytes + account.saved_bytes
    assert account.played_bytes == heard_bytes
    assert account.wasted_bytes <= 50 * 80 + 2 * GROUP_BYTES
    assert account.saved_bytes > 20 * account.wasted_bytes / 3
    assert account.cancel_ms == pytest.approx(RTT * 500, abs=2)
    assert [frame.payload for frame in caller.received() if frame.utterance == 2] == speech(2, 50)


def test_a_cough_costs_a_pause_and_no_word(world_seed: int) -> None:
    world = bad_world(world_seed, 0.03)
    edge = Edge(world, [speech(1, 400)])
    caller = Caller(edge)
    world.run(3.0)
    caller.do("cancel", world.now)
    world.run(3.2)
    caller.do("resume", world.now)
    world.run(12.0)
    (call,) = edge.calls
    assert [frame.payload for frame in caller.received()] == speech(1, 400)
    assert caller.of(ItemDone) == [ItemDone(1, 400, cancelled=False)]
    assert not any(isinstance(event, ResponseCancelled) for event in call.told)
    assert caller.session.playout.played_ms == 400 * FRAME_MS


def test_a_cable_pulled_in_the_middle_of_two_sentences_costs_neither_a_word(world_seed: int) -> None:
    """Both speak when it happens. Each goes on where the other is: nothing is missing, nothing is said twice."""
    world = bad_world(world_seed, 0.03)
    edge = Edge(world, [speech(1, 600), speech(3, 40)])
    caller = Caller(edge, deadline="accurate")
    words = speech(2, 350)
    world.run(1.0)
    caller.say(words)
    world.run(4.0)
    caller.lose_carrier()
    world.run(5.5)
    caller.come_back()
    world.run(22.0)
    (call,) = edge.calls
    assert [frame.payload for frame in call.frames] == words
    assert [frame.payload for frame in caller.received()] == speech(1, 600) + speech(3, 40)
    (continued,) = caller.of(CallContinued)
    assert continued.whole
    assert caller.of(UtteranceCommitted) == [UtteranceCommitted(1, 350)]
    assert [done.item for done in caller.of(ItemDone)] == [1, 2]
    assert caller.session.playout.played_ms == 40 * FRAME_MS


def test_an_ending_that_went_down_with_the_connection_is_told_on_the_next() -> None:
    """All of the answer had arrived, the news of its end had not; the next one must not wait for that forever."""
    world = good_world()
    edge = Edge(world, [speech(1, 30)])
    caller = Caller(edge)
    world.run(0.4)
    (call,) = edge.calls
    deaf = caller.client.address
    world.blocks.append(lambda datagram: datagram.destination == deaf)
    call.items.append(speech(2, 30))
    world.run(1.0)
    caller.lose_carrier()
    world.run(2.0)
    caller.come_back()
    world.run(6.0)
    assert [frame.payload for frame in caller.received()] == speech(1, 30) + speech(2, 30)
    assert [done.item for done in caller.of(ItemDone)] == [1, 2]


def test_early_words_have_no_effect_before_the_handshake_is_confirmed() -> None:
    """With a ticket they are with the edge after half a round trip, and with the backend when it knows who speaks."""
    world = good_world()
    edge = Edge(world)
    first = Caller(edge)
    world.run(1.0)
    ticket = first.phone.ticket
    assert ticket is not None
    caller = Caller(edge, ticket=ticket, token="t1")
    caller.say(speech(2, 10))
    began = world.now
    world.run(began + RTT / 2 + 0.005)
    call = edge.calls[-1]
    assert call.told == [Presented("t1", None)]
    assert call.done == []
    world.run(began + 1.0)
    assert [frame.payload for frame in call.frames] == speech(2, 10)
    assert call.heard_at[0] - began < 1.6 * RTT
    assert caller.of(UtteranceCommitted) == [UtteranceCommitted(1, 10)]
