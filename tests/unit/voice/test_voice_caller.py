"""The caller's end of a call: grouping, reports, interruption, and an edge that talks nonsense."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import (
    CallerEvent,
    CallerSession,
    CloseSession,
    Code,
    Codec,
    ControlReceived,
    ErrorReceived,
    FrameLedger,
    ItemDone,
    PlayoutReport,
    SendControl,
    SendDatagram,
    SendStream,
    SessionReady,
    StopStream,
    Transcript,
    UtteranceCommitted,
    control,
    records,
)
from edge.voice.wire import (
    AudioStream,
    GroupHeader,
    ItemHeader,
    decode_datagram,
    encode_header,
    encode_packet,
)

NOW = 50.0


def call(**options: Any) -> CallerSession:
    """A caller whose first greeting is on its way."""
    session = CallerSession(NOW, **options)
    actions(session)
    return session


def actions(session: CallerSession) -> list[Any]:
    return list(iter(session.next_action, None))


def events(session: CallerSession) -> list[CallerEvent]:
    return list(iter(session.next_event, None))


def said(sent: list[Any]) -> list[Any]:
    stream = records.RecordStream()
    controls = [action for action in sent if isinstance(action, SendControl)]
    return [
        records.caller_events.decode(record) for action in controls for record in stream.receive(action.data)
    ]


def reports(sent: list[Any]) -> list[Any]:
    return [decode_datagram(action.data) for action in sent if isinstance(action, SendDatagram)]


def tell(session: CallerSession, *told: control.Event | dict[str, Any]) -> list[CallerEvent]:
    for event in told:
        session.receive_control(records.encode(event), False, NOW)
    return events(session)


def item(number: int, frames: int) -> bytes:
    packet = encode_packet(bytes(30), Codec.OPUS)
    return encode_header(ItemHeader(number, number, 0, 0, Codec.OPUS)) + packet * frames


def test_a_call_opens_its_control_stream_at_once() -> None:
    """An edge may not write on it before; in early data this costs no round trip."""
    assert said(actions(CallerSession(NOW, lead_ms=300))) == [
        control.SessionUpdate(session=control.SessionSettings(lead_ms=300))
    ]


@pytest.mark.parametrize("chunks", [[13], [1] * 13, [4, 9], [5, 5, 3]], ids=str)
def test_speech_goes_out_in_groups_however_it_comes(chunks: list[int]) -> None:
    session = call()
    payloads = [bytes([n]) * 20 for n in range(13)]
    rest = list(payloads)
    for size in chunks:
        session.send_frames(rest[:size])
        del rest[:size]
    assert session.commit() == 1
    sent = actions(session)
    streams: dict[int, AudioStream[GroupHeader]] = {}
    packets: list[bytes] = []
    for send in sent:
        if isinstance(send, SendStream):
            stream = streams.setdefault(send.stream, AudioStream(GroupHeader, "stream"))
            packets += stream.receive(send.data, send.fin)
    assert packets == payloads
    assert [(s.header, s.packets, s.finished) for s in streams.values()] == [
        (GroupHeader(1, group, group * 100, Codec.OPUS), count, True) for group, count in enumerate([5, 5, 3])
    ]
    assert said(sent) == [control.CommitAudio(utterance=1, groups=3)]
    assert session.said.frames == 13


def test_utterances_are_counted_and_each_is_numbered_anew() -> None:
    session = call()
    for utterance in (1, 2):
        session.send_frames([bytes(20)] * 5)
        assert session.commit() == utterance
    starts = [action.data[:4] for action in actions(session) if isinstance(action, SendStream)]
    assert starts == [b"\x01\x01\x00\x00", b"\x01\x02\x00\x00"]


def test_saying_nothing_cannot_be_committed() -> None:
    session = call()
    with pytest.raises(ValueError, match="nothing has been said"):
        session.commit()


def test_an_impossible_frame_is_refused_and_leaves_no_trace() -> None:
    """Half of a call in the ledger and half on the wire would look like loss."""
    session = call()
    with pytest.raises(ValueError, match="1277 bytes"):
        session.send_frames([bytes(20), bytes(1277)])
    assert (actions(session), session.said.count()) == ([], FrameLedger().count())


def test_reports_follow_the_playout() -> None:
    """At each change at once, ten a second while speech is heard, one a second in silence."""
    session = call()
    session.receive_stream(3, item(1, 10), True, NOW + 0.25)
    sent = [(NOW + 0.25, report) for report in reports(actions(session))]
    while (timer := session.get_timer()) is not None and timer < NOW + 3:
        session.handle_timer(timer)
        sent += [(timer, report) for report in reports(actions(session))]
    assert [(round(at - NOW, 3), report.played_ms, report.buffered_ms) for at, report in sent] == [
        (0.25, 0, 200),
        (0.35, 100, 100),
        (0.45, 200, 0),
        (1.45, 200, 0),
        (2.45, 200, 0),
    ]
    assert sent[-1][1] == PlayoutReport(
        item=1, played_ms=200, buffered_ms=0, underruns=0, highest_group=1, client_ts_ms=2450
    )


def test_the_heartbeat_begins_with_the_call() -> None:
    session = call()
    assert session.get_timer() == NOW + 1
    session.handle_timer(NOW + 1)
    assert reports(actions(session)) == [PlayoutReport(0, 0, 0, 0, 0, 1000)]


def test_interrupting_silences_stops_and_names_what_was_being_said() -> None:
    session = call()
    session.receive_stream(3, item(1, 40), False, NOW)
    tell(
        session,
        control.OutputItemAdded(response_id="resp_2", item=control.Item(id="item_2", status="in_progress")),
    )
    actions(session), events(session)
    session.cancel(NOW + 0.3)
    sent = actions(session)
    assert sent[0] == StopStream(3, Code.CANCELLED)
    assert said(sent) == [
        control.CancelResponse(response_id="resp_1"),
        control.CancelResponse(response_id="resp_2"),
    ]
    assert [(r.item, r.played_ms, r.buffered_ms) for r in reports(sent)] == [(1, 300, 0)]
    session.receive_stream(3, encode_packet(bytes(30), Codec.OPUS), False, NOW + 0.4)
    incomplete = control.Item(id="item_1", status="incomplete")
    assert tell(session, control.OutputItemDone(response_id="resp_1", item=incomplete)) == [
        ItemDone(1, 40, cancelled=True)
    ]
    assert (session.heard.frames, session.playout.playing) == (40, False)


def test_interrupting_the_rest_of_what_has_all_arrived_frees_the_window() -> None:
    """The edge has finished the item and knows of nothing to cancel, but must learn that it is not played."""
    session = call()
    session.receive_stream(3, item(1, 40), True, NOW)
    actions(session)
    session.cancel(NOW + 0.3)
    assert said(actions(session)) == [control.CancelResponse(response_id="resp_1")]


def test_what_the_edge_says_is_told() -> None:
    info = {"session_id": "call-1", "node": "a", "unicast_url": "a.example:443", "resume_token": None}
    body = control.ErrorBody(type="server_error", code="backend_failed", message="gone")
    assert tell(
        call(),
        control.EdgeSessionInfo(**info, migrated=False),
        control.AudioCommitted(utterance=1, frames=13),
        control.TranscriptDelta(item_id="item_2", delta="once"),
        control.TranscriptDone(item_id="item_2", transcript="once there was"),
        control.Error(error=body),
        {"type": "edge.goaway", "url": "b.example"},
        {"type": "error"},
    ) == [
        SessionReady(**info, migrated=False),
        UtteranceCommitted(1, 13),
        Transcript(2, "once", done=False),
        Transcript(2, "once there was", done=True),
        ErrorReceived("backend_failed", "gone", None),
        ControlReceived({"type": "edge.goaway", "url": "b.example"}),
        ErrorReceived("invalid_event", "error: Object missing required field `error`", None),
    ]


def test_stats_are_answered_without_asking_the_owner() -> None:
    session = call()
    session.send_frames([bytes(20)])
    session.receive_stream(3, item(1, 2), True, NOW)
    actions(session), events(session)
    assert tell(session, control.Stats()) == []
    assert said(actions(session)) == [control.Stats(heard=session.heard.count(), said=session.said.count())]


FATAL = {
    "an uplink stream": (lambda s: s.receive_stream(3, b"\x01\x01\x00\x00\x01", False, NOW), "stream 3"),
    "a datagram": (lambda s: s.receive_datagram(b"\x04", NOW), "datagram: 1 bytes"),
    "a refused group": (lambda s: s.receive_stop(0, 9, NOW), "own stream 0: refused by the edge"),
}


@pytest.mark.parametrize("break_it,reason", FATAL.values(), ids=FATAL.keys())
def test_a_broken_edge_is_left(break_it: Any, reason: str) -> None:
    session = call()
    break_it(session)
    (close,) = actions(session)
    assert isinstance(close, CloseSession)
    assert close.code is Code.PROTOCOL_ERROR
    assert close.reason.startswith(reason)
    assert session.get_timer() is None


garbage = st.binary(max_size=60) | st.sampled_from([item(1, 3), item(2, 0), b"\x40"])


@given(st.lists(st.tuples(st.sampled_from([3, 7, 11]), garbage, st.booleans()), max_size=12), st.binary())
def test_whatever_arrives_nothing_escapes(streams: list[tuple[int, bytes, bool]], told: bytes) -> None:
    session = call()
    session.receive_control(told, False, NOW)
    for step, (stream, data, fin) in enumerate(streams):
        session.receive_stream(stream, data, fin, NOW + step)
        session.handle_timer(NOW + step)
    session.cancel(NOW + 20)
