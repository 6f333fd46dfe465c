"""The group sender: what goes on which stream or datagram, when it expires, and where the way may change."""

from collections.abc import Callable
from itertools import count

import pytest

from edge.voice.actions import ExpireStream, ResetStream, SendDatagram, SendStream
from edge.voice.errors import Code
from edge.voice.frame import Codec, Frame
from edge.voice.groups import MAX_PACKET_BYTES, GroupSender
from edge.voice.wire import AudioDatagram, AudioStream, GroupHeader, decode_datagram

NOW = 50.0
D = 500


def frames(first: int, stop: int, unit: int = 1, codec: Codec = Codec.OPUS, size: int = 0) -> list[Frame]:
    return [
        Frame(unit, seq, seq * 20, f"{unit}.{seq}".encode().ljust(size), codec) for seq in range(first, stop)
    ]


def read(sends: list[SendStream]) -> list[tuple[int, GroupHeader | None, list[bytes], bool]]:
    """Each stream whole: its number, header, packets, and whether it is ended."""
    streams: dict[int, tuple[AudioStream[GroupHeader], list[bytes]]] = {}
    for send in sends:
        stream, packets = streams.setdefault(send.stream, (AudioStream(GroupHeader, "stream"), []))
        packets += stream.receive(send.data, send.fin)
    return [(number, s.header, packets, s.finished) for number, (s, packets) in streams.items()]


def sender(*, datagrams: bool = False) -> GroupSender:
    groups = GroupSender(count(7))
    groups.datagrams = datagrams
    return groups


def on_streams(sends: list[SendStream | SendDatagram]) -> list[SendStream]:
    return [send for send in sends if isinstance(send, SendStream)]


def in_datagrams(sends: list[SendStream | SendDatagram]) -> list[AudioDatagram]:
    read = [decode_datagram(send.data) for send in sends if isinstance(send, SendDatagram)]
    return [datagram for datagram in read if isinstance(datagram, AudioDatagram)]


@pytest.mark.parametrize("sizes", [[12], [1] * 12, [3, 4, 5], [5, 5, 2]])
def test_groups_are_the_same_however_frames_come(sizes: list[int]) -> None:
    groups = sender()
    sends: list[SendStream | SendDatagram] = []
    said = 0
    for size in sizes:
        sends += groups.write(frames(said, said + size), NOW, D)
        said += size
    sends += groups.end(NOW, D)
    payloads = [frame.payload for frame in frames(0, 12)]
    assert read(on_streams(sends)) == [
        (7 + group, GroupHeader(1, group, group * 100, Codec.OPUS), payloads[5 * group : 5 * group + 5], True)
        for group in range(3)
    ]


def test_the_next_unit_begins_a_group() -> None:
    groups = sender()
    groups.write(frames(0, 3), NOW, D)
    groups.end(NOW, D)
    (send,) = on_streams(groups.write(frames(0, 1, unit=2), NOW, D))
    assert read([send]) == [(8, GroupHeader(2, 0, 0, Codec.OPUS), [b"2.0"], False)]


def test_a_stream_expires_its_deadline_after_its_last_frame() -> None:
    """Not after its first: a group takes 80 ms to be said."""
    groups = sender()
    groups.write(frames(0, 4), NOW, D)
    assert groups.get_timer() is None
    groups.write(frames(4, 6), NOW + 0.08, D)
    assert groups.get_timer() == NOW + 0.58
    assert groups.handle_timer(NOW + 0.57) == []
    assert groups.handle_timer(NOW + 0.58) == [ExpireStream(7)]
    assert (groups.get_timer(), groups.unit_of(7), groups.unit_of(8)) == (None, None, 1)
    groups.end(NOW + 1, D)
    assert groups.handle_timer(NOW + 1.5) == [ExpireStream(8)]


def test_each_group_keeps_the_deadline_it_was_written_with() -> None:
    groups = sender()
    groups.write(frames(0, 5), NOW, 5000)
    groups.write(frames(5, 10), NOW, None)
    groups.write(frames(10, 15), NOW, 50)
    assert groups.handle_timer(NOW + 0.05) == [ExpireStream(9)]
    assert groups.handle_timer(NOW + 100) == [ExpireStream(7)]
    assert groups.get_timer() is None


def test_each_datagram_repeats_the_one_before_it_in_its_unit() -> None:
    groups = sender(datagrams=True)
    sends = groups.write(frames(0, 6), NOW, D)
    assert groups.end(NOW, D) == []
    sends += groups.write(frames(0, 1, unit=2), NOW, D)
    assert in_datagrams(sends) == [
        AudioDatagram(1, 0, 0, (b"1.0",)),
        *(AudioDatagram(1, n, n * 20, (f"1.{n}".encode(), f"1.{n - 1}".encode())) for n in range(1, 6)),
        AudioDatagram(2, 0, 0, (b"2.0",)),
    ]
    assert (on_streams(sends), groups.get_timer()) == ([], None)


@pytest.mark.parametrize("leave", [lambda groups: groups.forget(), lambda groups: groups.cancel(1)])
def test_what_is_taken_up_elsewhere_repeats_nothing(leave: Callable[[GroupSender], object]) -> None:
    """The packet before it in the datagram would be heard as the frame before it in the unit."""
    groups = sender(datagrams=True)
    groups.write(frames(0, 3), NOW, D)
    leave(groups)
    assert in_datagrams(groups.write(frames(7, 8), NOW, D)) == [AudioDatagram(1, 7, 140, (b"1.7",))]


