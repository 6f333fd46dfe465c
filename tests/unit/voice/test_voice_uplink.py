"""The uplink: any order of groups gives one order of frames, and what a caller can make us hold is bounded."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice.errors import Code, WireError
from edge.voice.events import FramesHeard, UtteranceCleared, UtteranceCommitted
from edge.voice.frame import Codec, Frame
from edge.voice.uplink import Progress, Uplink, UplinkLimits
from edge.voice.wire import AudioDatagram, GroupHeader, encode_header, encode_packet

NOW = 100.0
D = 500
LATER = NOW + 0.5


def group(utterance: int, number: int, frames: int = 5, codec: Codec = Codec.OPUS) -> bytes:
    """A whole group whose payloads say which frames they are."""
    header = encode_header(GroupHeader(utterance, number, number * 100, codec))
    size = 160 if codec is Codec.PCMU else 0
    payloads = [f"{utterance}.{number}.{index}".encode().ljust(size) for index in range(frames)]
    return header + b"".join(encode_packet(payload, codec) for payload in payloads)


def frames_of(progress: list[Progress]) -> list[Frame]:
    return [frame for event in progress if isinstance(event, FramesHeard) for frame in event.frames]


def expected_frames(utterance: int, count: int) -> list[Frame]:
    return [
        Frame(utterance, seq, seq * 20, f"{utterance}.{seq // 5}.{seq % 5}".encode()) for seq in range(count)
    ]


@given(st.lists(st.integers(1, 23), min_size=1, max_size=4), st.data())
def test_any_order_of_chunks_and_commits_gives_the_frames_in_order(
    lengths: list[int], data: st.DataObject
) -> None:
    """Streams keep the order of their own bytes and of nothing else."""
    pending: list[list[tuple[object, ...]]] = []
    for utterance, length in enumerate(lengths, 1):
        groups = -(-length // 5)
        pending.append([("commit", utterance, groups, length)])
        for number in range(groups):
            encoded = group(utterance, number, min(5, length - number * 5))
            cut = data.draw(st.integers(0, len(encoded)))
            stream = len(pending)
            pending.append([(stream, encoded[:cut], False), (stream, encoded[cut:], True)])
    uplink = Uplink(UplinkLimits(), None)
    progress: list[Progress] = []
    while pending:
        source = data.draw(st.sampled_from(pending))
        match source.pop(0):
            case ("commit", int(utterance), int(groups), int(length)):
                progress += uplink.commit(utterance, groups, length, NOW)
            case (int(stream), bytes(chunk), bool(fin)):
                progress += uplink.receive(stream, chunk, fin, NOW)
        pending = [source for source in pending if source]
    assert frames_of(progress) == [
        frame for utterance, length in enumerate(lengths, 1) for frame in expected_frames(utterance, length)
    ]
    assert [event for event in progress if isinstance(event, UtteranceCommitted)] == [
        UtteranceCommitted(utterance, length) for utterance, length in enumerate(lengths, 1)
    ]


def test_the_group_in_turn_is_heard_frame_by_frame() -> None:
    """Waiting for its FIN would add 80 ms to every call."""
    uplink = Uplink(UplinkLimits(), D)
    encoded = group(1, 0)
    cut = encoded.index(b"1.0.1") - 1
    assert frames_of(uplink.receive(2, encoded[:cut], False, NOW)) == expected_frames(1, 1)
    assert frames_of(uplink.receive(2, encoded[cut:], True, NOW)) == expected_frames(1, 5)[1:]


def test_the_next_utterance_waits_for_the_end_of_this_one() -> None:
    uplink = Uplink(UplinkLimits(), D)
    assert uplink.receive(2, group(2, 0), True, NOW) == []
    assert uplink.commit(2, 1, 5, NOW) == []
    assert frames_of(uplink.receive(6, group(1, 0), True, NOW)) == expected_frames(1, 5)
    done = uplink.commit(1, 1, 5, NOW)
    assert frames_of(done) == expected_frames(2, 5)
    assert done[0] == UtteranceCommitted(1, 5)
    assert done[-1] == UtteranceCommitted(2, 5)


def test_a_hole_is_lost_at_its_deadline_and_what_comes_then_is_late() -> None:
    uplink = Uplink(UplinkLimits(), D)
    uplink.receive(6, group(1, 1), True, NOW)
    assert uplink.get_timer() == LATER
    assert uplink.handle_timer(LATER - 0.001) == []
    assert [frame.seq for frame in frames_of(uplink.handle_timer(LATER))] == [5, 6, 7, 8, 9]
    assert (uplink.lost, uplink.late, uplink.get_timer()) == (5, 0, None)
    assert uplink.receive(2, group(1, 0), True, LATER) == []
    assert (uplink.lost, uplink.late) == (5, 5)
    assert uplink.commit(1, 2, 10, LATER) == [UtteranceCommitted(1, 5, lost=5)]


def test_an_utterance_of_which_nothing_came_is_lost_when_its_commit_is_old_enough() -> None:
    uplink = Uplink(UplinkLimits(), D)
    assert uplink.commit(1, 3, 12, NOW) == []
    assert uplink.handle_timer(LATER) == [UtteranceCommitted(1, 0, lost=12)]
    assert uplink.position == (2, 0)


def test_commit_said_again_changes_nothing() -> None:
    """After a reconnect the caller repeats whatever the edge has not confirmed."""
    uplink = Uplink(UplinkLimits(), D)
    assert uplink.commit(1, 1, 5, NOW) + uplink.commit(1, 1, 5, NOW) == []
    assert uplink.receive(2, group(1, 0), True, NOW)[-1] == UtteranceCommitted(1, 5)
    assert uplink.commit(1, 1, 5, NOW) == []


def test_a_cleared_utterance_ends_in_its_turn_and_its_stragglers_are_nothing() -> None:
    uplink = Uplink(UplinkLimits(), D)
    uplink.receive(2, group(2, 0), False, NOW)
    assert uplink.clear(2, NOW) == []
    assert uplink.receive(6, group(2, 1), True, NOW) == []
    assert uplink.reset(2, Code.CANCELLED, NOW) == []
    assert uplink.commit(1, 1, 5, NOW) == []
    done = uplink.receive(10, group(1, 0), True, NOW)
    assert done[1:] == [UtteranceCommitted(1, 5), UtteranceCleared(2)]
    assert uplink.receive(14, group(2, 2), True, NOW) == []
    assert frames_of(uplink.receive(18, group(3, 0), True, NOW)) == expected_frames(3, 5)
    assert (uplink.lost, uplink.late) == (0, 0)


def test_clear_frees_what_was_held() -> None:
    """Else a caller that clears long utterances is ended for holding what is long gone."""
    uplink = Uplink(LIMITS, None)
    for utterance in range(1, 20):
        uplink.receive(4 * utterance, group(utterance, 1), True, NOW)
        uplink.receive(4 * utterance + 2, group(utterance, 2), True, NOW)
        assert uplink.clear(utterance, NOW) == [UtteranceCleared(utterance)]


def test_what_was_heard_in_datagrams_was_said_with_a_deadline() -> None:
    uplink = Uplink(UplinkLimits(), D)
    uplink.receive_datagram(AudioDatagram(1, 1, 20, (b"x",)), NOW)
    uplink.set_deadline(None)
    assert uplink.get_timer() == LATER


def test_no_deadline_begins_with_the_next_utterance() -> None:
    """What was said with a deadline may be lost: waited for without end, it would end the call."""
    uplink = Uplink(UplinkLimits(), D)
    uplink.receive(2, group(1, 1), True, NOW)
    uplink.set_deadline(None)
    uplink.receive(6, group(2, 1), True, NOW)
    uplink.commit(1, 2, 10, NOW)
    assert uplink.handle_timer(LATER)[-1] == UtteranceCommitted(1, 5, lost=5)
    assert uplink.get_timer() is None
    assert uplink.handle_timer(LATER + 3600) == []
    uplink.set_deadline(D)
    assert [frame.seq for frame in frames_of(uplink.handle_timer(LATER))] == [5, 6, 7, 8, 9]


def test_a_deadline_chosen_later_spares_what_was_committed_without_one() -> None:
    uplink = Uplink(UplinkLimits(), None)
    uplink.receive(2, group(1, 1), True, NOW)
    uplink.commit(1, 2, 10, NOW)
    uplink.set_deadline(D)
    assert uplink.handle_timer(LATER + 3600) == []
    uplink.receive(6, group(2, 1), True, NOW)
    uplink.receive(10, group(1, 0), True, LATER)
    assert (uplink.lost, uplink.get_timer()) == (5, None)


def test_the_first_choice_holds_for_the_first_utterance() -> None:
    """`session.update` is the first thing a caller says, and nothing was said under another deadline."""
    uplink = Uplink(UplinkLimits(), D)
    uplink.set_deadline(None)
    uplink.receive(2, group(1, 1), True, NOW)
    assert uplink.handle_timer(LATER + 3600) == []


def test_a_caller_that_is_gone_loses_nothing_by_time() -> None:
    """It says again what is behind `position`, and only what it says then starts the clock again."""
    uplink = Uplink(UplinkLimits(), D)
    uplink.receive(2, group(1, 0), True, NOW)
    uplink.receive(10, group(1, 2), True, NOW)
    uplink.receive(6, group(1, 1)[:6], False, NOW)
    uplink.detach()
    assert (uplink.get_timer(), uplink.position) == (None, (1, 5))
    assert uplink.handle_timer(LATER + 9) == []
    done = uplink.receive(6, group(1, 1), True, LATER + 9)  # the new carrier counts its streams anew
    assert frames_of(done) == expected_frames(1, 15)[5:]
    assert (uplink.lost, uplink.late) == (0, 0)


def test_datagrams_and_streams_may_be_mixed() -> None:
    uplink = Uplink(UplinkLimits(), D)
    said = expected_frames(1, 8)
    heard = frames_of(uplink.receive(2, group(1, 0), True, NOW))
    for frame in said[6:]:
        packets = (frame.payload, said[frame.seq - 1].payload)
        heard += frames_of(uplink.receive_datagram(AudioDatagram(1, frame.seq, frame.pts_ms, packets), NOW))
    assert heard == said
    assert (uplink.lost, uplink.late) == (0, 0)


def test_no_deadline_chosen_after_a_clear_begins_with_the_next_utterance() -> None:
    uplink = Uplink(UplinkLimits(), D)
    uplink.receive(2, group(1, 0), True, NOW)
    uplink.clear(1, NOW)
    uplink.set_deadline(None)
    uplink.receive(6, group(2, 1), True, NOW)
    assert uplink.get_timer() == LATER


def test_a_datagram_cannot_repeat_what_is_before_the_first_frame() -> None:
    with pytest.raises(WireError, match="datagram: repeats 1 packets before frame 0"):
        Uplink(UplinkLimits(), D).receive_datagram(AudioDatagram(1, 0, 0, (b"x", b"y")), NOW)


def run(steps: list[tuple[object, ...]], limits: UplinkLimits | None = None) -> None:
    uplink = Uplink(limits or UplinkLimits(), D)
    for stream, step in enumerate(steps):
        match step:
            case ("commit", int(utterance), int(frames)):
                uplink.commit(utterance, -(-frames // 5), frames, NOW)
            case ("commit", int(utterance), int(frames), int(groups)):
                uplink.commit(utterance, groups, frames, NOW)
            case ("clear", int(utterance)):
                uplink.clear(utterance, NOW)
            case (bytes(data), bool(fin)):
                uplink.receive(stream, data, fin, NOW)


WRONG = {
    "utterance 0": ([(group(0, 0), True)], "stream 0: utterances count from 1"),
    "commit of utterance 0": ([("commit", 0, 5)], "commit of utterance 0: utterances count from 1"),
    "clear of utterance 0": ([("clear", 0)], "clear of utterance 0: utterances count from 1"),
    "commit of what was cleared": (
        [(group(2, 0), True), ("clear", 2), ("commit", 2, 5)],
        "commit of utterance 2: utterance 2 was given up",
    ),
    "commit twice, differently": (
        [("commit", 1, 10), ("commit", 1, 9)],
        "commit of utterance 1: 9 frames, but there are 10",
    ),
    "commit of nothing": ([("commit", 1, 0)], "commit of utterance 1: it is empty"),
    "commit with a wrong sum": ([("commit", 1, 11, 2)], "11 frames cannot be in 2 groups"),
    "commit of less than there is": ([(group(1, 4), True), ("commit", 1, 15)], "15 frames, but there are 25"),
    "group behind the commit": (
        [("commit", 1, 10), (group(1, 2), True)],
        "stream 1: frame 14 .*, which has 10",
    ),
    "short group in the middle": (
        [(group(1, 1), True), (group(1, 0, 4), True)],
        "stream 1, a short group: 4 frames, but there are 10",
    ),
    "group behind a short one": ([(group(1, 0, 4), True), (group(1, 1), True)], "frame 9 .*, which has 4"),
    "commit of more than the short group allows": (
        [(group(1, 0, 4), True), ("commit", 1, 5)],
        "commit of utterance 1: 5 frames, but there are 4",
    ),
    "another codec": (
        [(group(1, 0), True), (group(1, 1, 5, Codec.PCMU), True)],
        "utterance 1 changes its codec",
    ),
}


@pytest.mark.parametrize("steps,message", WRONG.values(), ids=WRONG.keys())
def test_a_contradiction_ends_the_call(steps: list[tuple[object, ...]], message: str) -> None:
    with pytest.raises(WireError, match=message) as caught:
        run(steps)
    assert caught.value.code is Code.PROTOCOL_ERROR


LIMITS = UplinkLimits(utterances=3, groups=4, held_bytes=90)
TOO_MUCH = {
    "utterances ahead": ([(group(4, 0), False)], "utterance 4 while 1 is not over"),
    "commits ahead": ([("commit", 4, 1)], "utterance 4 while 1 is not over"),
    "clears ahead": ([("clear", 4)], "utterance 4 while 1 is not over"),
    "a commit of years": ([("commit", 1, 2**60)], "frames beyond what is settled"),
    "frames far ahead": ([(group(1, 4, 1), True)], "21 frames beyond what is settled"),
    "bytes ahead": (
        [(group(u, n), True) for u, n in ((1, 1), (1, 2), (2, 0), (2, 1))],
        "100 bytes of speech are held",
    ),
    "streams that say nothing": ([(b"", False)] * 5, "4 streams of speech are held"),
    "streams without an end": ([(group(u, 1, 1), False) for u in (1, 2, 3, 1, 2)], "4 streams of speech"),
}


@pytest.mark.parametrize("steps,message", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_a_caller_that_makes_us_hold_too_much_is_ended(steps: list[tuple[object, ...]], message: str) -> None:
    with pytest.raises(WireError, match=message) as caught:
        run(steps, LIMITS)
    assert caught.value.code is Code.TOO_FAR_BEHIND


def test_frames_are_held_to_a_number_and_not_only_by_their_size() -> None:
    """A frame of one byte costs a hundred in memory."""
    steps = [(group(utterance, number), True) for utterance in (2, 3) for number in (0, 1, 2)]
    with pytest.raises(WireError, match="25 frames of speech are held"):
        run([*steps], replace(LIMITS, held_bytes=100_000))


def test_limits_are_on_what_is_held_and_not_on_what_has_passed() -> None:
    uplink = Uplink(LIMITS, D)
    for number in range(1000):
        uplink.receive(2 + 4 * number, group(1, number), True, NOW)
    uplink.commit(1, 1000, 5000, NOW)
    for utterance in range(2, 100):
        uplink.receive(10_000 + utterance, group(utterance, 0), True, NOW)
        uplink.commit(utterance, 1, 5, NOW)


def fill(uplink: Uplink, resets: int) -> None:
    """As much as can be held, in the smallest pieces: streams with one frame of a byte, every so many given up."""
    for stream in range(64 * 599):
        utterance, number = divmod(stream, 599)
        header = encode_header(GroupHeader(1 + utterance, 1 + number, 0, Codec.OPUS))
        uplink.receive(stream, header + b"\x01x", False, NOW)
        if stream % resets == 0:
            uplink.reset(stream, Code.DEADLINE, NOW)


def repeat(uplink: Uplink, _resets: int) -> None:
    """The same again and again, and then one that is too far."""
    for _ in range(20_000):
        uplink.receive_datagram(AudioDatagram(1, 9, 0, (b"x", b"y")), NOW)
    uplink.receive_datagram(AudioDatagram(1, 10**9, 0, (b"x",)), NOW)


@pytest.mark.parametrize("attack,resets", [(fill, 1), (fill, 2), (fill, 10**9), (repeat, 0)])
def test_no_caller_fills_the_memory(attack: Callable[[Uplink, int], None], resets: int) -> None:
    """Limits in frames and bytes of speech are worth something only if they bound what Python keeps for them."""
    uplink = Uplink(UplinkLimits(), None)
    tracemalloc.start()
    with pytest.raises(WireError) as caught:
        attack(uplink, resets)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code is Code.TOO_FAR_BEHIND
    assert held < 1_000_000
