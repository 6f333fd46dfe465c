"""What the caller says, and says again: nothing is left out, and what the edge has is said no further."""

from itertools import count

import pytest

from edge.voice.actions import ExpireStream, ResetStream, SendDatagram, SendStream
from edge.voice.errors import Code, WireError
from edge.voice.events import FramesHeard, UtteranceCleared, UtteranceCommitted
from edge.voice.frame import Codec, Frame
from edge.voice.uplink import Progress, Uplink, UplinkLimits
from edge.voice.utterances import KEPT_FRAMES, Clear, Commit, Rewound, Step, UtteranceWriter
from edge.voice.wire import decode_datagram

NOW = 20.0


def writer(deadline_ms: int | None = 500) -> UtteranceWriter:
    return UtteranceWriter(Codec.OPUS, count(), deadline_ms)


def payloads(first: int, stop: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, stop)]


def deliver(uplink: Uplink, steps: list[Step], now: float = NOW) -> list[Progress]:
    """On a network without faults."""
    told: list[Progress] = []
    for step in steps:
        match step:
            case SendStream(stream, data, fin):
                told += uplink.receive(stream, data, fin, now)
            case SendDatagram(data):
                told += uplink.receive_datagram(decode_datagram(data), now)  # type: ignore[arg-type]
            case Commit(utterance, groups, frames):
                told += uplink.commit(utterance, groups, frames, now)
            case Clear(utterance):
                told += uplink.clear(utterance, now)
    return told


def heard(told: list[Progress]) -> list[Frame]:
    return [frame for event in told if isinstance(event, FramesHeard) for frame in event.frames]


def test_what_is_said_is_heard() -> None:
    words, uplink = writer(), Uplink(UplinkLimits(), 500)
    said, told = [], []
    for length in (1, 5, 13):
        frames, steps = words.write(payloads(0, length), NOW)
        said += frames
        told += deliver(uplink, steps)
        _, steps = words.commit(NOW)
        told += deliver(uplink, steps)
    assert heard(told) == said
    committed = [event for event in told if isinstance(event, UtteranceCommitted)]
    assert committed == [UtteranceCommitted(1, 1), UtteranceCommitted(2, 5), UtteranceCommitted(3, 13)]


def test_frames_are_numbered_within_their_utterance() -> None:
    words = writer()
    words.write(payloads(0, 2), NOW)
    frames, _ = words.write(payloads(2, 3), NOW)
    assert frames == [Frame(1, 2, 40, b"2")]
    assert words.commit(NOW)[0] == 1
    assert words.write(payloads(0, 1), NOW)[0] == [Frame(2, 0, 0, b"0")]


def test_nothing_cannot_be_committed_or_cleared() -> None:
    words = writer()
    with pytest.raises(ValueError, match="nothing has been said"):
        words.commit(NOW)
    with pytest.raises(ValueError, match="nothing has been said"):
        words.clear()


def test_clear_takes_back_the_utterance_in_hand() -> None:
    words = writer()
    words.write(payloads(0, 7), NOW)
    utterance, steps = words.clear()
    assert (utterance, steps) == (
        1,
        [ResetStream(0, Code.CANCELLED), ResetStream(1, Code.CANCELLED), Clear(1, 2)],
    )
    assert words.get_timer() is None
    assert words.write(payloads(0, 1), NOW)[0][0].utterance == 2


def test_the_deadline_changes_with_the_next_group_and_none_with_the_next_utterance() -> None:
    words = writer(500)
    words.set_rtt(0.06)
    words.write(payloads(0, 1), NOW)
    words.set_deadline(50)
    assert words.datagrams
    _, steps = words.write(payloads(1, 6), NOW)
    assert [type(step) for step in steps] == [SendStream, SendDatagram]
    words.set_deadline(None)
    assert words.datagrams
    words.commit(NOW)
    assert not words.datagrams
    words.set_deadline(50)
    words.set_deadline(None)
    assert words.datagrams, "the edge cannot know that nothing was said meanwhile"
    words.write(payloads(0, 1), NOW)
    words.commit(NOW)
    words.handle_timer(NOW + 60)
    words.write(payloads(0, 5), NOW)
    assert words.get_timer() is None


def test_a_choice_before_the_first_word_holds_for_it() -> None:
    words = writer(500)
    words.set_deadline(None)
    words.write(payloads(0, 5), NOW)
    assert words.get_timer() is None


def test_streams_expire() -> None:
    words = writer(500)
    words.write(payloads(0, 5), NOW)
    assert words.get_timer() == NOW + 0.5
    assert words.handle_timer(NOW + 0.5) == [ExpireStream(0)]