def test_the_way_changes_between_groups_only() -> None:
    """A receiver that knows where a group is can tell what was given up with its stream."""
    groups = sender()
    sends = groups.write(frames(0, 2), NOW, D)
    groups.datagrams = True
    sends += groups.write(frames(2, 7), NOW, D)
    groups.datagrams = False
    sends += groups.write(frames(7, 12), NOW, D)
    streams = [(header.group, len(packets)) for _, header, packets, _ in read(on_streams(sends)) if header]
    assert streams == [(0, 5), (2, 2)]
    assert [datagram.seq for datagram in in_datagrams(sends)] == [5, 6, 7, 8, 9]
    assert in_datagrams(sends)[0].packets == (b"1.5", b"1.4")


def test_what_no_datagram_can_take_goes_on_a_stream() -> None:
    large = frames(0, 5, size=MAX_PACKET_BYTES + 1)
    other = frames(0, 5, codec=Codec.PCMU, size=160)
    for said in (large, other):
        groups = sender(datagrams=True)
        sends = groups.write(said, NOW, D)
        assert read(on_streams(sends))[0][2] == [frame.payload for frame in said]
        assert in_datagrams(sends) == []


def test_two_of_the_largest_packets_fit_a_datagram() -> None:
    groups = sender(datagrams=True)
    sends = groups.write(frames(0, 2, size=MAX_PACKET_BYTES), NOW, D)
    assert max(len(send.data) for send in sends) <= 1150


def test_a_packet_that_grows_within_a_group_takes_the_group_to_a_stream() -> None:
    """A stream holds a group from its first frame on, so those that went in datagrams go again."""
    groups = sender(datagrams=True)
    sends = groups.write(frames(0, 7), NOW, D)
    large = frames(7, 8, size=MAX_PACKET_BYTES + 1)
    sends = [*groups.write(large, NOW, D), *groups.write(frames(8, 10), NOW, D)]
    ((_, header, packets, fin),) = read(on_streams(sends))
    assert (header, fin) == (GroupHeader(1, 1, 100, Codec.OPUS), True)
    assert packets == [b"1.5", b"1.6", large[0].payload, b"1.8", b"1.9"]
    assert in_datagrams(sends) == []


def test_a_unit_taken_up_in_the_middle_of_a_group_leaves_slots_where_they_are() -> None:
    groups = sender()
    sends = groups.write(frames(7, 10), NOW, D)
    ((_, header, packets, fin),) = read(on_streams(sends))
    assert (header, fin) == (GroupHeader(1, 1, 100, Codec.OPUS), True)
    assert packets[2:] == [b"1.7", b"1.8", b"1.9"]


def test_taken_up_in_datagrams_a_group_can_still_go_to_a_stream() -> None:
    groups = sender(datagrams=True)
    groups.write(frames(7, 8), NOW, D)
    large = frames(8, 9, size=MAX_PACKET_BYTES + 1)
    ((_, header, packets, _),) = read(on_streams(groups.write(large, NOW, D)))
    assert header == GroupHeader(1, 1, 100, Codec.OPUS)
    assert packets[2:] == [b"1.7", large[0].payload]


def test_after_a_cancel_the_earliest_of_the_rest_expires_first() -> None:
    groups = sender()
    for unit, deadline_ms in ((1, 100), (2, 5000), (2, 200)):
        groups.write(frames(0, 5, unit=unit), NOW, deadline_ms)
    groups.cancel(1)
    assert groups.get_timer() == NOW + 0.2


def test_cancel_gives_up_what_can_still_be_said_again_of_one_unit() -> None:
    groups = sender()
    groups.write(frames(0, 5), NOW, D)
    groups.end(NOW, D)
    groups.write(frames(0, 7, unit=2), NOW + 0.1, D)
    assert (groups.unit_of(7), groups.unit_of(8), groups.unit_of(9)) == (1, 2, 2)
    assert groups.cancel(2) == [ResetStream(8, Code.CANCELLED), ResetStream(9, Code.CANCELLED)]
    assert groups.cancel(2) == []
    assert groups.end(NOW, D) == []
    assert groups.handle_timer(NOW + 9) == [ExpireStream(7)]


def test_nothing_of_a_carrier_that_is_gone_expires_on_the_next() -> None:
    groups = sender()
    groups.write(frames(0, 8), NOW, D)
    groups.forget()
    assert (groups.get_timer(), groups.unit_of(7), groups.end(NOW, D)) == (None, None, [])
    ((number, header, _, _),) = read(on_streams(groups.write(frames(5, 8), NOW, D)))
    assert (number, header) == (9, GroupHeader(1, 1, 100, Codec.OPUS))


def test_a_payload_that_is_no_frame_changes_nothing() -> None:
    groups = sender()
    with pytest.raises(ValueError, match="0 bytes of OPUS"):
        groups.write([*frames(0, 2), Frame(1, 2, 40, b"")], NOW, D)
    assert read(on_streams(groups.write(frames(0, 5), NOW, D)))[0][0] == 7
