"""The edge's end of a call: what a caller's bytes make it say, tell and do."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import (
    ClientEvent,
    CloseSession,
    Code,
    Codec,
    Deadlines,
    EdgeSession,
    Frame,
    FramesHeard,
    LedgerCount,
    PlayoutReport,
    PlayoutReported,
    ResponseRequested,
    SendControl,
    SendStream,
    SessionUpdated,
    StatsReceived,
    StatsRequested,
    UplinkLimits,
    UtteranceCleared,
    UtteranceCommitted,
    control,
    records,
)
from edge.voice.patience import DATAGRAMS_AT_ONCE, EVENTS_AT_ONCE, MAX_EVENT_ERRORS
from edge.voice.wire import AudioDatagram, GroupHeader, encode_datagram, encode_header, encode_packet

Open = Callable[..., Any]  # a fixture of conftest.py

GROUP = encode_header(GroupHeader(1, 0, 0, Codec.OPUS)) + encode_packet(b"hi", Codec.OPUS)
HELLO = control.SessionUpdate(session={})
COUNT = LedgerCount(frames=1, bytes=2, digest="ab")


def group(number: int, packets: int = 5) -> bytes:
    header = encode_header(GroupHeader(1, number, number * 100, Codec.OPUS))
    return header + encode_packet(b"hi", Codec.OPUS) * packets


# --- beginning ---------------------------------------------------------------------------------------------


def test_nothing_is_said_before_the_caller_has_opened_the_control_stream(new_session: Open) -> None:
    """A server that writes on a client's stream before it exists breaks QUIC's rules and loses the connection."""
    edge = new_session()
    edge.session.announce_session("node-a", "a.example:443", migrated=False)
    edge.speak(1)
    assert [type(action) for action in edge.actions()] == [SendStream]
    edge.receive(HELLO)
    assert edge.names() == [
        "session.created",
        "edge.session",
        "response.created",
        "response.output_item.added",
        "session.updated",
        "edge.deadline",
    ]


def test_the_session_is_announced_when_it_changes(open_session: Open) -> None:
    edge = open_session()
    for migrated in (False, False, True, True):
        edge.session.announce_session("node-a", "a.example:443", migrated, resume_token="t1")
    assert edge.said() == [
        {
            "type": "edge.session",
            "session_id": "call-1",
            "node": "node-a",
            "unicast_url": "a.example:443",
            "resume_token": "t1",
            "migrated": migrated,
        }
        for migrated in (False, True)
    ]


# --- settings ----------------------------------------------------------------------------------------------


def test_the_caller_chooses_its_settings_and_the_rest_is_the_backends(open_session: Open) -> None:
    edge = open_session(lead_ms=1000)
    edge.receive(control.SessionUpdate(session={"lead_ms": 200, "deadline": "live", "voice": "ash"}))
    assert edge.events() == [SessionUpdated(200, Deadlines(50, 50), {"voice": "ash"})]
    updated, deadline = edge.said()
    assert updated == {
        "type": "session.updated",
        "session": {"id": "call-1", "lead_ms": 200, "deadline": {"uplink_ms": 50, "downlink_ms": 50}},
    }
    assert deadline["type"] == "edge.deadline"
    edge.speak(50)
    (send,) = [action for action in edge.actions() if not isinstance(action, SendControl)][:1]
    assert len(send.data) == len(group(0, 0)) + 5 * 31


def test_an_impossible_setting_changes_none_of_them(open_session: Open) -> None:
    edge = open_session()
    edge.receive(control.SessionUpdate(session={"lead_ms": 300, "deadline": {"uplink_ms": 1}}, event_id="e1"))
    (error,) = edge.said()
    assert (error["error"]["code"], error["error"]["event_id"]) == ("invalid_event", "e1")
    assert "$.session.deadline.uplink_ms" in error["error"]["message"]
    edge.receive(HELLO)
    assert edge.events() == [SessionUpdated(1000, Deadlines(500, None), {})]


def test_a_deadline_is_told_with_what_follows_from_it(open_session: Open) -> None:
    """A reset cannot help within 1.5 round trips and 25 ms: below that, datagrams."""
    edge = open_session()
    edge.receive(control.SetDeadline(preset="live"))
    edge.session.set_rtt(0.010)
    edge.session.set_rtt(0.060)
    edge.session.set_rtt(0.061)
    edge.receive(control.SetDeadline(downlink_ms=None), control.SetDeadline(downlink_ms=None))
    told = {"type": "edge.deadline", "uplink_ms": 50, "downlink_ms": 50}
    assert edge.said() == [
        {**told, "uplink_datagrams": False, "downlink_datagrams": False},
        {**told, "uplink_datagrams": True, "downlink_datagrams": True},
        {**told, "downlink_ms": None, "uplink_datagrams": True, "downlink_datagrams": False},
    ]


# --- speech ------------------------------------------------------------------------------------------------


def test_speech_and_its_end_are_told_in_order(open_session: Open) -> None:
    edge = open_session()
    edge.receive(control.CommitAudio(utterance=1, groups=1, frames=1))
    assert (edge.events(), edge.said()) == ([], [])
    edge.now += 0.1
    edge.session.receive_stream(2, GROUP, True, edge.now)
    assert edge.events() == [FramesHeard([Frame(1, 0, 0, b"hi")]), UtteranceCommitted(1, 1)]
    assert edge.said() == [{"type": "input_audio_buffer.committed", "utterance": 1, "frames": 1}]
    assert edge.session.last_heard == edge.now


def test_what_does_not_come_in_time_is_declared_lost_and_counted(open_session: Open) -> None:
    """The second group is given up by the caller, the fourth never begins; the fifth says that it is missing."""
    edge = open_session(deadlines=Deadlines(500, None))
    edge.session.receive_stream(2, group(0), True, edge.now)
    edge.session.receive_stream(6, group(1, 2), False, edge.now)
    edge.session.receive_stream(10, group(2), True, edge.now)
    edge.session.receive_stream(18, group(4, 1), True, edge.now)
    edge.receive(control.CommitAudio(utterance=1, groups=5, frames=21))
    edge.session.receive_reset(6, Code.DEADLINE, edge.now + 0.1)
    assert [f.seq for event in edge.events() for f in event.frames] == [*range(7), *range(10, 15)]
    assert edge.session.get_timer() == pytest.approx(edge.now + 0.5)
    edge.session.handle_timer(edge.now + 0.5)
    assert edge.events() == [FramesHeard([Frame(1, 20, 400, b"hi")]), UtteranceCommitted(1, 13, lost=8)]
    assert edge.said() == [{"type": "input_audio_buffer.committed", "utterance": 1, "frames": 13, "lost": 8}]
    edge.session.receive_stream(14, group(3), True, edge.now + 0.6)
    assert (edge.events(), edge.session.frames_lost, edge.session.frames_late) == ([], 8, 5)
    edge.session.answer_stats(COUNT, COUNT)
    assert edge.said()[0]["heard"] == {"frames": 1, "bytes": 2, "digest": "ab", "lost": 8}


def test_speech_may_come_in_datagrams(open_session: Open) -> None:
    edge = open_session()
    for seq, packets in ((0, (b"a",)), (2, (b"c", b"b"))):
        edge.session.receive_datagram(encode_datagram(AudioDatagram(1, seq, seq * 20, packets)), edge.now)
    heard = [frame for event in edge.events() for frame in event.frames]
    assert heard == [Frame(1, seq, seq * 20, payload) for seq, payload in enumerate([b"a", b"b", b"c"])]


def test_an_utterance_that_is_taken_back_is_cleared_and_the_next_is_heard(open_session: Open) -> None:
    edge = open_session()
    edge.session.receive_stream(2, group(0), True, edge.now)
    edge.receive(control.ClearAudio(utterance=1))
    edge.session.receive_stream(6, group(1), True, edge.now)
    assert [type(event) for event in edge.events()] == [FramesHeard, UtteranceCleared]
    assert edge.said() == [{"type": "input_audio_buffer.cleared", "utterance": 1}]
    header = encode_header(GroupHeader(2, 0, 0, Codec.OPUS))
    edge.session.receive_stream(10, header + encode_packet(b"x", Codec.OPUS), True, edge.now)
    assert edge.events() == [FramesHeard([Frame(2, 0, 0, b"x")])]


# --- answers -----------------------------------------------------------------------------------------------


def test_an_answer_is_said_by_event_and_by_stream(open_session: Open) -> None:
    edge = open_session()
    edge.receive({"type": "response.create", "response": {"instructions": "briefly"}})
    fields = {"type": "response.create", "response": {"instructions": "briefly"}}
    assert edge.events() == [ResponseRequested(fields)]
    edge.speak(1, end=True)
    done = edge.actions()
    told = edge.said(done)
    assert [event["type"] for event in told] == [
        "response.created",
        "response.output_item.added",
        "response.output_audio.done",
        "response.output_item.done",
        "response.done",
    ]
    assert told[2] == {
        "type": "response.output_audio.done",
        "response_id": "resp_1",
        "item_id": "item_1",
        "frames": 1,
    }
    assert told[4]["response"]["status"] == "completed"
    assert [action.fin for action in done if isinstance(action, SendStream)] == [False, True]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "conversation.item.create", "item": {"type": "message", "content": [{"text": "hi"}]}},
        {"type": "conversation.item.retrieve", "item_id": "msg_003", "event_id": "e1"},
        {"type": "conversation.item.delete", "item_id": "msg_003"},
    ],
    ids=lambda event: event["type"],
)
def test_what_the_backend_understands_is_told_whole(open_session: Open, event: dict[str, Any]) -> None:
    edge = open_session()
    edge.receive(event)
    assert (edge.events(), edge.said()) == ([ClientEvent(event)], [])


def test_a_report_moves_the_window_and_a_late_one_is_not_told(open_session: Open) -> None:
    edge = open_session()
    item = edge.speak(100)
    edge.actions()
    assert edge.session.get_timer() is None
    newer, older = PlayoutReport(item, 500, 400, 0, 9, 600), PlayoutReport(item, 400, 500, 0, 9, 500)
    edge.session.receive_datagram(encode_datagram(newer), edge.now + 0.6)
    edge.session.receive_datagram(encode_datagram(older), edge.now + 0.7)
    assert edge.events() == [PlayoutReported(newer)]
    written = sum(len(action.data) for action in edge.actions())
    assert written == 30 * 31  # 25 frames for 500 ms reported, one group for the clock since then
    assert edge.session.get_timer() == pytest.approx(edge.now + 0.8)


def test_stats_are_asked_and_answered_both_ways(open_session: Open) -> None:
    edge = open_session()
    edge.receive(control.Stats())
    assert edge.events() == [StatsRequested()]
    edge.session.answer_stats(COUNT, COUNT)
    edge.session.request_stats()
    answer, question = edge.said()
    assert answer["said"]["frames"] == 1
    assert question == {"type": "edge.stats"}
    edge.receive(control.Stats(heard=COUNT, said=COUNT))
    assert edge.events() == [StatsReceived(COUNT, COUNT)]


# --- nonsense ----------------------------------------------------------------------------------------------


def test_an_event_that_makes_no_sense_is_answered_and_the_call_goes_on(open_session: Open) -> None:
    edge = open_session()
    edge.receive({"type": "edge.laugh", "event_id": "e1"}, {"type": "response.cancel", "response_id": 3})
    unknown, invalid = edge.said()
    assert unknown["error"] == {
        "type": "invalid_request_error",
        "code": "unknown_event",
        "message": "no event is called 'edge.laugh'",
        "event_id": "e1",
    }
    assert invalid["error"]["code"] == "invalid_event"
    assert "$.response_id" in invalid["error"]["message"]
    edge.receive(control.CreateResponse())
    assert edge.events() == [ResponseRequested({"type": "response.create"})]


TOO_LATE = {
    "a truncation of what never was": (
        control.TruncateItem(item_id="item_9", audio_end_ms=1),
        "unknown_item",
    ),
    "a resume of what was not interrupted": (control.Resume(item_id="item_1", frames=0), "too_late"),
    "a reconnect in the middle of a call": (
        control.Reconnect(resume_token="t", item=1, frames=0),
        "too_late",
    ),
}


@pytest.mark.parametrize("event,code", TOO_LATE.values(), ids=TOO_LATE.keys())
def test_what_comes_too_late_is_answered(open_session: Open, event: control.Event, code: str) -> None:
    edge = open_session()
    edge.receive(event)
    (error,) = edge.said()
    assert (error["error"]["code"], edge.events(), edge.session.closed) == (code, [], False)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "\x01" * 10_000},
        {"type": "response.create", "event_id": "x" * 60_000},
        {"type": "unknown", "event_id": "x" * 60_000},
    ],
    ids=["long type", "long identifier", "long identifier of an unknown event"],
)
def test_a_complaint_is_shorter_than_what_it_is_about(open_session: Open, event: dict[str, Any]) -> None:
    """Quoting the caller in full would not fit into a record."""
    edge = open_session()
    edge.receive(event)
    (complaint,) = edge.said()
    assert len(msgspec.json.encode(complaint)) < 4096


def test_endless_nonsense_ends_the_call(open_session: Open) -> None:
    """Each answer waits in memory until the caller reads it, which it never may."""
    edge = open_session()
    edge.receive(*[{"type": "nonsense"}] * (MAX_EVENT_ERRORS + 50))
    done = edge.actions()
    assert isinstance(done[-1], CloseSession)
    assert done[-1].code is Code.PROTOCOL_ERROR
    assert len(done) == MAX_EVENT_ERRORS + 2


def test_a_flood_of_events_is_named_and_ends_the_call(open_session: Open) -> None:
    edge = open_session()
    edge.receive(*[control.Stats()] * (EVENTS_AT_ONCE + 1))
    assert edge.actions()[-1] == CloseSession(Code.LIMIT, "control events: more than 50 a second")


def test_a_flood_of_datagrams_is_named_and_ends_the_call(open_session: Open) -> None:
    edge = open_session()
    for ts_ms in range(DATAGRAMS_AT_ONCE + 1):
        edge.report(0, 0, received=0, ts_ms=ts_ms)
    assert edge.actions()[-1] == CloseSession(Code.LIMIT, "datagrams: more than 200 a second")


def test_ten_minutes_at_the_usual_rate_are_no_flood(open_session: Open) -> None:
    edge = open_session()
    for seq in range(30_000):
        edge.now = 50.0 + seq * 0.02
        edge.session.receive_datagram(encode_datagram(AudioDatagram(1, seq, seq * 20, (b"x",))), edge.now)
        if seq % 5 == 0:
            edge.report(0, 0, received=0, ts_ms=seq * 20)
        edge.events()
    assert not edge.session.closed


NOW = 50.0
FAR_AHEAD = control.CommitAudio(utterance=1000, groups=1, frames=1)
FATAL = {
    "garbage on a stream": (
        lambda s: s.receive_stream(2, b"\xff" * 20, False, NOW),
        Code.PROTOCOL_ERROR,
        "stream 2: stream of type",
    ),
    "a control record too long": (
        lambda s: s.receive_control(b"\xbf\xff\xff\xff", False, NOW),
        Code.PROTOCOL_ERROR,
        "control stream: record of",
    ),
    "garbage in a datagram": (
        lambda s: s.receive_datagram(b"\x00", NOW),
        Code.PROTOCOL_ERROR,
        "datagram: of type 0",
    ),
    "far too much ahead": (
        lambda s: s.receive_control(records.encode(FAR_AHEAD), False, NOW),
        Code.TOO_FAR_BEHIND,
        "commit of utterance 1000",
    ),
}


@pytest.mark.parametrize("break_it,code,reason", FATAL.values(), ids=FATAL.keys())
def test_a_broken_protocol_is_named_and_ends_the_call(
    open_session: Open, break_it: Any, code: Code, reason: str
) -> None:
    edge = open_session()
    break_it(edge.session)
    error, close = edge.actions()
    body = edge.said([error])[0]["error"]
    assert body["code"] == code.name.lower()
    assert body["message"].startswith(reason)
    assert close == CloseSession(code, body["message"])


def test_after_its_end_a_session_is_silent(open_session: Open) -> None:
    edge = open_session()
    item = edge.speak(100)
    edge.now += 0.1
    edge.report(item, 0, 900, received=50, ts_ms=1)
    edge.clear()
    edge.session.close(Code.GOING_AWAY, "maintenance")
    assert edge.actions() == [CloseSession(Code.GOING_AWAY, "maintenance")]
    edge.session.receive_stream(2, b"\xff" * 20, False, NOW + 1)
    edge.receive(control.CreateResponse())
    edge.session.speak(item, [Frame(item, 100, 2000, bytes(30))], NOW + 1)
    edge.session.close()
    edge.session.handle_timer(NOW + 2)
    assert (edge.actions(), edge.events(), edge.session.get_timer()) == ([], [], None)
    assert edge.session.last_heard == NOW + 0.1


def test_the_end_of_the_control_stream_hangs_up(open_session: Open) -> None:
    edge = open_session()
    edge.session.receive_control(b"", True, NOW)
    assert edge.actions() == [CloseSession(Code.OK, "the peer hung up")]


def test_what_failed_on_this_side_is_said(open_session: Open) -> None:
    edge = open_session()
    edge.session.error("backend_failed", "the backend has gone away")
    error = {"type": "server_error", "code": "backend_failed", "message": "the backend has gone away"}
    assert edge.said() == [{"type": "error", "error": error}]


garbage = st.binary(max_size=60) | st.sampled_from(
    [
        GROUP,
        group(3),
        records.encode(HELLO),
        *[records.encode(event) for event, _ in TOO_LATE.values()],
        records.encode(control.CommitAudio(utterance=1, groups=2, frames=7)),
        records.encode(control.ClearAudio(utterance=1)),
        records.encode(control.ClearOutput()),
        records.encode(control.SetDeadline(preset="live")),
        encode_datagram(PlayoutReport(1, 2, 3, 4, 5, 6)),
        encode_datagram(AudioDatagram(1, 4, 80, (b"x", b"y"))),
    ]
)
inputs = st.one_of(
    st.tuples(st.just("receive_control"), st.tuples(garbage, st.booleans())),
    st.tuples(st.just("receive_stream"), st.tuples(st.integers(0, 12), garbage, st.booleans())),
    st.tuples(st.just("receive_reset"), st.tuples(st.integers(0, 12), st.integers(0, 99))),
    st.tuples(st.just("receive_stop"), st.tuples(st.integers(0, 3), st.integers(0, 99))),
    st.tuples(st.just("receive_datagram"), st.tuples(garbage)),
)


@given(st.lists(inputs, max_size=20))
def test_whatever_arrives_nothing_escapes(received: list[tuple[str, tuple[Any, ...]]]) -> None:
    session = EdgeSession("call-1", limits=UplinkLimits(groups=4, held_bytes=200))
    item = session.begin_item()
    for step, (method, arguments) in enumerate(received):
        getattr(session, method)(*arguments, NOW + step)
        session.speak(item, [Frame(item, seq, seq * 20, bytes(30)) for seq in range(3)], NOW + step)
        list(iter(session.next_event, None))
    done = list(iter(session.next_action, None))
    assert [type(action) for action in done].count(CloseSession) == int(session.closed)
