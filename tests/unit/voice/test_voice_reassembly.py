"""What only items have: streams that end them, and owners with a clock of their own."""

from edge.voice.errors import Code
from edge.voice.frame import Codec, Frame
from edge.voice.reassembly import Reassembly
from edge.voice.slots import Delivered, Lost
from edge.voice.units import Ended, Limits
from edge.voice.wire import AudioDatagram, GroupHeader, ItemHeader, encode_header, encode_packet

NOW = 30.0


def reassembly(deadline_ms: int | None = 100) -> Reassembly:
    return Reassembly(
        Limits(units=8, groups=40, held_bytes=10_000),
        deadline_ms,
        noun="item",
        streams=(ItemHeader, GroupHeader),
    )


def stream(item: int, first: int, stop: int) -> bytes:
    header = encode_header(ItemHeader(item, item, 0, first * 20, Codec.OPUS))
    return header + b"".join(encode_packet(b"%d" % seq, Codec.OPUS) for seq in range(first, stop))


def group(item: int, number: int, count: int = 5) -> bytes:
    header = encode_header(GroupHeader(item, number, number * 100, Codec.OPUS))
    return header + b"".join(encode_packet(b"%d" % (5 * number + n), Codec.OPUS) for n in range(count))


def delivered(item: int, first: int, stop: int) -> Delivered:
    return Delivered(item, [Frame(item, seq, seq * 20, b"%d" % seq) for seq in range(first, stop)])


def test_the_end_of_its_stream_ends_an_item() -> None:
    items = reassembly()
    assert items.receive(3, stream(1, 0, 7), True, NOW) == [delivered(1, 0, 7), Ended(1, 7, 0)]
    assert items.receive(7, stream(2, 0, 0), True, NOW) == [Ended(2, 0, 0)]


def test_an_item_goes_on_in_another_stream() -> None:
    """After an interruption that was none, or on another connection; what is repeated is heard once."""
    items = reassembly()
    assert items.receive(3, stream(1, 0, 7), False, NOW) == [delivered(1, 0, 7)]
    assert items.reset(3, Code.CANCELLED, NOW) == []
    assert items.receive(7, stream(1, 5, 9), True, NOW) == [delivered(1, 7, 9), Ended(1, 9, 0)]
    assert items.late == 0


def test_a_reset_of_an_item_loses_nothing_by_itself() -> None:
    """Which of its frames will yet be said again, the edge says on the control stream."""
    items = reassembly()
    items.receive(3, stream(1, 0, 2), False, NOW)
    assert items.reset(3, Code.DEADLINE, NOW) == []
    assert items.receive(7, group(1, 1), True, NOW) == []
    assert items.lost == 0


def test_the_end_of_a_stream_of_what_is_not_wanted_is_nothing() -> None:
    items = reassembly()
    items.receive(3, stream(2, 0, 2), False, NOW)
    assert items.drop(2, NOW, "event") == []
    assert items.receive(3, b"", True, NOW) == []
    assert items.receive(7, stream(1, 0, 1), True, NOW) == [
        delivered(1, 0, 1),
        Ended(1, 1, 0),
        Ended(2, 0, 0, dropped=True),
    ]


def test_groups_and_the_stream_of_an_item_fit_together() -> None:
    items = reassembly()
    assert items.receive(7, group(1, 1, 2), True, NOW) == []
    assert items.receive(3, stream(1, 0, 3), False, NOW) == [delivered(1, 0, 3)]
    assert items.receive_datagram(AudioDatagram(1, 4, 80, (b"4", b"3")), NOW) == [delivered(1, 3, 7)]
    assert items.end(1, 7, NOW, "event") == [Ended(1, 7, 0)]


def test_a_group_that_is_reset_is_lost_as_soon_as_more_is_known_behind_it() -> None:
    """Not before: the last group may be short, and what does not exist cannot be lost."""
    items = reassembly(None)
    cut = group(1, 0)[:-4]
    assert items.receive(3, cut, False, NOW) == [delivered(1, 0, 3)]
    assert items.reset(3, Code.DEADLINE, NOW) == []
    assert items.end(1, 3, NOW, "event") == [Ended(1, 3, 0)]
    assert items.receive(7, group(2, 0)[:-4], False, NOW) == [delivered(2, 0, 3)]
    assert items.reset(7, Code.DEADLINE, NOW) == []
    assert items.receive(11, group(2, 1), True, NOW) == [Lost(2, 3, 2), delivered(2, 5, 10)]


