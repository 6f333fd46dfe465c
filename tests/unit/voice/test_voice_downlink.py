"""The downlink: ring, backpressure, grouping, interruptions, reconnects, and exactly what goes on which stream."""

from collections.abc import Iterable

import pytest

from edge.voice import (
    CHUNK_MS,
    RING_MS,
    Code,
    Codec,
    ExpireStream,
    Frame,
    PlayoutReport,
    ResetStream,
    SendDatagram,
    SendStream,
)
from edge.voice.anatomy import Turn
from edge.voice.barge_in import BargeIn
from edge.voice.deadline import PRESETS, Deadlines
from edge.voice.downlink import REMEMBERED, Downlink, Dropped, Finished, Progress
from edge.voice.turns import RESUME_S
from edge.voice.wire import AudioDatagram, AudioStream, GroupHeader, ItemHeader, decode_datagram

SIZE = 30


def new(lead_ms: int = 1000, deadlines: Deadlines = PRESETS["chat"]) -> Downlink:
    return Downlink(lead_ms, deadlines)


def frames(item: int, count: int, start: int = 0, codec: Codec = Codec.OPUS) -> list[Frame]:
    size = 160 if codec is Codec.PCMU else SIZE
    return [
        Frame(item, seq, seq * 20, bytes([seq % 256]) * size, codec) for seq in range(start, start + count)
    ]


def speak(downlink: Downlink, count: int, *, end: bool = False, now: float = 0.0) -> int:
    """An item of ``count`` frames."""
    item = downlink.begin()
    downlink.speak(item, frames(item, count), now)
    if end:
        downlink.end(item)
    return item


def report(item: int, played_ms: int, buffered_ms: int = 0, ts_ms: int = 0, group: int = 99) -> PlayoutReport:
    return PlayoutReport(item, played_ms, buffered_ms, underruns=0, highest_group=group, client_ts_ms=ts_ms)


def packets(sends: Iterable[Progress]) -> int:
    """How many packets the first stream's bytes hold."""
    stream = AudioStream(ItemHeader, "stream 0")
    return sum(len(stream.receive(send.data, send.fin)) for send in sends if isinstance(send, SendStream))


def started(send: Progress) -> tuple[ItemHeader | None, int]:
    """The header of a stream's first bytes, and how many packets are in them."""
    assert isinstance(send, SendStream)
    stream = AudioStream(ItemHeader, "stream")
    count = len(stream.receive(send.data, send.fin))
    return stream.header, count


def test_an_item_is_one_stream_with_its_header_and_its_end() -> None:
    downlink = new()
    item = downlink.begin()
    downlink.speak(item, frames(item, 2), 0.0)
    downlink.end(item)
    (send, finished) = downlink.pump(0.0)
    assert send == SendStream(
        0, bytes.fromhex("020101000001") + b"\x1e" + bytes(30) + b"\x1e" + b"\x01" * 30, True
    )
    assert finished == Finished(item, 2)


def test_an_end_that_comes_late_is_sent_alone() -> None:
    downlink = new()
    item = downlink.begin()
    downlink.speak(item, frames(item, 1), 0.0)
    downlink.pump(0.0)
    assert downlink.pump(1.0) == []
    downlink.end(item)
    assert downlink.pump(1.0) == [SendStream(0, b"", True), Finished(item, 1)]


def test_real_time_speech_goes_out_at_once() -> None:
    """Grouping is for what has to wait anyway; a frame that may go is not made to."""
    downlink = new()
    item = downlink.begin()
    sent = []
    for seq in range(10):
        downlink.speak(item, frames(item, 1, seq), 0.0)
        sent += downlink.pump(seq * 0.02)
        assert packets(sent) == seq + 1


