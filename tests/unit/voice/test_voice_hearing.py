"""Reader and playout together: what an interruption silences, and what the edge must be told of it."""

from edge.voice import CallerSession, Codec, FramesReceived, ItemDone, SendControl, control, records
from edge.voice.hearing import Hearing
from edge.voice.turns import RESUME_S
from edge.voice.wire import GroupHeader, ItemHeader, encode_header, encode_packet

NOW = 1000.0


def item(number: int, frames: int) -> bytes:
    header = encode_header(ItemHeader(number, number, 0, 0, Codec.OPUS))
    return header + encode_packet(b"word", Codec.OPUS) * frames


def test_speech_that_comes_while_the_caller_interrupts_is_played_if_it_was_not_meant() -> None:
    """A new answer may begin before the interruption is final; it was not interrupted, and the edge waits for it."""
    hearing = Hearing(start_ms=20)
    hearing.receive(3, item(1, 5), False, NOW)
    assert hearing.interrupt(NOW) == ([1], [3])
    assert hearing.receive(7, item(2, 5), True, NOW + 0.3) == []
    heard = hearing.settle(NOW + RESUME_S)
    assert [type(event) for event in heard] == [ItemDone, FramesReceived, ItemDone]
    assert (hearing.playout.playing, hearing.playout.item, hearing.playout.buffered_ms) == (True, 2, 100)


def test_what_the_edge_gives_up_is_neither_played_nor_read() -> None:
    hearing = Hearing(start_ms=20)
    hearing.receive(3, item(1, 5), False, NOW)
    assert hearing.give_up(1, NOW + 0.05) == [ItemDone(1, 5, True)]
    assert not hearing.playout.playing
    assert hearing.receive(3, encode_packet(b"late", Codec.OPUS), False, NOW + 0.06) == []
    assert hearing.finish(1, 6, NOW + 0.07) == []
    assert hearing.give_up(1, NOW + 0.08) == []


def test_frames_lost_at_the_very_end_take_their_time() -> None:
    """Else the caller would report less than was said, and the edge would take the rest for not played."""
    hearing = Hearing(start_ms=20)
    hearing.items.deadline_ms = 100
    group = encode_header(GroupHeader(1, 0, 0, Codec.OPUS)) + encode_packet(b"word", Codec.OPUS) * 5
    hearing.receive(3, group, True, NOW)
    hearing.finish(1, 10, NOW)
    hearing.settle(NOW + 0.1)
    assert ItemDone(1, 5, False, lost=5) in hearing.settle(NOW + 0.21)
    hearing.settle(NOW + 1)
    assert hearing.playout.played_ms == 200


def test_an_interruption_is_remembered_until_the_edge_knows() -> None:
    hearing = Hearing(start_ms=20)
    hearing.receive(3, item(1, 5), True, NOW)
    hearing.receive(7, item(2, 5), False, NOW)
    hearing.interrupt(NOW)
    assert hearing.refused == [1, 2]
    hearing.give_up(1, NOW)
    assert hearing.refused == [2]
    hearing.resume(NOW + 0.1)
    assert hearing.refused == []
    hearing.interrupt(NOW + 0.2)
    assert hearing.detach(NOW + 0.3) == [ItemDone(2, 5, True)]
    assert hearing.resume(NOW + 0.3) is None
    assert hearing.refused == [2]


def sent(caller: CallerSession) -> list[object]:
    """The events that the caller has sent."""
    said: list[object] = []
    stream = records.RecordStream()
    while (action := caller.next_action()) is not None:
        if isinstance(action, SendControl):
            said += [records.caller_events.decode(record) for record in stream.receive(action.data)]
    return said


def test_an_interruption_that_was_lost_with_the_connection_is_said_again() -> None:
    """Else the edge would never truncate, and wait for ever for the rest of the item to be played."""
    caller = CallerSession(NOW)
    info = control.EdgeSessionInfo(
        session_id="call-1", node="a", unicast_url="a", resume_token="token", migrated=False
    )
    caller.receive_control(records.encode(info), False, NOW)
    caller.receive_stream(3, item(1, 10), False, NOW)
    caller.cancel(NOW + 0.1)
    sent(caller)
    caller.reconnect(NOW + 0.2)
    sent(caller)
    caller.receive_control(records.encode(control.Reconnected(utterance=1, frames=0)), False, NOW + 0.3)
    assert sent(caller) == [control.CancelResponse(response_id="resp_1")]
