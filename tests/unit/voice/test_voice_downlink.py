"""The downlink: ring, backpressure, grouping, and exactly what goes on which stream."""

import pytest

from edge.voice import CHUNK_MS, RING_MS, Code, Codec, Frame, PlayoutReport, ResetStream, SendStream
from edge.voice.downlink import Downlink, Finished
from edge.voice.wire import AudioStream, ItemHeader


def frames(item: int, count: int, start: int = 0, codec: Codec = Codec.OPUS) -> list[Frame]:
    size = 160 if codec is Codec.PCMU else 30
    return [
        Frame(item, seq, seq * 20, bytes([seq % 256]) * size, codec) for seq in range(start, start + count)
    ]


def report(item: int, played_ms: int, buffered_ms: int = 0, ts_ms: int = 0) -> PlayoutReport:
    return PlayoutReport(item, played_ms, buffered_ms, underruns=0, highest_group=0, client_ts_ms=ts_ms)


def packets(sends: list[SendStream | Finished]) -> int:
    """How many packets the first stream's bytes hold."""
    stream = AudioStream(ItemHeader, "stream 0")
    return sum(len(stream.receive(send.data, send.fin)) for send in sends if isinstance(send, SendStream))


def test_an_item_is_one_stream_with_its_header_and_its_end() -> None:
    downlink = Downlink(lead_ms=1000)
    item = downlink.begin()
    downlink.speak(item, frames(item, 2))
    downlink.end(item)
    (send, finished) = downlink.pump(0.0)
    assert send == SendStream(
        0, bytes.fromhex("020101000001") + b"\x1e" + bytes(30) + b"\x1e" + b"\x01" * 30, True
    )
    assert finished == Finished(item, 2)


def test_an_end_that_comes_late_is_sent_alone() -> None:
    downlink = Downlink(lead_ms=1000)
    item = downlink.begin()
    downlink.speak(item, frames(item, 1))
    downlink.pump(0.0)
    assert downlink.pump(1.0) == []
    downlink.end(item)
    assert downlink.pump(1.0) == [SendStream(0, b"", True), Finished(item, 1)]


def test_real_time_speech_goes_out_at_once() -> None:
    """Grouping is for what has to wait anyway; a frame that may go is not made to."""
    downlink = Downlink(lead_ms=1000)
    item = downlink.begin()
    sent = []
    for seq in range(10):
        downlink.speak(item, frames(item, 1, seq))
        sent += downlink.pump(seq * 0.02)
        assert packets(sent) == seq + 1


def test_held_back_speech_goes_out_in_groups() -> None:
    """Where the window is the brake, one packet for five frames instead of five."""
    downlink = Downlink(lead_ms=1000)
    item = downlink.begin()
    downlink.speak(item, frames(item, 50))
    downlink.speak(item, frames(item, 50, 50))
    sent = [*downlink.pump(0.0)]
    assert packets(sent) == 50
    downlink.window.report(report(item, 20, buffered_ms=900), 0.1)
    assert downlink.pump(0.1) == []
    assert downlink.get_timer() == pytest.approx(0.18)
    sent += downlink.pump(0.18)
    assert packets(sent) == 55


def test_saying_nothing_says_nothing() -> None:
    downlink = Downlink(lead_ms=1000)
    downlink.speak(downlink.begin(), [])
    assert downlink.pump(0.0) == []


def test_items_go_out_one_after_the_other() -> None:
    downlink = Downlink(lead_ms=1000)
    first, second = downlink.begin(), downlink.begin()
    downlink.speak(second, frames(second, 1))
    downlink.end(second)
    assert downlink.pump(0.0) == []
    downlink.end(first)
    streams = [send.stream for send in downlink.pump(0.0) if isinstance(send, SendStream)]
    assert streams == [0, 1]


def test_the_ring_asks_for_audio_until_a_chunk_would_not_fit() -> None:
    downlink = Downlink(lead_ms=200)
    item = downlink.begin()
    said_ms = 0
    while downlink.wants_audio:
        downlink.speak(item, frames(item, CHUNK_MS // 20))
        said_ms += CHUNK_MS
    assert said_ms == RING_MS
    downlink.pump(0.0)
    assert not downlink.wants_audio
    for step in range(1, 6):
        downlink.window.report(report(item, 200 * step, ts_ms=step), 10.0 + step)
        downlink.pump(10.0 + step)
    assert downlink.wants_audio


def test_cancelling_resets_what_was_begun_and_forgets_what_waits() -> None:
    downlink = Downlink(lead_ms=200)
    first, second = downlink.begin(), downlink.begin()
    downlink.speak(first, frames(first, 1400))
    downlink.speak(second, frames(second, 50))
    downlink.pump(0.0)
    downlink.window.report(report(first, 140), 5.0)
    assert downlink.cancel(None) == [
        ResetStream(0, Code.CANCELLED),
        Finished(first, 10, played_ms=140),
        Finished(second, 0, played_ms=0),
    ]
    assert downlink.wants_audio
    downlink.speak(first, frames(first, 1))
    downlink.end(first)
    assert downlink.pump(6.0) == []


def test_after_a_cancellation_the_whole_lead_is_free() -> None:
    """Else an interrupted item whose rest is never played would stop every later one."""
    downlink = Downlink(lead_ms=1000)
    item = downlink.begin()
    downlink.speak(item, frames(item, 100))
    downlink.pump(0.0)
    downlink.cancel(item)
    later = downlink.begin()
    downlink.speak(later, frames(later, 100))
    sent = [send for send in downlink.pump(0.1) if isinstance(send, SendStream)]
    assert packets(list(sent)) == 50


@pytest.mark.parametrize(
    "wrong,message",
    [
        (frames(1, 1, codec=Codec.PCMU), "began as OPUS"),
        ([Frame(1, 1, 20, bytes(1277))], "1277 bytes of OPUS"),
    ],
    ids=["another codec", "no frame"],
)
def test_a_backend_is_told_what_it_cannot_say(wrong: list[Frame], message: str) -> None:
    downlink = Downlink(lead_ms=1000)
    item = downlink.begin()
    downlink.speak(item, frames(item, 1))
    with pytest.raises(ValueError, match=message):
        downlink.speak(item, [*frames(item, 1, 1), *wrong])
    assert packets(downlink.pump(0.0)) == 1
