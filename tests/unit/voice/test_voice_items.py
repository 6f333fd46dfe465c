"""The caller's reading of items: order, interruptions, what is lost and when, and limits."""

import pytest

from edge.voice import Code, Codec, Frame, FramesReceived, ItemDone, WireError
from edge.voice.items import MAX_HELD_BYTES, MAX_ITEMS, ItemReader
from edge.voice.wire import AudioDatagram, GroupHeader, ItemHeader, encode_header, encode_packet

NOW = 1000.0


def item(number: int, frames: int = 2, pts0_ms: int = 0) -> bytes:
    header = encode_header(ItemHeader(number, number, 0, pts0_ms, Codec.OPUS))
    start = pts0_ms // 20
    return header + b"".join(
        encode_packet(payload(number, index), Codec.OPUS) for index in range(start, start + frames)
    )


def group(number: int, index: int, frames: int = 5) -> bytes:
    start = index * 5
    header = encode_header(GroupHeader(number, index, start * 20, Codec.OPUS))
    return header + b"".join(
        encode_packet(payload(number, seq), Codec.OPUS) for seq in range(start, start + frames)
    )


def datagram(number: int, seq: int) -> AudioDatagram:
    return AudioDatagram(number, seq, seq * 20, (payload(number, seq),))


def payload(number: int, index: int) -> bytes:
    return f"{number}.{index}".encode()


def frames(number: int, count: int = 2, start: int = 0) -> FramesReceived:
    return FramesReceived(
        number,
        [Frame(number, index, index * 20, payload(number, index)) for index in range(start, start + count)],
    )


def test_items_are_heard_in_their_order_however_they_come() -> None:
    reader = ItemReader()
    assert reader.receive(7, item(2), True, NOW) == []
    assert reader.receive(3, item(1), False, NOW) == [frames(1)]
    assert reader.receive(3, b"", True, NOW) == [ItemDone(1, 2, False), frames(2), ItemDone(2, 2, False)]


def test_an_item_without_frames_is_done() -> None:
    assert ItemReader().receive(3, item(1, 0), True, NOW) == [ItemDone(1, 0, False)]


def test_an_item_goes_on_where_it_was_broken_off() -> None:
    """On a new stream, from the frame that the caller named; what it has already is not heard again."""
    reader = ItemReader()
    reader.receive(3, item(1, 3), False, NOW)
    reader.detach()
    assert reader.position == (1, 3)
    assert reader.receive(3, item(1, 4, pts0_ms=40), True, NOW) == [frames(1, 3, 3), ItemDone(1, 6, False)]


def test_what_is_missing_on_streams_is_waited_for() -> None:
    """No deadline was agreed, so nothing is ever lost."""
    reader = ItemReader()
    reader.receive(3, group(1, 1), True, NOW)
    assert reader.get_timer(NOW) is None
    assert reader.settle(NOW + 3600, NOW) == []
    assert reader.receive(7, group(1, 0), True, NOW + 3600) == [frames(1, 10)]


def test_a_cancelled_item_that_never_came_does_not_hold_up_the_next() -> None:
    reader = ItemReader()
    assert reader.receive(7, item(2), True, NOW) == []
    assert reader.cancel(1, NOW) == [ItemDone(1, 0, True), frames(2), ItemDone(2, 2, False)]


def test_a_cancelled_item_keeps_what_was_heard_and_drops_what_comes_late() -> None:
    reader = ItemReader()
    assert reader.receive(3, item(1), False, NOW) == [frames(1)]
    assert reader.cancel(1, NOW) == [ItemDone(1, 2, True)]
    assert reader.receive(3, encode_packet(b"late", Codec.OPUS), False, NOW) == []
    assert reader.reset(3, Code.CANCELLED, NOW) == []
    assert reader.cancel(1, NOW) == []
    assert reader.finish(1, 7, NOW) == []
    assert reader.receive(7, item(2), True, NOW) == [frames(2), ItemDone(2, 2, False)]


def test_an_interruption_withholds_what_comes_and_gives_it_back() -> None:
    reader = ItemReader()
    reader.receive(3, item(1), False, NOW)
    assert reader.pause() == ([1], [3])
    assert reader.receive(3, encode_packet(payload(1, 2), Codec.OPUS), False, NOW) == []
    assert reader.position == (1, 3)
    assert reader.resume() == [frames(1, 1, 2)]
    assert reader.receive(7, item(1, 1, pts0_ms=60), True, NOW) == [frames(1, 1, 3), ItemDone(1, 4, False)]


def test_silence_is_for_all_that_had_begun() -> None:
    """Between interrupting and the edge's answer frames go on arriving; none of them is heard, and then others are."""
    reader = ItemReader()
    reader.receive(3, item(1), False, NOW)
    reader.receive(7, item(2), True, NOW)
    reader.expect(3)
    assert reader.pause() == ([1, 2, 3], [3])
    assert reader.receive(3, encode_packet(b"late", Codec.OPUS), True, NOW) == []
    assert reader.receive(11, item(4), True, NOW) == []
    assert reader.silence(NOW) == [
        ItemDone(1, 2, True),
        ItemDone(2, 0, True),
        ItemDone(3, 0, True),
        frames(4),
        ItemDone(4, 2, False),
    ]
    assert reader.cancel(3, NOW) == []


