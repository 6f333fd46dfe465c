"""The uplink: any order of groups gives one order of frames, and what a caller can make us hold is bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import Code, Codec, Frame, FramesHeard, UplinkLimits, UtteranceCommitted, WireError
from edge.voice.uplink import Progress, Uplink
from edge.voice.wire import GroupHeader, encode_header, encode_packet


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
        pending.append([("commit", utterance, groups)])
        for number in range(groups):
            encoded = group(utterance, number, min(5, length - number * 5))
            cut = data.draw(st.integers(0, len(encoded)))
            stream = len(pending)
            pending.append([(stream, encoded[:cut], False), (stream, encoded[cut:], True)])
    uplink = Uplink(UplinkLimits())
    progress: list[Progress] = []
    while pending:
        source = data.draw(st.sampled_from(pending))
        match source.pop(0):
            case ("commit", int(utterance), int(groups)):
                progress += uplink.commit(utterance, groups)
            case (int(stream), bytes(chunk), bool(fin)):
                progress += uplink.receive(stream, chunk, fin)
        pending = [source for source in pending if source]
    assert frames_of(progress) == [
        frame for utterance, length in enumerate(lengths, 1) for frame in expected_frames(utterance, length)
    ]
    assert [event for event in progress if isinstance(event, UtteranceCommitted)] == [
        UtteranceCommitted(utterance, length) for utterance, length in enumerate(lengths, 1)
    ]


def test_the_group_in_turn_is_heard_frame_by_frame() -> None:
    """Waiting for its FIN would add 80 ms to every call."""
    uplink = Uplink(UplinkLimits())
    encoded = group(1, 0)
    cut = encoded.index(b"1.0.1") - 1
    assert frames_of(uplink.receive(2, encoded[:cut], False)) == expected_frames(1, 1)
    assert frames_of(uplink.receive(2, encoded[cut:], True)) == expected_frames(1, 5)[1:]


def test_the_next_utterance_waits_for_the_end_of_this_one() -> None:
    uplink = Uplink(UplinkLimits())
    assert uplink.receive(2, group(2, 0), True) == []
    assert uplink.commit(2, 1) == []
    assert frames_of(uplink.receive(6, group(1, 0), True)) == expected_frames(1, 5)
    done = uplink.commit(1, 1)
    assert frames_of(done) == expected_frames(2, 5)
    assert done[0] == UtteranceCommitted(1, 5)
    assert done[-1] == UtteranceCommitted(2, 5)


def run(steps: list[tuple[object, ...]], limits: UplinkLimits | None = None) -> None:
    uplink = Uplink(limits or UplinkLimits())
    for stream, step in enumerate(steps):
        match step:
            case ("commit", int(utterance), int(groups)):
                uplink.commit(utterance, groups)
            case (bytes(data), bool(fin)):
                uplink.receive(stream, data, fin)


WRONG = {
    "group twice": ([(group(1, 0), True), (group(1, 0), True)], "stream 1: group 0 of utterance 1 a second"),
    "held group twice": ([(group(1, 3), True), (group(1, 3), True)], "group 3 of utterance 1 a second time"),
    "utterance 0": ([(group(0, 0), True)], "utterances count from 1"),
    "an utterance that is over": (
        [(group(1, 0), True), ("commit", 1, 1), (group(1, 1), True)],
        "stream 2: utterance 1 is over",
    ),
    "commit twice": ([("commit", 1, 2), ("commit", 1, 2)], "commit of utterance 1: it is committed already"),
    "commit of nothing": ([("commit", 1, 0)], "commit of utterance 1: it is empty"),
    "commit of less than there is": ([(group(1, 4), True), ("commit", 1, 3)], "3 groups, but there are 5"),
    "group behind the commit": ([("commit", 1, 2), (group(1, 2), True)], "group 2 .*, which has 2"),
    "short group in the middle": (
        [(group(1, 1), True), (group(1, 0, 4), True)],
        "stream 1, a short group: 1 groups, but there are 2",
    ),
    "group behind a short one": ([(group(1, 0, 4), True), (group(1, 1), True)], "group 1 .*, which has 1"),
    "commit of more than the short group allows": (
        [(group(1, 0, 4), True), ("commit", 1, 2)],
        "2 groups, but there are 1",
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
    "bytes ahead": ([(group(1, n), True) for n in (1, 2, 3, 4)], "95 bytes of speech are held"),
    "streams that say nothing": ([(b"", False)] * 5, "4 groups of speech are held"),
    "streams without an end": ([(group(1, n, 1), False) for n in (1, 2, 3, 4, 5)], "4 groups of speech"),
}


@pytest.mark.parametrize("steps,message", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_a_caller_that_makes_us_hold_too_much_is_ended(steps: list[tuple[object, ...]], message: str) -> None:
    with pytest.raises(WireError, match=message) as caught:
        run(steps, LIMITS)
    assert caught.value.code is Code.TOO_FAR_BEHIND


def test_limits_are_on_what_is_held_and_not_on_what_has_passed() -> None:
    uplink = Uplink(LIMITS)
    for number in range(1000):
        uplink.receive(2 + 4 * number, group(1, number), True)
    uplink.commit(1, 1000)
    for utterance in range(2, 100):
        uplink.receive(10_000 + utterance, group(utterance, 0), True)
        uplink.commit(utterance, 1)