def test_a_copy_makes_good_what_was_given_up() -> None:
    """A datagram repeats the last frame of the group before it, whose stream is reset meanwhile."""
    items = reassembly()
    items.receive(3, group(1, 0)[:-2], False, NOW)
    items.reset(3, Code.DEADLINE, NOW)
    assert items.receive_datagram(AudioDatagram(1, 5, 100, (b"5", b"4")), NOW) == [delivered(1, 4, 6)]
    assert items.lost == 0


def test_a_copy_after_the_original_and_an_original_after_its_copy_are_heard_once() -> None:
    items = reassembly()
    one, two = AudioDatagram(1, 0, 0, (b"0",)), AudioDatagram(1, 1, 20, (b"1", b"0"))
    assert items.receive_datagram(one, NOW) == [delivered(1, 0, 1)]
    assert items.receive_datagram(two, NOW) == [delivered(1, 1, 2)]
    assert items.receive_datagram(AudioDatagram(1, 3, 60, (b"3", b"2")), NOW) == [delivered(1, 2, 4)]
    assert items.receive_datagram(AudioDatagram(1, 2, 40, (b"2", b"1")), NOW) == []
    assert (items.lost, items.late) == (0, 0)


def test_an_owner_may_skip_a_hole_by_its_own_clock() -> None:
    items = reassembly(None)
    assert items.skip(NOW) == []
    items.receive(7, group(1, 1), True, NOW)
    items.receive(15, group(1, 3), True, NOW + 1)
    assert items.missing_since == NOW
    assert items.skip(NOW + 2) == [Lost(1, 0, 5), delivered(1, 5, 10)]
    assert items.missing_since == NOW + 1
    assert items.receive(3, group(1, 0), True, NOW + 2) == []
    assert (items.lost, items.late) == (5, 5)


def test_a_frame_is_late_once_however_often_it_comes() -> None:
    items = reassembly()
    items.receive(7, group(1, 1), True, NOW)
    items.handle_timer(NOW + 0.1)
    for _ in range(3):
        items.receive_datagram(AudioDatagram(1, 2, 40, (b"2", b"1")), NOW + 0.2)
    assert (items.lost, items.late) == (5, 2)


def test_deadlines_hold_from_a_unit_on() -> None:
    items = reassembly(100)
    items.set_deadline(None, 2)
    items.set_deadline(300, 3)
    for item in (1, 2, 3):
        items.receive(4 * item, group(item, 1), True, NOW)
        items.end(item, 10, NOW, "event")
    assert items.get_timer() == NOW + 0.1
    items.handle_timer(NOW + 0.1)
    assert items.get_timer() is None
    items.receive(40, group(2, 0), True, NOW + 0.2)
    assert (items.position, items.get_timer()) == ((3, 0), NOW + 0.3)


def test_begun_are_the_items_that_are_not_over() -> None:
    items = reassembly()
    items.begin(1, "event")
    items.receive(7, group(3, 0), True, NOW)
    assert items.begun == [1, 3]
    items.drop(1, NOW, "event")
    items.begin(1, "event")
    assert items.begun == [3]


def test_a_later_frame_does_not_put_off_what_the_end_has_begun() -> None:
    items = reassembly(100)
    items.end(1, 10, NOW, "event")
    items.receive(7, group(1, 1), True, NOW + 0.05)
    assert items.get_timer() == NOW + 0.1


def test_of_what_is_not_wanted_nothing_is_lost() -> None:
    items = reassembly(100)
    items.end(2, 10, NOW, "event")
    items.drop(2, NOW, "event")
    assert items.drop(1, NOW + 1, "event") == [Ended(1, 0, 0, dropped=True), Ended(2, 0, 0, dropped=True)]
    assert items.lost == 0


# The limit is 40 groups: each of these went beyond it if anything was counted as held that is not.


def test_a_reset_of_what_came_otherwise_is_not_held() -> None:
    items = reassembly()
    for number in range(100):
        items.receive(number, group(1, number, 0), False, NOW)
        for seq in range(5 * number, 5 * number + 5):
            items.receive_datagram(AudioDatagram(1, seq, seq * 20, (b"x",)), NOW)
        items.reset(number, Code.DEADLINE, NOW)
    assert (items.position, items.lost) == ((1, 500), 0)


def test_a_reset_of_frames_that_never_were_is_not_held() -> None:
    items = reassembly()
    for item in range(1, 100):
        items.receive(item, group(item, 0, 1), False, NOW)
        items.reset(item, Code.DEADLINE, NOW)
        assert items.end(item, 1, NOW, "event") == [Ended(item, 1, 0)]


def test_a_reset_of_what_is_not_wanted_is_not_held() -> None:
    items = reassembly()
    items.drop(2, NOW, "event")
    for number in range(100):
        items.receive(number, group(2, number, 0), False, NOW)
        items.reset(number, Code.DEADLINE, NOW)
    assert items.begun == [2]
