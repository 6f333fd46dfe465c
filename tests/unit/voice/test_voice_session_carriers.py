"""The edge's end before it may serve a caller, without a carrier, and on the next one."""

from collections.abc import Callable
from typing import Any

import pytest

from edge.voice import (
    CloseSession,
    Code,
    Codec,
    FrameLedger,
    FramesHeard,
    LeaveRequested,
    Presented,
    ReconnectRequested,
    ResponseRequested,
    SendControl,
    SendStream,
    SessionUpdated,
    UplinkLimits,
    control,
)
from edge.voice.gate import MAX_WAITING_BYTES
from edge.voice.wire import GroupHeader, ItemHeader, encode_header, encode_packet

Open = Callable[..., Any]  # a fixture of conftest.py


def group(number: int, payload: bytes = b"hi") -> bytes:
    header = encode_header(GroupHeader(1, number, number * 100, Codec.OPUS))
    return header + encode_packet(payload, Codec.OPUS) * 5


# --- held --------------------------------------------------------------------------------------------------


def test_a_held_session_says_who_is_there_and_nothing_else(new_session: Open) -> None:
    """A replayed flight must not make a backend hear, answer or even exist."""
    edge = new_session(held=True)
    edge.receive(control.SessionUpdate(session={"token": "t1", "backend": "demo", "lead_ms": 300}))
    edge.session.receive_stream(2, group(0), True, edge.now)
    edge.receive({"type": "response.create"})
    assert (edge.events(), edge.actions()) == ([Presented("t1", "demo")], [])
    edge.session.admit(edge.now)
    updated, heard, requested = edge.events()
    assert isinstance(updated, SessionUpdated)
    assert isinstance(heard, FramesHeard)
    assert requested == ResponseRequested({"type": "response.create"})
    assert edge.names() == ["session.created", "session.updated", "edge.deadline"]
    edge.session.receive_stream(6, group(1), True, edge.now)
    assert [type(event) for event in edge.events()] == [FramesHeard]


def test_who_does_not_say_who_it_is_is_nobody(new_session: Open) -> None:
    edge = new_session(held=True)
    edge.receive({"type": "response.create"}, control.SessionUpdate(session={"token": "too late"}))
    assert edge.events() == [Presented(None, None)]


def test_a_refused_caller_learns_why(new_session: Open) -> None:
    edge = new_session(held=True)
    edge.receive(control.SessionUpdate(session={"token": "forged"}))
    edge.session.error("unauthorized", "the token is not signed by us")
    edge.session.close(Code.UNAUTHORIZED, "the token is not signed by us")
    *told, close = edge.actions()
    assert [event["type"] for event in edge.said(told)][-1] == "error"
    assert close == CloseSession(Code.UNAUTHORIZED, "the token is not signed by us")
    assert edge.events() == [Presented("forged", None)]


@pytest.mark.parametrize("how", ["streams", "datagrams", "events"])
def test_what_a_stranger_makes_an_edge_hold_is_bounded(new_session: Open, how: str) -> None:
    edge = new_session(held=True, limits=UplinkLimits(held_bytes=2000))
    for number in range(100):
        if how == "streams":
            edge.session.receive_stream(2 + 4 * number, group(number), True, edge.now)
        elif how == "datagrams":
            edge.report(0, 0, received=0, ts_ms=number)
        else:
            edge.receive(control.Stats())
        if edge.session.closed:
            break
    else:
        edge.session.receive_control(bytes(2000), False, edge.now)
    close = edge.actions()[-1]
    assert (type(close), close.code) == (CloseSession, Code.LIMIT)
    assert "before it is admitted" in close.reason


# --- between two carriers ----------------------------------------------------------------------------------


def detached(edge: Any) -> None:
    """A call in the middle of an answer loses its carrier: 40 frames of it have arrived, 290 ms are played."""
    edge.session.receive_stream(2, group(0), True, edge.now)
    edge.session.receive_stream(6, group(1)[:9], False, edge.now)
    edge.speak(100)
    edge.now += 0.3
    edge.report(1, 290, 500, received=40, ts_ms=300)
    edge.clear()
    edge.session.detach(edge.now)


def test_without_a_carrier_nothing_is_written_and_no_timer_runs(open_session: Open) -> None:
    edge = open_session()
    detached(edge)
    edge.now += 5
    edge.session.handle_timer(edge.now)
    edge.session.speak(1, [], edge.now)
    edge.speak(3, end=True)
    edge.session.error("backend_slow", "it thinks")
    assert (edge.actions(), edge.session.get_timer()) == ([], None)
    assert edge.session.wants_audio


def test_what_the_lost_carrier_was_not_asked_any_more_is_said_on_the_next(open_session: Open) -> None:
    """Events are; audio is written anew, for its streams are gone."""
    edge = open_session()
    edge.speak(10, end=True)
    edge.session.detach(edge.now)
    assert edge.actions() == []
    edge.session.attach(1, 0, edge.now)
    done = edge.actions()
    assert [event["type"] for event in edge.said(done)][-5:] == [
        "response.created",
        "response.output_item.added",
        "response.output_audio.done",
        "response.output_item.done",
        "response.done",
    ]
    assert [action.stream for action in done if isinstance(action, SendStream)] == [0]