@pytest.mark.parametrize("deadline_ms", [None, 50, 500])
@pytest.mark.parametrize("cut", range(24))
def test_a_lost_connection_loses_nothing(deadline_ms: int | None, cut: int) -> None:
    """Whatever had arrived of it: the edge says where it is, and hears the rest once."""
    words, uplink = writer(deadline_ms), Uplink(UplinkLimits(), deadline_ms)
    words.set_rtt(0.06)
    said: list[Frame] = []
    steps: list[Step] = []
    for length in (7, 1, 6):
        for number in range(length):
            frames, sends = words.write(payloads(number, number + 1), NOW)
            said += frames
            steps += sends
        steps += words.commit(NOW)[1] if length > 1 else words.clear()[1]
    frames, sends = words.write(payloads(0, 4), NOW)
    said, steps = said + frames, steps + sends
    # Of what was on its way every other stream or datagram arrives, and no event.
    begun = {step.stream for step in steps[:cut] if isinstance(step, SendStream)}
    told = deliver(uplink, steps[:cut])
    for index, step in enumerate(steps[cut:]):
        match step:
            case SendStream(stream) if stream % 2 and stream not in begun:
                told += deliver(uplink, [step])
            case SendDatagram() if index % 2:
                told += deliver(uplink, [step])
    words.detach()
    uplink.detach()
    frames, sends = words.write(payloads(4, 7), NOW + 1)
    said += frames
    assert sends == []
    rewound = words.rewind(*uplink.position, NOW + 2)
    assert rewound.whole
    told += deliver(uplink, rewound.steps, NOW + 2)
    assert [frame for frame in heard(told) if frame.utterance != 2] == [f for f in said if f.utterance != 2]
    assert [event for event in told if not isinstance(event, FramesHeard)] == [
        UtteranceCommitted(1, 7),
        UtteranceCleared(2),
        UtteranceCommitted(3, 6),
    ]
    assert (uplink.lost, uplink.late) == (0, 0)
    assert words.rewind(*uplink.position, NOW + 3) == Rewound([], whole=True)


def test_only_what_is_not_confirmed_is_said_again() -> None:
    words = writer()
    words.write(payloads(0, 5), NOW)
    words.commit(NOW)
    words.write(payloads(0, 5), NOW)
    words.confirm(1)
    words.confirm(2)  # nonsense: it is not committed, and stays in hand
    words.detach()
    assert words.rewind(2, 5, NOW).steps == []
    assert words.write(payloads(5, 6), NOW)[0][0].seq == 5


def test_at_most_ten_seconds_are_kept_and_the_gap_is_told() -> None:
    words = writer()
    words.write(payloads(0, 10), NOW)
    words.detach()
    words.write(payloads(10, KEPT_FRAMES + 13), NOW)
    rewound = words.rewind(1, 10, NOW)
    assert not rewound.whole
    sends = [step for step in rewound.steps if isinstance(step, SendStream)]
    assert len(sends) == KEPT_FRAMES // 5
    uplink = Uplink(UplinkLimits(), 500)
    deliver(uplink, rewound.steps)
    assert uplink.handle_timer(NOW + 0.5) != []
    assert uplink.lost == 15


def test_a_gap_in_a_later_utterance_is_told() -> None:
    words = writer()
    words.write(payloads(0, 10), NOW)
    words.commit(NOW)
    words.detach()
    words.write(payloads(0, KEPT_FRAMES + 1), NOW)
    assert not words.rewind(1, 10, NOW).whole


def test_what_was_taken_back_is_not_said_again_and_makes_room() -> None:
    words = writer()
    words.write(payloads(0, 10), NOW)
    words.commit(NOW)
    words.write(payloads(0, KEPT_FRAMES - 10), NOW)
    words.clear()
    words.detach()
    words.write(payloads(0, KEPT_FRAMES - 10), NOW)
    rewound = words.rewind(1, 0, NOW)
    assert rewound.whole
    assert sum(isinstance(step, SendStream) for step in rewound.steps) == KEPT_FRAMES // 5
    assert [step for step in rewound.steps if not isinstance(step, SendStream)] == [
        Commit(1, 2, 10),
        Clear(2, (KEPT_FRAMES - 10) // 5),
    ]


def test_a_long_utterance_is_whole_if_only_its_beginning_is_forgotten() -> None:
    words = writer()
    words.write(payloads(0, 2 * KEPT_FRAMES), NOW)
    words.detach()
    rewound = words.rewind(1, 2 * KEPT_FRAMES - 3, NOW)
    assert rewound.whole
    assert len(rewound.steps) == 1


@pytest.mark.parametrize("position", [(1, 0), (3, 0), (2, 6), (99, 1)])
def test_an_edge_that_has_what_was_never_said_is_wrong(position: tuple[int, int]) -> None:
    words = writer()
    words.write(payloads(0, 5), NOW)
    words.commit(NOW)
    words.write(payloads(0, 5), NOW)
    words.confirm(1)
    with pytest.raises(WireError, match="5 frames of utterance 2 were said"):
        words.rewind(*position, NOW)


@pytest.mark.parametrize("connected", [True, False])
def test_a_payload_that_is_no_frame_is_refused_at_once(connected: bool) -> None:
    words = writer()
    if not connected:
        words.detach()
    with pytest.raises(ValueError, match="0 bytes of OPUS"):
        words.write([b"1", b""], NOW)
    assert words.write([b"1"], NOW)[0][0].seq == 0
