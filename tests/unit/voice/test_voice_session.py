"""The edge's end of a call: what a caller's bytes make it say, tell and do."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import (
    CloseSession,
    Code,
    Codec,
    EdgeEvent,
    EdgeSession,
    Frame,
    FramesHeard,
    LedgerCount,
    PlayoutReport,
    PlayoutReported,
    ResetStream,
    ResponseCancelled,
    ResponseRequested,
    SendControl,
    SendStream,
    SessionUpdated,
    StatsReceived,
    StatsRequested,
    UplinkLimits,
    UtteranceCommitted,
    control,
    records,
)
from edge.voice.session import MAX_EVENT_ERRORS
from edge.voice.wire import AudioDatagram, GroupHeader, encode_datagram, encode_header, encode_packet

NOW = 50.0
GROUP = encode_header(GroupHeader(1, 0, 0, Codec.OPUS)) + encode_packet(b"hi", Codec.OPUS)
HELLO = control.SessionUpdate(session=control.SessionSettings())
COUNT = LedgerCount(frames=1, bytes=2, digest="ab")


def open_session(**options: Any) -> EdgeSession:
    """A session whose caller has said hello and read the answers."""
    session = EdgeSession("call-1", **options)
    receive(session, HELLO)
    events(session)
    said(session)
    return session


def receive(session: EdgeSession, *sent: control.Event | dict[str, Any]) -> None:
    for event in sent:
        session.receive_control(records.encode(event), False, NOW)


def events(session: EdgeSession) -> list[EdgeEvent]:
    return list(iter(session.next_event, None))


def actions(session: EdgeSession) -> list[Any]:
    return list(iter(session.next_action, None))


def said(session: EdgeSession) -> list[dict[str, Any]]:
    """What the session says on the control stream, in JSON, with nothing else done."""
    stream = records.RecordStream()
    done = actions(session)
    assert all(isinstance(action, SendControl) for action in done), done
    return [msgspec.json.decode(record) for action in done for record in stream.receive(action.data)]


def frames(item: int, count: int) -> list[Frame]:
    return [Frame(item, seq, seq * 20, bytes(30)) for seq in range(count)]


def test_nothing_is_said_before_the_caller_has_opened_the_control_stream() -> None:
    """A server that writes on a client's stream before it exists breaks QUIC's rules and loses the connection."""
    session = EdgeSession("call-1")
    session.announce_session("node-a", "a.example:443", migrated=False)
    item = session.begin_item()
    session.speak(item, frames(item, 1), NOW)
    assert [type(action) for action in actions(session)] == [SendStream]
    receive(session, HELLO)
    assert [event["type"] for event in said(session)] == [
        "session.created",
        "edge.session",
        "response.created",
        "response.output_item.added",
        "session.updated",
    ]


def test_the_session_is_announced_when_it_changes() -> None:
    session = open_session()
    for migrated in (False, False, True, True):
        session.announce_session("node-a", "a.example:443", migrated)
    assert said(session) == [
        {
            "type": "edge.session",
            "session_id": "call-1",
            "node": "node-a",
            "unicast_url": "a.example:443",
            "resume_token": None,
            "migrated": migrated,
        }
        for migrated in (False, True)
    ]


def test_the_caller_chooses_the_lead() -> None:
    session = open_session(lead_ms=1000)
    receive(session, control.SessionUpdate(session=control.SessionSettings(lead_ms=200)))
    assert events(session) == [SessionUpdated(lead_ms=200)]
    assert said(session) == [{"type": "session.updated", "session": {"id": "call-1", "lead_ms": 200}}]
    item = session.begin_item()
    said(session)
    session.speak(item, frames(item, 50), NOW)
    (send,) = actions(session)
    assert len(send.data) == len(encode_header(GroupHeader(1, 1, 0, Codec.OPUS))) + 1 + 10 * 31


def test_speech_and_its_end_are_told_in_order() -> None:
    session = open_session()
    receive(session, control.CommitAudio(utterance=1, groups=1))
    assert (events(session), said(session)) == ([], [])
    session.receive_stream(2, GROUP, True, NOW + 1)
    assert events(session) == [FramesHeard([Frame(1, 0, 0, b"hi")]), UtteranceCommitted(1, 1)]
    assert said(session) == [{"type": "input_audio_buffer.committed", "utterance": 1, "frames": 1}]
    assert session.last_heard == NOW + 1


def test_an_answer_is_said_by_event_and_by_stream() -> None:
    session = open_session()
    receive(session, control.CreateResponse())
    assert events(session) == [ResponseRequested()]
    item = session.begin_item()
    session.speak(item, frames(item, 1), NOW)
    session.end_item(item, NOW)
    done = actions(session)
    stream, control_bytes = records.RecordStream(), b""
    for action in done:
        if isinstance(action, SendControl):
            control_bytes += action.data
    told = [msgspec.json.decode(record) for record in stream.receive(control_bytes)]
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


@pytest.mark.parametrize("by", ["event", "stop", "both"])
def test_a_cancelled_answer_ends_once(by: str) -> None:
    """The caller says it twice, on two streams: whichever comes first does it, the other finds nothing."""
    session = open_session()
    item = session.begin_item()
    session.speak(item, frames(item, 100), NOW)
    actions(session)
    session.receive_datagram(encode_datagram(PlayoutReport(item, 480, 500, 0, 9, 1)), NOW + 0.5)
    actions(session), events(session)
    if by != "event":
        session.receive_stop(0, Code.CANCELLED, NOW + 0.6)
    if by != "stop":
        receive(session, control.CancelResponse(response_id="resp_1"))
    assert events(session) == [ResponseCancelled(item, 480)]
    reset, *rest = actions(session)
    assert reset == ResetStream(0, Code.CANCELLED)
    assert all(isinstance(action, SendControl) for action in rest)
    assert len(rest) == 3
    session.speak(item, frames(item, 1), NOW + 1)
    session.end_item(item, NOW + 1)
    assert actions(session) == []


def test_a_report_moves_the_window_and_a_late_one_is_not_told() -> None:
    session = open_session()
    item = session.begin_item()
    session.speak(item, frames(item, 100), NOW)
    actions(session)
    assert session.get_timer() is None
    newer, older = PlayoutReport(item, 500, 400, 0, 9, 600), PlayoutReport(item, 400, 500, 0, 9, 500)
    session.receive_datagram(encode_datagram(newer), NOW + 0.6)
    session.receive_datagram(encode_datagram(older), NOW + 0.7)
    assert events(session) == [PlayoutReported(newer)]
    written = sum(len(action.data) for action in actions(session))
    assert written == 30 * 31  # 25 frames for 500 ms reported, one group for the clock since then
    assert session.get_timer() == pytest.approx(NOW + 0.8)


def test_stats_are_asked_and_answered_both_ways() -> None:
    session = open_session()
    receive(session, control.Stats())
    assert events(session) == [StatsRequested()]
    session.answer_stats(COUNT, COUNT)
    session.request_stats()
    counted = {"frames": 1, "bytes": 2, "digest": "ab"}
    assert said(session) == [
        {"type": "edge.stats", "heard": counted, "said": counted},
        {"type": "edge.stats"},
    ]
    receive(session, control.Stats(heard=COUNT, said=COUNT))
    assert events(session) == [StatsReceived(COUNT, COUNT)]


def test_an_event_that_makes_no_sense_is_answered_and_the_call_goes_on() -> None:
    session = open_session()
    receive(session, {"type": "edge.resume", "event_id": "e1"}, {"type": "response.cancel", "response_id": 3})
    unknown, invalid = said(session)
    assert unknown["error"] == {
        "type": "invalid_request_error",
        "code": "unknown_event",
        "message": "no event is called 'edge.resume'",
        "event_id": "e1",
    }
    assert invalid["error"]["code"] == "invalid_event"
    assert "$.response_id" in invalid["error"]["message"]
    receive(session, control.CreateResponse())
    assert events(session) == [ResponseRequested()]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "\x01" * 10_000},
        {"type": "response.create", "event_id": "x" * 60_000},
        {"type": "unknown", "event_id": "x" * 60_000},
    ],
    ids=["long type", "long identifier", "long identifier of an unknown event"],
)
def test_a_complaint_is_shorter_than_what_it_is_about(event: dict[str, Any]) -> None:
    """Quoting the caller in full would not fit into a record."""
    session = open_session()
    receive(session, event)
    (complaint,) = said(session)
    assert len(msgspec.json.encode(complaint)) < 4096


def test_endless_nonsense_ends_the_call() -> None:
    """Each answer waits in memory until the caller reads it, which it never may."""
    session = open_session()
    receive(session, *[{"type": "nonsense"}] * (MAX_EVENT_ERRORS + 50))
    done = actions(session)
    assert isinstance(done[-1], CloseSession)
    assert done[-1].code is Code.PROTOCOL_ERROR
    assert len(done) == MAX_EVENT_ERRORS + 2


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
    "audio in a datagram": (
        lambda s: s.receive_datagram(encode_datagram(AudioDatagram(1, 0, 0, (b"x",))), NOW),
        Code.PROTOCOL_ERROR,
        "datagram: audio, but no datagrams were agreed",
    ),
    "a group given up": (
        lambda s: s.receive_reset(6, 2, NOW),
        Code.PROTOCOL_ERROR,
        "stream 6: reset with code 2",
    ),
    "far too much ahead": (
        lambda s: receive(s, control.CommitAudio(utterance=1000, groups=1)),
        Code.TOO_FAR_BEHIND,
        "commit of utterance 1000",
    ),
}


@pytest.mark.parametrize("break_it,code,reason", FATAL.values(), ids=FATAL.keys())
def test_a_broken_protocol_is_named_and_ends_the_call(break_it: Any, code: Code, reason: str) -> None:
    session = open_session()
    break_it(session)
    error, close = actions(session)
    body = msgspec.json.decode(records.RecordStream().receive(error.data)[0])["error"]
    assert body["code"] == code.name.lower()
    assert body["message"].startswith(reason)
    assert close == CloseSession(code, body["message"])


def test_after_its_end_a_session_is_silent() -> None:
    session = open_session()
    item = session.begin_item()
    session.speak(item, frames(item, 100), NOW)
    session.receive_datagram(encode_datagram(PlayoutReport(item, 0, 900, 0, 9, 1)), NOW + 0.1)
    actions(session), events(session)
    session.close(Code.GOING_AWAY, "maintenance")
    assert actions(session) == [CloseSession(Code.GOING_AWAY, "maintenance")]
    session.receive_stream(2, b"\xff" * 20, False, NOW)
    receive(session, control.CreateResponse())
    session.speak(item, frames(item, 1), NOW + 1)
    session.close()
    session.handle_timer(NOW + 2)
    assert (actions(session), events(session), session.get_timer()) == ([], [], None)
    assert session.last_heard == NOW + 0.1


def test_the_end_of_the_control_stream_hangs_up() -> None:
    session = open_session()
    session.receive_control(b"", True, NOW)
    assert actions(session) == [CloseSession(Code.OK, "the peer hung up")]


def test_what_failed_on_this_side_is_said() -> None:
    session = open_session()
    session.error("backend_failed", "the backend has gone away")
    assert said(session) == [
        {
            "type": "error",
            "error": {
                "type": "server_error",
                "code": "backend_failed",
                "message": "the backend has gone away",
            },
        }
    ]


garbage = st.binary(max_size=60) | st.sampled_from(
    [GROUP, records.encode(HELLO), encode_datagram(PlayoutReport(1, 2, 3, 4, 5, 6))]
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
        session.speak(item, frames(item, 3), NOW + step)
        events(session)
    assert [type(action) for action in actions(session)].count(CloseSession) == int(session.closed)