def test_held_back_speech_goes_out_in_groups() -> None:
    """Where the window is the brake, one packet for five frames instead of five."""
    downlink = new()
    item = downlink.begin()
    downlink.speak(item, frames(item, 50), 0.0)
    downlink.speak(item, frames(item, 50, 50), 0.0)
    sent = [*downlink.pump(0.0)]
    assert packets(sent) == 50
    downlink.report(report(item, 20, buffered_ms=900), 0.1)
    assert downlink.pump(0.1) == []
    assert downlink.get_timer() == pytest.approx(0.18)
    sent += downlink.pump(0.18)
    assert packets(sent) == 55


def test_saying_nothing_says_nothing() -> None:
    downlink = new()
    downlink.speak(downlink.begin(), [], 0.0)
    assert downlink.pump(0.0) == []


def test_items_go_out_one_after_the_other() -> None:
    downlink = new()
    first, second = downlink.begin(), downlink.begin()
    downlink.speak(second, frames(second, 1), 0.0)
    downlink.end(second)
    assert downlink.pump(0.0) == []
    downlink.end(first)
    streams = [send.stream for send in downlink.pump(0.0) if isinstance(send, SendStream)]
    assert streams == [0, 1]


def test_the_ring_asks_for_audio_until_a_chunk_would_not_fit() -> None:
    downlink = new(200)
    item = downlink.begin()
    said_ms = 0
    while downlink.wants_audio:
        downlink.speak(item, frames(item, CHUNK_MS // 20), 0.0)
        said_ms += CHUNK_MS
    assert said_ms == RING_MS
    downlink.pump(0.0)
    assert not downlink.wants_audio
    for step in range(1, 6):
        downlink.report(report(item, 200 * step, ts_ms=step), 10.0 + step)
        downlink.pump(10.0 + step)
    assert downlink.wants_audio


def test_after_a_cancellation_the_whole_lead_is_free() -> None:
    """Else an interrupted item whose rest is never played would stop every later one."""
    downlink = new()
    item = downlink.begin()
    downlink.speak(item, frames(item, 100), 0.0)
    downlink.pump(0.0)
    downlink.cancel(item)
    later = downlink.begin()
    downlink.speak(later, frames(later, 100), 0.0)
    sent = [send for send in downlink.pump(0.1) if isinstance(send, SendStream)]
    assert packets(list(sent)) == 50


def test_an_interruption_stops_the_wire_and_asks_a_question() -> None:
    """Until it is answered the backend goes on unheard, and is told nothing."""
    downlink = new(200)
    first, second = speak(downlink, 20), speak(downlink, 10)
    downlink.pump(0.0)
    assert downlink.interrupt(None, 5.0) == [ResetStream(0, Code.CANCELLED)]
    downlink.speak(first, frames(first, 20, 20), 5.0)
    assert downlink.pump(5.0) == []
    assert downlink.get_timer() == 5.0 + RESUME_S
    assert downlink.interrupt(first, 5.1) == []  # the same again: STOP_SENDING and an event are two
    assert [type(done) for done in downlink.pump(5.0 + RESUME_S)] == [Dropped, Dropped]
    assert downlink.get_timer() is None
    downlink.speak(first, frames(first, 1), 6.0)
    downlink.end(second)
    assert downlink.pump(6.0) == []


def test_an_interruption_is_accounted_to_the_byte() -> None:
    downlink = new(200)
    downlink.set_rtt(0.06)
    item = speak(downlink, 40)
    downlink.pump(0.0)
    downlink.report(report(item, 75, group=1), 5.0)
    downlink.pump(5.0)  # 75 ms more may be written, which is less than a group
    downlink.interrupt(item, 5.0)
    downlink.report(report(item, 90, ts_ms=1, group=1), 5.1)  # the last word of the caller
    downlink.speak(item, frames(item, 5, 40), 5.2)
    (dropped,) = downlink.pump(5.4)
    account = BargeIn(item, 90, 45 * SIZE, 10 * SIZE, 4 * SIZE, cancel_ms=30.0)
    assert dropped == Dropped(item, 10, account, finished=False)
    assert (account.wasted_bytes, account.saved_bytes) == (6 * SIZE, 35 * SIZE)


def test_a_cough_is_no_interruption() -> None:
    """The speech goes on at the frame that the caller names, on a new stream, and is counted once."""
    downlink = new(200)
    item = speak(downlink, 20, end=True)
    downlink.pump(0.0)
    downlink.report(report(item, 60), 1.0)
    downlink.interrupt(item, 1.0)
    assert downlink.resume(item, 7)
    assert not downlink.resume(item, 7)
    (send,) = downlink.pump(1.2)
    assert started(send) == (ItemHeader(item, item, 0, 140, Codec.OPUS), 6)
    downlink.cancel(item)
    downlink.detach()
    assert downlink.interrupt(item, 2.0) == []


@pytest.mark.parametrize(
    "claim,first",
    [(0, 3), (3, 3), (10, 10), (10**12, 10)],
    ids=["less than it has played", "just that", "all that was written", "more than was written"],
)
def test_a_caller_can_go_on_only_where_it_can_have_been(claim: int, first: int) -> None:
    downlink = new(200)
    item = speak(downlink, 20)
    downlink.pump(0.0)
    downlink.report(report(item, 55), 1.0)
    downlink.interrupt(item, 1.0)
    downlink.resume(item, claim)
    downlink.report(report(item, 180, ts_ms=1), 2.0)
    (send,) = downlink.pump(2.0)
    assert started(send)[0] == ItemHeader(item, item, 0, first * 20, Codec.OPUS)


def test_taking_back_spares_what_the_caller_has_whole() -> None:
    """The first item is written and not played; interrupted with the second, it must not be said again."""
    downlink = new()
    speak(downlink, 10, end=True)
    second = speak(downlink, 10)
    downlink.pump(0.0)
    assert downlink.interrupt(None, 0.1) == [ResetStream(0, Code.CANCELLED), ResetStream(1, Code.CANCELLED)]
    assert downlink.resume(second, 4)
    (send,) = downlink.pump(0.1)
    assert started(send) == (ItemHeader(second, second, 0, 80, Codec.OPUS), 6)


def test_what_is_written_can_be_interrupted_until_it_is_played() -> None:
    """A short answer is on the wire before its first word is heard: its transcript must be cut all the same."""
    downlink = new()
    item = speak(downlink, 25, end=True)
    assert downlink.pump(0.0)[-1] == Finished(item, 25)
    downlink.report(report(item, 200), 0.5)
    downlink.interrupt(item, 0.5)
    (dropped,) = downlink.pump(1.0)
    account = BargeIn(item, 200, 25 * SIZE, 25 * SIZE, 10 * SIZE, None)
    assert dropped == Dropped(item, 25, account, finished=True)


def test_what_is_played_is_over() -> None:
    """Also when its last report arrives behind the interruption that came too late."""
    downlink = new()
    item, later = speak(downlink, 5, end=True), speak(downlink, 5, end=True)
    downlink.pump(0.0)
    downlink.interrupt(item, 0.5)
    downlink.report(report(item, 100), 0.5)
    assert downlink.pump(1.0) == []
    downlink.report(report(later, 100, ts_ms=1), 1.5)
    assert downlink.cancel(None) == []


def test_a_report_of_a_later_item_is_the_end_of_the_earlier() -> None:
    """The report that said so may have been lost."""
    downlink = new()
    first, second = speak(downlink, 5, end=True), speak(downlink, 50, end=True)
    downlink.pump(0.0)
    downlink.report(report(second, 20), 0.5)
    assert downlink.interrupt(first, 0.5) == []
    assert downlink.interrupt(second, 0.5) != []


def test_a_paused_item_lets_none_pass() -> None:
    """Else a cough would put the next answer before the end of this one."""
    downlink = new()
    first = speak(downlink, 5)
    downlink.pump(0.0)
    downlink.interrupt(None, 0.1)
    speak(downlink, 5, end=True)
    assert downlink.pump(0.2) == []
    assert downlink.resume(first, 5)
    downlink.end(first)
    streams = [send.stream for send in downlink.pump(0.2) if isinstance(send, SendStream)]
    assert streams == [1, 2]


def test_the_backend_that_heard_the_caller_is_believed_at_once() -> None:
    downlink = new(200)
    first, second = speak(downlink, 14), speak(downlink, 5)
    downlink.pump(0.0)
    downlink.report(report(first, 140), 5.0)
    reset, *dropped = downlink.cancel(None)
    assert reset == ResetStream(0, Code.CANCELLED)
    assert dropped == [
        Dropped(first, 10, BargeIn(first, 140, 14 * SIZE, 10 * SIZE, 7 * SIZE, None), finished=False),
        Dropped(second, 0, BargeIn(second, 0, 5 * SIZE, 0, 0, None), finished=False),
    ]
    assert downlink.wants_audio
    assert downlink.pump(6.0) == []


def test_a_caller_has_not_heard_what_it_has_not_received() -> None:
    """It says that it played 10 frames of 5: a transcript cut there would name words that never arrived."""
    downlink = new()
    item = speak(downlink, 50)
    downlink.pump(0.0)
    downlink.report(report(item, 200, group=0), 5.0)
    (_, dropped) = downlink.cancel(item)
    assert isinstance(dropped, Dropped)
    assert (dropped.account.played_ms, dropped.account.played_bytes) == (100, 5 * SIZE)


def test_a_truncation_is_never_beyond_what_was_received() -> None:
    downlink = new()
    item = speak(downlink, 50)
    assert downlink.truncation_ms(item, 300) == 0
    downlink.pump(0.0)
    downlink.report(report(item, 40, group=1), 1.0)
    assert [downlink.truncation_ms(item, asked) for asked in (0, 85, 10**12)] == [0, 85, 200]
    downlink.cancel(item)
    assert downlink.truncation_ms(item, 10**12) == 200
    for _ in range(REMEMBERED):
        downlink.cancel(downlink.begin())
    assert downlink.truncation_ms(item, 20) is None
    assert downlink.truncation_ms(10**6, 20) is None


def test_a_lost_connection_loses_no_frame() -> None:
    """Written were 10; the caller has 6. The backend goes on meanwhile, and nothing is asked of a dead carrier."""
    downlink = new(200)
    item = speak(downlink, 20)
    downlink.pump(0.0)
    downlink.detach()
    downlink.speak(item, frames(item, 5, 20), 1.0)
    assert downlink.pump(10.0) == []
    assert downlink.get_timer() is None
    downlink.attach(item, 6)
    downlink.report(report(item, 120, ts_ms=1), 11.0)
    (send,) = downlink.pump(11.0)
    assert started(send) == (ItemHeader(item, item, 0, 120, Codec.OPUS), 10)
    assert isinstance(send, SendStream)
    assert send.stream == 0


def test_after_a_reconnect_what_is_whole_is_not_said_again() -> None:
    downlink = new()
    first, second = speak(downlink, 5, end=True), speak(downlink, 5, end=True)
    third = speak(downlink, 5, end=True)
    downlink.pump(0.0)
    downlink.attach(second, 5)
    sent = downlink.pump(1.0)
    assert started(sent[0]) == (ItemHeader(second, second, 0, 100, Codec.OPUS), 0)  # its end was not received
    assert started(sent[1]) == (ItemHeader(third, third, 0, 0, Codec.OPUS), 5)
    assert len(sent) == 2  # `Finished` had been told
    downlink.report(report(first, 100), 2.0)
    downlink.report(report(third, 100, ts_ms=1), 3.0)
    assert downlink.cancel(None) == []


def test_an_interruption_that_the_network_interrupts_stands() -> None:
    downlink = new()
    item = speak(downlink, 5)
    downlink.pump(0.0)
    downlink.interrupt(item, 0.1)
    downlink.detach()
    downlink.attach(item, 5)
    (dropped,) = downlink.pump(9.0)
    assert isinstance(dropped, Dropped)


def test_a_downlink_with_a_deadline_goes_in_groups() -> None:
    """Each is given up its deadline after it is due: 50 ms, behind 100 ms for each group before it and itself."""
    downlink = new(1000, Deadlines(500, 50))
    item = speak(downlink, 12, end=True)
    sent = downlink.pump(10.0)
    headers = []
    for send in sent:
        if isinstance(send, SendStream) and send.data:
            stream = AudioStream(GroupHeader, "stream")
            stream.receive(send.data, send.fin)
            headers.append(stream.header)
    assert headers == [GroupHeader(item, group, group * 100, Codec.OPUS) for group in range(3)]
    assert sent[-1] == Finished(item, 12)
    assert downlink.get_timer() == pytest.approx(10.15)
    assert downlink.pump(10.16) == [ExpireStream(0)]
    assert downlink.pump(10.26) == [ExpireStream(1)]
    assert downlink.pump(10.30) == [ExpireStream(2)]


def test_where_a_stream_cannot_help_the_downlink_goes_in_datagrams() -> None:
    downlink = new(1000, PRESETS["live"])
    downlink.set_rtt(0.06)
    item = speak(downlink, 2)
    datagrams = [decode_datagram(send.data) for send in downlink.pump(0.0) if isinstance(send, SendDatagram)]
    first, second = (frame.payload for frame in frames(item, 2))
    assert datagrams == [AudioDatagram(item, 0, 0, (first,)), AudioDatagram(item, 1, 20, (second, first))]


def test_a_deadline_holds_from_the_next_item_on() -> None:
    downlink = new()
    item = speak(downlink, 5)
    downlink.deadlines = Deadlines(500, 500)
    later = speak(downlink, 5, end=True)
    assert started(downlink.pump(0.0)[0])[0] == ItemHeader(item, item, 0, 0, Codec.OPUS)
    downlink.end(item)
    (_, _, send, _) = downlink.pump(0.0)
    assert isinstance(send, SendStream)
    stream = AudioStream(GroupHeader, "stream")
    stream.receive(send.data, send.fin)
    assert stream.header == GroupHeader(later, 0, 0, Codec.OPUS)


def test_groups_can_be_interrupted_and_taken_back_in_the_middle_of_one() -> None:
    downlink = new(1000, Deadlines(500, 500))
    item = speak(downlink, 8)
    downlink.pump(0.0)
    assert set(downlink.interrupt(item, 0.0)) == {
        ResetStream(0, Code.CANCELLED),
        ResetStream(1, Code.CANCELLED),
    }
    assert downlink.resume(item, 7)
    (send,) = downlink.pump(0.1)
    assert isinstance(send, SendStream)
    stream = AudioStream(GroupHeader, "stream")
    assert stream.receive(send.data, send.fin)[-1] == frames(item, 8)[7].payload
    assert stream.header == GroupHeader(item, 1, 100, Codec.OPUS)


def test_a_turn_is_timed_from_the_end_of_speech_to_the_ear() -> None:
    downlink = new()
    downlink.set_rtt(0.06)
    downlink.speech_ended(1.0)
    item = speak(downlink, 50, now=1.4)
    downlink.pump(1.41)
    downlink.report(report(item, 0, buffered_ms=900), 1.5)
    assert downlink.pump(1.5) == [Turn(item, backend_ms=400.0, wire_ms=410.0, played_ms=470.0)]


@pytest.mark.parametrize(
    "wrong,message",
    [
        (frames(1, 1, codec=Codec.PCMU), "began as OPUS"),
        ([Frame(1, 1, 20, bytes(1277))], "1277 bytes of OPUS"),
    ],
    ids=["another codec", "no frame"],
)
def test_a_backend_is_told_what_it_cannot_say(wrong: list[Frame], message: str) -> None:
    downlink = new()
    item = downlink.begin()
    downlink.speak(item, frames(item, 1), 0.0)
    with pytest.raises(ValueError, match=message):
        downlink.speak(item, [*frames(item, 1, 1), *wrong], 0.0)
    assert packets(downlink.pump(0.0)) == 1