def test_the_next_carrier_goes_on_where_both_ends_are(open_session: Open) -> None:
    edge = open_session()
    detached(edge)
    edge.session.error("backend_slow", "it thinks")
    edge.now += 5
    edge.session.attach(1, 40, edge.now)
    done = edge.actions()
    assert edge.said(done) == [
        {"type": "edge.reconnected", "utterance": 1, "frames": 6},
        {
            "type": "error",
            "error": {"type": "server_error", "code": "backend_slow", "message": "it thinks"},
        },
    ]
    (send,) = [action for action in done if isinstance(action, SendStream)]
    assert send.stream == 0
    assert send.data.startswith(encode_header(ItemHeader(1, 1, 0, 800, Codec.OPUS)))
    edge.session.receive_stream(2, group(1), True, edge.now)
    assert [frame.seq for event in edge.events() for frame in event.frames] == [6, 7, 8, 9]


def test_half_a_record_of_the_old_carrier_is_forgotten(open_session: Open) -> None:
    edge = open_session()
    edge.session.receive_control(b"\x20{", False, edge.now)
    edge.session.detach(edge.now)
    edge.session.attach(1, 0, edge.now)
    edge.clear()
    edge.receive({"type": "response.create"})
    assert edge.events() == [ResponseRequested({"type": "response.create"})]


def test_the_caller_learns_of_endings_that_it_missed(open_session: Open) -> None:
    """The events went down with the carrier; without them the caller would wait for the rest of the items."""
    edge = open_session()
    edge.speak(10, end=True)
    edge.speak(20)
    edge.session.interrupt(edge.now)
    edge.clear()
    edge.session.attach(2, 5, edge.now)
    assert edge.names() == [
        "edge.reconnected",
        "output_audio_buffer.cleared",
        "response.output_audio.done",
        "response.output_item.done",
    ]


def test_what_waits_for_a_carrier_is_bounded(open_session: Open) -> None:
    """A backend may go on talking by event for as long as nobody comes back."""
    edge = open_session()
    edge.session.detach(edge.now)
    for _ in range(MAX_WAITING_BYTES // 60_000 + 1):
        edge.session.send_control({"type": "response.text", "text": "x" * 60_000})
    (close,) = edge.actions()
    assert (close.code, edge.session.closed) == (Code.LIMIT, True)


# --- a connection that continues a call --------------------------------------------------------------------


def test_a_reconnect_is_told_before_anything_is_said_on_the_new_connection(new_session: Open) -> None:
    """The host gives the carrier to the old session; what this one would say must not be on it by then."""
    edge = new_session()
    edge.session.announce_session("node-a", "a.example:443", migrated=False)
    assert edge.actions() == []
    edge.receive(control.Reconnect(resume_token="r1", item=3, frames=64))
    assert edge.events() == [ReconnectRequested("r1", 3, 64)]


def test_a_held_reconnect_waits_until_the_caller_is_known(new_session: Open) -> None:
    edge = new_session(held=True)
    edge.receive(
        control.Reconnect(resume_token="r1", item=3, frames=64),
        control.SessionUpdate(session={"token": "t1"}),
    )
    assert (edge.events(), edge.actions()) == ([Presented("t1", None)], [])
    assert edge.session.resumes == ReconnectRequested("r1", 3, 64)
    edge.session.admit(edge.now)
    assert edge.events()[0] == ReconnectRequested("r1", 3, 64)


def test_a_call_that_is_not_known_leaves_a_session_that_is_new(new_session: Open) -> None:
    edge = new_session()
    edge.receive(control.Reconnect(resume_token="r1", item=3, frames=64))
    edge.events()
    edge.session.refuse_reconnect()
    assert edge.names() == ["session.created", "error"]
    edge.receive(control.SessionUpdate(session={}))
    edge.session.receive_stream(2, group(0), True, edge.now)
    assert [type(event) for event in edge.events()] == [Presented, SessionUpdated, FramesHeard]
    assert all(isinstance(action, SendControl) for action in edge.actions())


# --- letting go --------------------------------------------------------------------------------------------


def test_a_caller_that_leaves_takes_all_that_was_said_along(open_session: Open) -> None:
    """The lead holds back what an interruption would waste; who leaves would lose it."""
    edge = open_session(lead_ms=200)
    edge.speak(100, end=True)
    edge.clear()
    assert not edge.session.is_written
    edge.receive(control.Leave())
    assert edge.events() == [LeaveRequested()]
    edge.session.lift_lead(edge.now)
    assert edge.session.is_written
    count = FrameLedger().count()
    edge.session.leave("r2", count, count, edge.now)
    done = edge.actions()
    (sent,) = [action for action in done if isinstance(action, SendStream)]
    assert sent.fin
    assert [event["type"] for event in edge.said(done)][-1] == "edge.left"


def test_nothing_is_told_or_taken_in_behind_the_end(open_session: Open) -> None:
    """What was counted is closed: a frame that still arrives would be in nobody's account."""
    edge = open_session()
    count = FrameLedger().count()
    edge.session.leave("r2", count, count, edge.now)
    edge.clear()
    edge.session.receive_stream(2, group(0), True, edge.now)
    edge.speak(10, end=True)
    edge.session.error("backend_slow", "it thinks")
    assert (edge.events(), edge.actions()) == ([], [])


def test_a_caller_that_was_let_go_may_come_back(open_session: Open) -> None:
    """Its new place was none; then what was said meanwhile is said, and within the lead again."""
    edge = open_session(lead_ms=200)
    edge.session.lift_lead(edge.now)
    count = FrameLedger().count()
    edge.session.leave("r2", count, count, edge.now)
    edge.clear()
    edge.speak(100, end=True)
    edge.session.attach(1, 0, edge.now)
    done = edge.actions()
    assert edge.said(done)[0] == {"type": "edge.reconnected", "utterance": 1, "frames": 0}
    assert not edge.session.is_written
    edge.session.receive_stream(2, group(0), True, edge.now)
    assert [type(event) for event in edge.events()] == [FramesHeard]
