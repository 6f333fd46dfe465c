"""The caller's reading of items: order, cancellation from either end, and limits."""

import pytest

from edge.voice import Code, Codec, Frame, FramesReceived, ItemDone, WireError
from edge.voice.items import MAX_HELD_BYTES, MAX_ITEMS, ItemReader
from edge.voice.wire import ItemHeader, encode_header, encode_packet


def item(number: int, frames: int = 2, pts0_ms: int = 0) -> bytes:
    header = encode_header(ItemHeader(number, number, 0, pts0_ms, Codec.OPUS))
    return header + b"".join(encode_packet(payload(number, index), Codec.OPUS) for index in range(frames))


def payload(number: int, index: int) -> bytes:
    return f"{number}.{index}".encode()


def frames(number: int, count: int = 2) -> FramesReceived:
    return FramesReceived(
        number, [Frame(number, index, index * 20, payload(number, index)) for index in range(count)]
    )


def test_items_are_heard_in_their_order_however_they_come() -> None:
    reader = ItemReader()
    assert reader.receive(7, item(2), True) == []
    assert reader.receive(3, item(1), False) == [frames(1)]
    assert reader.receive(3, b"", True) == [ItemDone(1, 2, False), frames(2), ItemDone(2, 2, False)]


def test_an_item_without_frames_is_done() -> None:
    assert ItemReader().receive(3, item(1, 0), True) == [ItemDone(1, 0, False)]


def test_an_item_may_begin_in_the_middle() -> None:
    """After a call has moved, the rest of an item is said from where it was played."""
    (received, _) = ItemReader().receive(3, item(1, 1, pts0_ms=1240), True)
    assert received == FramesReceived(1, [Frame(1, 62, 1240, payload(1, 0))])


def test_a_cancelled_item_that_never_came_does_not_hold_up_the_next() -> None:
    reader = ItemReader()
    assert reader.receive(7, item(2), True) == []
    assert reader.cancel(1) == [ItemDone(1, 0, True), frames(2), ItemDone(2, 2, False)]


def test_a_cancelled_item_keeps_what_was_heard_and_drops_what_comes_late() -> None:
    reader = ItemReader()
    assert reader.receive(3, item(1), False) == [frames(1)]
    assert reader.cancel(1) == [ItemDone(1, 2, True)]
    assert reader.receive(3, encode_packet(b"late", Codec.OPUS), False) == []
    reader.reset(3)
    assert reader.cancel(1) == []
    assert reader.receive(7, item(2), True) == [frames(2), ItemDone(2, 2, False)]


def test_silence_is_kept_until_the_edge_has_stopped() -> None:
    """Between interrupting and the edge's answer frames go on arriving; none of them is heard."""
    reader = ItemReader()
    reader.receive(3, item(1), False)
    reader.receive(7, item(2), True)
    reader.expect(3)
    assert reader.silence() == ([1, 2, 3], [3])
    assert reader.receive(3, encode_packet(b"late", Codec.OPUS), False) == []
    assert reader.receive(3, b"", True) == [ItemDone(1, 2, True), ItemDone(2, 0, True)]
    assert reader.cancel(3) == [ItemDone(3, 0, True)]
    assert reader.receive(11, item(4), True) == [frames(4), ItemDone(4, 2, False)]


def test_news_of_an_item_may_come_behind_it() -> None:
    """Control and audio are two streams; the slower one must not look like a contradiction."""
    reader = ItemReader()
    reader.receive(3, item(1), True)
    reader.expect(1)
    assert reader.silence() == ([], [])


def test_a_reset_alone_ends_nothing() -> None:
    """It may arrive before the header: only the control stream can say whose end it is."""
    reader = ItemReader()
    reader.receive(3, b"", False)
    reader.reset(3)
    assert reader.cancel(1) == [ItemDone(1, 0, True)]


@pytest.mark.parametrize(
    "streams,message",
    [
        ([item(1, 1), item(1, 1)], "item 1 a second time"),
        ([item(1 + MAX_ITEMS)], f"item {1 + MAX_ITEMS} while 1 is not over"),
        ([b"\x01\x01\x00\x00\x01"], "stream of type 1, 2 expected"),
    ],
    ids=["twice", "far ahead", "an uplink stream"],
)
def test_a_contradiction_ends_the_call(streams: list[bytes], message: str) -> None:
    reader = ItemReader()
    *before, last = streams
    for number, data in enumerate(before):
        reader.receive(4 * number + 3, data, False)
    with pytest.raises(WireError, match=message):
        reader.receive(99, last, False)


def test_an_edge_cannot_make_a_caller_hold_everything() -> None:
    reader = ItemReader()
    packet = encode_packet(bytes(1276), Codec.OPUS)
    fitting = MAX_HELD_BYTES // 1276
    assert reader.receive(3, item(2, 0) + packet * fitting, False) == []
    with pytest.raises(WireError, match="bytes of later ones wait for it") as caught:
        reader.receive(3, packet, False)
    assert caught.value.code is Code.TOO_FAR_BEHIND
