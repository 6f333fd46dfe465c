"""The caller's end of a call: grouping, reports, interruption, and an edge that talks nonsense."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import (
    RESUME_S,
    BargedIn,
    BargeIn,
    CallContinued,
    CallerEvent,
    CallerSession,
    CallerTranscript,
    CloseSession,
    Code,
    Codec,
    ControlReceived,
    Deadlines,
    DeadlinesAgreed,
    ErrorReceived,
    ExpireStream,
    FrameLedger,
    FramesReceived,
    ItemDone,
    PlayoutReport,
    ResetStream,
    SendControl,
    SendDatagram,
    SendStream,
    SessionReady,
    SpeechStarted,
    SpeechStopped,
    StopStream,
    Transcript,
    Truncated,
    Turn,
    TurnTimed,
    UtteranceCleared,
    UtteranceCommitted,
    control,
    records,
)
from edge.voice.wire import (
    AudioDatagram,
    AudioStream,
    GroupHeader,
    ItemHeader,
    decode_datagram,
    encode_datagram,
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
    assert said(actions(CallerSession(NOW, lead_ms=300))) == [control.SessionUpdate(session={"lead_ms": 300})]


def test_what_a_caller_chooses_is_what_it_says() -> None:
    session = CallerSession(
        NOW, lead_ms="auto", deadline=Deadlines(60, None), token="t1", backend="demo", fields={"voice": "ash"}
    )
    session.update_session(deadline="accurate")
    deadline = {"uplink_ms": 60, "downlink_ms": None}
    chosen = {"lead_ms": "auto", "deadline": deadline, "token": "t1", "backend": "demo", "voice": "ash"}
    assert said(actions(session)) == [
        control.SessionUpdate(session=chosen),
        control.SessionUpdate(session={"deadline": "accurate"}),
    ]
    assert session.deadlines == Deadlines(5000, None)


@pytest.mark.parametrize("chunks", [[13], [1] * 13, [4, 9], [5, 5, 3]], ids=str)
def test_speech_goes_out_in_groups_however_it_comes(chunks: list[int]) -> None:
    session = call()
    payloads = [bytes([n]) * 20 for n in range(13)]
    rest = list(payloads)
    for size in chunks:
        session.send_frames(rest[:size], NOW)
        del rest[:size]
    assert session.commit(NOW) == 1
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
    assert said(sent) == [control.CommitAudio(utterance=1, groups=3, frames=13)]
    assert session.said.frames == 13


def test_utterances_are_counted_and_each_is_numbered_anew() -> None:
    session = call()
    for utterance in (1, 2):
        session.send_frames([bytes(20)] * 5, NOW)
        assert session.commit(NOW) == utterance
    starts = [action.data[:4] for action in actions(session) if isinstance(action, SendStream)]
    assert starts == [b"\x01\x01\x00\x00", b"\x01\x02\x00\x00"]


def test_saying_nothing_cannot_be_committed() -> None:
    session = call()
    with pytest.raises(ValueError, match="nothing has been said"):
        session.commit(NOW)


def test_an_impossible_frame_is_refused_and_leaves_no_trace() -> None:
    """Half of a call in the ledger and half on the wire would look like loss."""
    session = call()
    with pytest.raises(ValueError, match="1277 bytes"):
        session.send_frames([bytes(20), bytes(1277)], NOW)
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
    assert events(session) == []
    session.handle_timer(NOW + 0.3 + RESUME_S)
    assert events(session) == [ItemDone(1, 40, cancelled=True), ItemDone(2, 0, cancelled=True)]
    incomplete = control.Item(id="item_1", status="incomplete")
    assert tell(session, control.OutputItemDone(response_id="resp_1", item=incomplete)) == []
    assert (session.heard.frames, session.playout.playing) == (40, False)


def test_interrupting_the_rest_of_what_has_all_arrived_frees_the_window() -> None:
    """The edge has finished the item and knows of nothing to cancel, but must learn that it is not played."""
    session = call()
    session.receive_stream(3, item(1, 40), True, NOW)
    actions(session)
    session.cancel(NOW + 0.3)
    assert said(actions(session)) == [control.CancelResponse(response_id="resp_1")]


def test_what_was_played_until_an_interruption_is_said_more_than_once() -> None:
    """Else a single lost datagram would leave the edge with what was played a tenth of a second before."""
    session = call()
    session.receive_stream(3, item(1, 40), False, NOW)
    actions(session)
    session.cancel(NOW + 0.31)
    told = reports(actions(session))
    while (timer := session.get_timer()) is not None and timer < NOW + 0.31 + RESUME_S:
        session.handle_timer(timer)
        told += reports(actions(session))
    assert [(report.item, report.played_ms) for report in told] == [(1, 310)] * 4


def test_what_the_edge_says_is_told() -> None:
    info = {"session_id": "call-1", "node": "a", "unicast_url": "a.example:443", "resume_token": None}
    body = control.ErrorBody(type="server_error", code="backend_failed", message="gone")
    assert tell(
        call(),
        control.EdgeSessionInfo(**info, migrated=False),
        control.AudioCommitted(utterance=1, frames=13, lost=2),
        control.AudioCleared(utterance=2),
        control.DeadlineChanged(
            uplink_ms=50, downlink_ms=None, uplink_datagrams=True, downlink_datagrams=False
        ),
        control.SpeechStarted(audio_start_ms=120),
        control.SpeechStopped(audio_end_ms=1900),
        control.InputTranscriptDelta(delta="tell"),
        control.InputTranscriptDone(transcript="tell me"),
        control.ItemTruncated(item_id="item_2", audio_end_ms=1280),
        control.BargedIn(
            item_id="item_2",
            played_ms=1280,
            generated_bytes=9000,
            wire_bytes=7000,
            wasted_bytes=3000,
            saved_bytes=2000,
            cancel_ms=30.5,
        ),
        control.TurnTimed(
            response_id="resp_2",
            item_id="item_2",
            backend_ms=210.0,
            wire_ms=211.0,
            played_ms=None,
            edge_added_ms=1.0,
        ),
        control.TranscriptDelta(item_id="item_2", delta="once"),
        control.TranscriptDone(item_id="item_2", transcript="once there was"),
        control.Error(error=body),
        {"type": "edge.weather", "sky": "b.example"},
        {"type": "error"},
    ) == [
        SessionReady(**info, migrated=False),
        UtteranceCommitted(1, 13, lost=2),
        UtteranceCleared(2),
        DeadlinesAgreed(Deadlines(50, None), uplink_datagrams=True, downlink_datagrams=False),
        SpeechStarted(120),
        SpeechStopped(1900),
        CallerTranscript("tell", done=False),
        CallerTranscript("tell me", done=True),
        Truncated(2, 1280),
        BargedIn(BargeIn(2, 1280, 9000, 7000, 4000, 30.5)),
        TurnTimed(Turn(2, 210.0, 211.0, None)),
        Transcript(2, "once", done=False),
        Transcript(2, "once there was", done=True),
        ErrorReceived("backend_failed", "gone", None),
        ControlReceived({"type": "edge.weather", "sky": "b.example"}),
        ErrorReceived("invalid_event", "error: Object missing required field `error`", None),
    ]


def test_stats_are_answered_without_asking_the_owner() -> None:
    session = call()
    session.send_frames([bytes(20)], NOW)
    session.receive_stream(3, item(1, 2), True, NOW)
    actions(session), events(session)
    assert tell(session, control.Stats()) == []
    assert said(actions(session)) == [control.Stats(heard=session.heard.count(), said=session.said.count())]


# --- interruptions that may be none ------------------------------------------------------------------------


def interrupted() -> CallerSession:
    """300 ms of item 1 have been played, 40 frames of it received, two more come too late."""
    session = call()
    session.receive_stream(3, item(1, 40), False, NOW)
    session.cancel(NOW + 0.3)
    session.receive_stream(3, encode_packet(bytes(30), Codec.OPUS) * 2, False, NOW + 0.35)
    actions(session), events(session)
    return session


def test_a_cough_is_taken_back_and_playing_goes_on_where_it_stopped() -> None:
    session = interrupted()
    assert session.playout.played_ms == 300
    assert session.resume(NOW + 0.6)
    assert said(actions(session)) == [control.Resume(item_id="item_1", frames=42)]
    session.receive_reset(3, Code.CANCELLED, NOW + 0.65)
    again = encode_header(ItemHeader(1, 1, 0, 42 * 20, Codec.OPUS)) + encode_packet(bytes(30), Codec.OPUS) * 8
    session.receive_stream(7, again, True, NOW + 0.7)
    session.handle_timer(NOW + 0.6 + 0.7)
    received = [
        frame.seq for event in events(session) if isinstance(event, FramesReceived) for frame in event.frames
    ]
    assert received == list(range(40, 50))
    assert session.playout.played_ms == 1000
    assert session.playout.underruns == 0


def test_after_its_time_an_interruption_cannot_be_taken_back() -> None:
    session = interrupted()
    session.handle_timer(NOW + 0.3 + RESUME_S)
    assert ItemDone(1, 40, cancelled=True) in events(session)
    actions(session)
    assert not session.resume(NOW + 0.8)
    assert actions(session) == []
    session.receive_stream(7, item(2, 10), True, NOW + 0.9)
    assert [type(event) for event in events(session)] == [FramesReceived, ItemDone]


def test_an_answer_that_the_edge_ends_is_flushed_and_the_next_is_not() -> None:
    """Streams and events overtake each other: the next answer may be there before the end of the last."""
    session = call()
    session.receive_stream(3, item(1, 40), True, NOW)
    session.receive_stream(7, item(2, 40), False, NOW)
    tell(session, control.OutputCleared(response_id="resp_1"))
    assert (session.playout.item, session.playout.playing) == (2, True)
    session.handle_timer(NOW + 0.5)
    assert session.playout.played_ms == 500


# --- deadlines ---------------------------------------------------------------------------------------------


def test_a_group_expires_when_its_time_is_over() -> None:
    session = call(deadline="chat")
    session.send_frames([bytes(20)] * 5, NOW)
    actions(session)
    assert session.get_timer() == NOW + 0.5
    session.handle_timer(NOW + 0.5)
    assert actions(session) == [ExpireStream(0)]


def test_where_a_stream_cannot_help_speech_goes_in_datagrams() -> None:
    session = call(deadline="live")
    session.set_rtt(0.060)
    session.send_frames([b"a", b"b"], NOW)
    assert [decode_datagram(action.data) for action in actions(session)] == [
        AudioDatagram(1, 0, 0, (b"a",)),
        AudioDatagram(1, 1, 20, (b"b", b"a")),
    ]


def test_frames_that_are_lost_on_the_way_down_are_counted() -> None:
    session = call(deadline="live")
    for seq, packets in ((0, (b"a",)), (3, (b"d", b"c")), (4, (b"e", b"d"))):
        session.receive_datagram(encode_datagram(AudioDatagram(1, seq, seq * 20, packets)), NOW)
    tell(session, control.OutputAudioDone(response_id="resp_1", item_id="item_1", frames=6))
    for _ in range(4):
        session.handle_timer(session.get_timer() or NOW)
    heard = events(session)
    assert [f.seq for event in heard if isinstance(event, FramesReceived) for f in event.frames] == [2, 3, 4]
    assert heard[-1] == ItemDone(1, 4, cancelled=False, lost=2)
    actions(session)
    tell(session, control.Stats())
    (stats,) = said(actions(session))
    assert (stats.heard.frames, stats.heard.lost) == (4, 2)


def test_what_is_taken_back_is_not_said_any_more() -> None:
    session = call(deadline="chat")
    session.send_frames([bytes(20)] * 7, NOW)
    actions(session)
    assert session.clear(NOW) == 1
    reset_first, reset_second, clear = actions(session)
    assert {reset_first, reset_second} == {ResetStream(0, Code.CANCELLED), ResetStream(1, Code.CANCELLED)}
    assert said([clear]) == [control.ClearAudio(utterance=1)]
    session.send_frames([bytes(20)], NOW)
    (send,) = actions(session)
    assert send.data.startswith(b"\x01\x02\x00\x00")


# --- one carrier after another -----------------------------------------------------------------------------

INFO = control.EdgeSessionInfo(
    session_id="call-1", node="a", unicast_url="a.example:443", resume_token="r1", migrated=False
)


def lost() -> CallerSession:
    """40 frames of item 1 are here, 12 frames of an utterance were said and two more into the void."""
    session = call(deadline="chat", token="t1")
    tell(session, INFO)
    session.receive_stream(3, item(1, 40), False, NOW)
    session.send_frames([bytes([seq]) for seq in range(12)], NOW)
    actions(session)
    events(session)
    session.request_response()
    session.detach(NOW + 0.1)
    session.send_frames([bytes([seq]) for seq in (12, 13)], NOW + 0.2)
    session.send_control({"type": "conversation.item.delete", "item_id": "x"})
    assert actions(session) == []
    return session


def test_without_a_carrier_what_is_there_is_played_on() -> None:
    session = lost()
    session.handle_timer(NOW + 0.6)
    assert (session.playout.played_ms, actions(session)) == (600, [])


def test_a_call_is_continued_where_both_ends_are() -> None:
    session = lost()
    session.reconnect(NOW + 0.7)
    assert said(actions(session)) == [
        control.Reconnect(resume_token="r1", item=1, frames=40, utterance=1),
        control.SessionUpdate(session={"deadline": "chat", "token": "t1"}),
    ]
    session.send_frames([b"\x0e"], NOW + 0.8)
    assert actions(session) == []
    assert tell(session, control.Reconnected(utterance=1, frames=7)) == [CallContinued(1, 7, whole=True)]
    sent = actions(session)
    parsers: dict[int, AudioStream[GroupHeader]] = {}
    packets: list[bytes] = []
    for send in sent:
        if isinstance(send, SendStream):
            parser = parsers.setdefault(send.stream, AudioStream((GroupHeader,), "stream"))
            packets += parser.receive(send.data, send.fin)
    assert list(parsers) == [0, 1]
    assert packets[2:] == [
        bytes([seq]) for seq in range(7, 15)
    ]  # before them, slots that the edge has filled
    assert [event.fields["type"] for event in said(sent)] == ["response.create", "conversation.item.delete"]
    session.receive_stream(3, encode_header(ItemHeader(1, 1, 0, 800, Codec.OPUS)), False, NOW + 0.9)
    session.receive_stream(3, encode_packet(b"x", Codec.OPUS), True, NOW + 0.9)
    assert [e.frames[0].seq for e in events(session) if isinstance(e, FramesReceived)] == [40]


def test_an_utterance_is_committed_again_if_the_edge_has_not_heard_of_it() -> None:
    session = lost()
    session.commit(NOW + 0.3)
    session.reconnect(NOW + 0.7)
    actions(session)
    tell(session, control.Reconnected(utterance=1, frames=14))
    assert said(actions(session))[0] == control.CommitAudio(utterance=1, groups=3, frames=14)


def test_a_call_that_no_edge_named_cannot_be_continued() -> None:
    session = call()
    with pytest.raises(ValueError, match="no edge has said"):
        session.reconnect(NOW)


FATAL = {
    "a stream of no type": (lambda s: s.receive_stream(3, b"\x05\x01\x00\x00\x01", False, NOW), "stream 3"),
    "a report": (lambda s: s.receive_datagram(b"\x04\0\0\0\0\0\0", NOW), "datagram: a playout report"),
    "a call continued that was not lost": (
        lambda s: s.receive_control(records.encode(control.Reconnected(utterance=1, frames=0)), False, NOW),
        "control stream: edge.reconnected",
    ),
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


events_of_an_edge = [
    records.encode(event)
    for event in (
        control.OutputAudioDone(response_id="resp_1", item_id="item_1", frames=3),
        control.OutputItemDone(response_id="resp_2", item=control.Item(id="item_2", status="incomplete")),
        control.OutputCleared(response_id="resp_1"),
        control.Reconnected(utterance=1, frames=0),
        control.DeadlineChanged(uplink_ms=50, downlink_ms=50, uplink_datagrams=True, downlink_datagrams=True),
    )
]
garbage = st.binary(max_size=60) | st.sampled_from([item(1, 3), item(2, 0), b"\x40"])


@given(
    st.lists(st.tuples(st.sampled_from([3, 7, 11]), garbage, st.booleans()), max_size=12),
    st.lists(st.binary() | st.sampled_from(events_of_an_edge)),
)
def test_whatever_arrives_nothing_escapes(streams: list[tuple[int, bytes, bool]], told: list[bytes]) -> None:
    session = call()
    for data in told:
        session.receive_control(data, False, NOW)
    for step, (stream, data, fin) in enumerate(streams):
        session.receive_stream(stream, data, fin, NOW + step)
        session.handle_timer(NOW + step)
    session.cancel(NOW + 20)