def test_silence_in_silence_hurts_nobody() -> None:
    reader = ItemReader()
    assert reader.pause() == ([], [])
    assert reader.silence(NOW) == []
    assert reader.receive(3, item(1), True, NOW) == [frames(1), ItemDone(1, 2, False)]


def test_news_of_an_item_may_come_behind_it() -> None:
    """Control and audio are two streams; the slower one must not look like a contradiction."""
    reader = ItemReader()
    reader.receive(3, item(1), True, NOW)
    reader.expect(1)
    assert reader.finish(1, 2, NOW) == []
    assert reader.pause() == ([], [])


def test_a_reset_alone_ends_nothing() -> None:
    """It may arrive before the header: only the control stream can say whose end it is."""
    reader = ItemReader()
    reader.receive(3, b"", False, NOW)
    reader.reset(3, Code.CANCELLED, NOW)
    assert reader.cancel(1, NOW) == [ItemDone(1, 0, True)]


# --- deadlines -----------------------------------------------------------------------------------------


def test_an_item_in_groups_ends_where_the_edge_says() -> None:
    reader = ItemReader(500)
    assert reader.receive(3, group(1, 0), True, NOW) == [frames(1, 5)]
    assert reader.finish(1, 10, NOW) == []
    assert reader.receive(7, group(1, 1), True, NOW) == [frames(1, 5, 5), ItemDone(1, 10, False)]


def test_a_missing_group_is_worth_its_deadline_after_it_is_due() -> None:
    """There are 300 ms left to play before it: giving it up any earlier would throw away speech that may yet come."""
    reader = ItemReader(100)
    reader.receive(3, group(1, 1), True, NOW)
    dry_at = NOW + 0.3
    assert reader.get_timer(dry_at) == pytest.approx(NOW + 0.4)
    assert reader.settle(NOW + 0.39, dry_at) == []
    assert reader.settle(NOW + 0.41, dry_at) == [frames(1, 5, 5)]
    assert reader.receive(7, group(1, 0), True, NOW + 0.5) == []
    assert reader.late == 5
    assert reader.finish(1, 10, NOW + 1) == [ItemDone(1, 5, False, lost=5)]


def test_holes_are_due_one_after_the_other() -> None:
    """The second is due after what is between them has been played, not with the first."""
    reader = ItemReader(100)
    for stream, index in ((3, 1), (7, 3)):
        reader.receive(stream, group(1, index), True, NOW)
    assert reader.settle(NOW + 0.2, NOW) == [frames(1, 5, 5)]
    assert reader.settle(NOW + 0.2, NOW + 0.3) == []
    assert reader.settle(NOW + 0.4, NOW + 0.3) == [frames(1, 5, 15)]


def test_a_group_that_is_given_up_is_lost_at_once() -> None:
    reader = ItemReader(500)
    reader.receive(3, group(1, 0, 2), False, NOW)
    reader.receive(7, group(1, 1), True, NOW)
    assert reader.reset(3, Code.DEADLINE, NOW) == [frames(1, 5, 5)]


@pytest.mark.parametrize("deadline_ms", [50, None], ids=["agreed", "not agreed"])
def test_a_missing_datagram_is_not_waited_for(deadline_ms: int | None) -> None:
    """It is not sent again; only those behind it may have overtaken it. What is left to play does not matter."""
    reader = ItemReader(deadline_ms)
    assert reader.receive_datagram(datagram(1, 0), NOW) == [frames(1, 1)]
    assert reader.receive_datagram(datagram(1, 2), NOW) == []
    assert reader.get_timer(NOW + 1) == pytest.approx(NOW + 0.05)
    assert reader.settle(NOW + 0.06, NOW + 1) == [frames(1, 1, 2)]


def test_nothing_is_given_up_while_the_caller_makes_up_its_mind() -> None:
    reader = ItemReader(50)
    reader.receive(3, group(1, 1), True, NOW)
    reader.pause()
    assert reader.get_timer(NOW) is None
    assert reader.settle(NOW + 0.3, NOW) == []
    reader.resume()
    assert reader.settle(NOW + 0.3, NOW) == [frames(1, 5, 5)]


# --- limits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "streams,message",
    [
        ([item(1 + MAX_ITEMS)], f"item {1 + MAX_ITEMS} while 1 is not over"),
        ([item(0)], "items count from 1"),
        ([b"\x05\x01\x00\x00\x01"], "stream of type 5, 2 or 1 expected"),
        ([item(1, 3), item(1, 1)], "1 frames, but there are 3"),
    ],
    ids=["far ahead", "no item", "no audio", "two ends"],
)
def test_a_contradiction_ends_the_call(streams: list[bytes], message: str) -> None:
    reader = ItemReader()
    *before, last = streams
    for number, data in enumerate(before):
        reader.receive(4 * number + 3, data, False, NOW)
    with pytest.raises(WireError, match=message):
        reader.receive(99, last, True, NOW)


def test_an_edge_cannot_make_a_caller_hold_everything() -> None:
    reader = ItemReader()
    packet = encode_packet(bytes(1276), Codec.OPUS)
    fitting = MAX_HELD_BYTES // 1276
    assert reader.receive(3, item(2, 0) + packet * fitting, False, NOW) == []
    with pytest.raises(WireError, match="bytes of speech are held") as caught:
        reader.receive(3, packet, False, NOW)
    assert caught.value.code is Code.TOO_FAR_BEHIND
