"""Control records: framing in any chunks, the vocabulary both ways, and nonsense of every kind."""

from contextlib import suppress
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import LedgerCount, WireError, control, records, varint
from edge.voice.deadline import Deadlines

SESSION = control.SessionState(id="call-1", lead_ms="auto", deadline=control.DeadlineState(500, None))
RESPONSE = control.Response(id="resp_3", status="completed")
ITEM = control.Item(id="item_3", status="incomplete")
LEDGER = LedgerCount(frames=3, bytes=4, digest="ab")
CALLER_EVENTS: list[control.CallerEvent] = [
    control.SessionUpdate(session={"lead_ms": 200, "voice": "ash"}, event_id="e1"),
    control.SessionUpdate(session={}),
    control.SetDeadline(preset="live"),
    control.SetDeadline(uplink_ms=60, downlink_ms=None),
    control.CommitAudio(utterance=1, groups=3, frames=12),
    control.ClearAudio(utterance=1),
    control.TruncateItem(item_id="item_3", audio_end_ms=1280),
    control.CancelResponse(),
    control.CancelResponse(response_id="resp_3"),
    control.ClearOutput(),
    control.Resume(item_id="item_3", frames=64),
    control.Reconnect(resume_token="t", item=3, frames=64),
    control.Reconnect(resume_token="t", item=3, frames=64, utterance=2),
    control.Leave(),
    control.Stats(),
    control.Stats(heard=LEDGER, said=LEDGER),
]
PASSED_ON: list[control.PassedOn] = [
    control.CreateResponse(event_id="e1"),
    control.CreateItem(),
    control.RetrieveItem(),
    control.DeleteItem(),
]
EDGE_EVENTS: list[control.EdgeEvent] = [
    control.SessionCreated(session=SESSION),
    control.SessionUpdated(session=SESSION),
    control.DeadlineChanged(uplink_ms=50, downlink_ms=None, uplink_datagrams=True, downlink_datagrams=False),
    control.AudioCommitted(utterance=1, frames=13, lost=1),
    control.AudioCleared(utterance=1),
    control.SpeechStarted(audio_start_ms=120),
    control.SpeechStopped(audio_end_ms=1900),
    control.InputTranscriptDelta(delta="tell"),
    control.InputTranscriptDone(transcript="tell me"),
    control.ResponseCreated(response=RESPONSE),
    control.ResponseDone(response=RESPONSE),
    control.OutputItemAdded(response_id="resp_3", item=ITEM),
    control.OutputItemDone(response_id="resp_3", item=ITEM),
    control.OutputAudioDone(response_id="resp_3", item_id="item_3", frames=50),
    control.TranscriptDelta(item_id="item_3", delta="once"),
    control.TranscriptDone(item_id="item_3", transcript="once there was"),
    control.ItemTruncated(item_id="item_3", audio_end_ms=1280),
    control.OutputCleared(response_id="resp_3"),
    control.BargedIn(
        item_id="item_3",
        played_ms=1280,
        generated_bytes=9000,
        wire_bytes=7000,
        wasted_bytes=3000,
        saved_bytes=2000,
        cancel_ms=30.5,
    ),
    control.TurnTimed(
        response_id="resp_3",
        item_id="item_3",
        backend_ms=210.0,
        wire_ms=211.0,
        played_ms=None,
        edge_added_ms=1.0,
    ),
    control.Reconnected(utterance=2, frames=15),
    control.Reconnected(utterance=2, frames=0, elsewhere=True),
    control.GoAway(url="https://a.example:443", reason="anycast", within_ms=10_000, leave=False),
    control.GoAway(url=None, reason="drain", within_ms=30_000, leave=True),
    control.Left(resume_token="t", heard=LEDGER, said=LEDGER),
    control.Error(error=control.ErrorBody(type="server_error", code="c", message="m", event_id="e1")),
    control.EdgeSessionInfo(
        session_id="call-1", node="a", unicast_url="a.example:443", resume_token=None, migrated=True
    ),
    control.Stats(),
]


def only_record(data: bytes) -> bytes:
    (record,) = records.RecordStream().receive(data)
    return record


@pytest.mark.parametrize("event", CALLER_EVENTS, ids=repr)
def test_caller_events_round_trip(event: control.CallerEvent) -> None:
    assert records.caller_events.decode(only_record(records.encode(event))) == event


@pytest.mark.parametrize("event", EDGE_EVENTS, ids=repr)
def test_edge_events_round_trip(event: control.EdgeEvent) -> None:
    assert records.edge_events.decode(only_record(records.encode(event))) == event


def test_every_event_is_covered_above() -> None:
    passed_on = {type(event) for event in PASSED_ON}
    assert {type(event) for event in CALLER_EVENTS} | passed_on == set(get_args(control.CallerEvent))
    assert {type(event) for event in EDGE_EVENTS} == set(get_args(control.EdgeEvent))


@pytest.mark.parametrize(
    "event,golden",
    [
        (
            control.CommitAudio(utterance=1, groups=3, frames=12),
            {"type": "input_audio_buffer.commit", "utterance": 1, "groups": 3, "frames": 12},
        ),
        (control.CancelResponse(response_id="resp_3"), {"type": "response.cancel", "response_id": "resp_3"}),
        (
            EDGE_EVENTS[-2],
            {
                "type": "edge.session",
                "session_id": "call-1",
                "node": "a",
                "unicast_url": "a.example:443",
                "resume_token": None,
                "migrated": True,
            },
        ),
    ],
)
def test_events_in_json(event: control.Event, golden: dict[str, object]) -> None:
    """What other clients are written against: names, and what is there although it is null."""
    assert msgspec.json.decode(only_record(records.encode(event))) == golden


@pytest.mark.parametrize("event", PASSED_ON, ids=repr)
def test_an_event_for_the_backend_is_kept_whole(event: control.PassedOn) -> None:
    """Fields that nobody here knows are what the backend is waiting for."""
    fields = {**msgspec.to_builtins(event), "response": {"instructions": "in French", "tools": [1, None]}}
    data = msgspec.json.encode(fields)
    assert records.caller_events.decode(data) == records.PassedOnEvent(event, fields)


@given(st.lists(st.binary(max_size=200)), st.data())
def test_records_are_the_same_in_any_chunks(payloads: list[bytes], data: st.DataObject) -> None:
    rest = b"".join(varint.encode(len(payload)) + payload for payload in payloads)
    stream, received = records.RecordStream(), []
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        received += stream.receive(rest[:size])
        rest = rest[size:]
    assert received == payloads


def test_a_record_beyond_the_limit_is_refused_by_its_length_alone() -> None:
    with pytest.raises(WireError, match="record of 65537 bytes"):
        records.RecordStream().receive(varint.encode(records.MAX_RECORD + 1))


@pytest.mark.parametrize("event", [{"type": "x" * 65536}, {"type": object()}], ids=["too long", "no JSON"])
def test_what_no_peer_could_read_is_not_sent(event: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"control record of|not an event"):
        records.encode(event)


def test_an_unknown_event_is_kept_whole() -> None:
    data = b'{"type":"response.audio.laugh","event_id":"e7","loud":[true]}'
    assert records.caller_events.decode(data) == records.UnknownEvent(
        "response.audio.laugh", "e7", {"type": "response.audio.laugh", "event_id": "e7", "loud": [True]}
    )


def test_an_event_of_the_other_end_is_unknown() -> None:
    assert isinstance(records.caller_events.decode(b'{"type":"session.created"}'), records.UnknownEvent)


def settings(session: object) -> tuple[control.SessionSettings, dict[str, object]]:
    event = records.caller_events.decode(
        msgspec.json.encode({"type": "session.update", "session": session, "x": 1})
    )
    assert isinstance(event, control.SessionUpdate)
    return control.settings(event)


def test_settings_that_are_not_ours_are_the_backends() -> None:
    assert settings({"type": "realtime", "voice": "x", "lead_ms": 500, "token": "t"}) == (
        control.SessionSettings(lead_ms=500, token="t"),
        {"type": "realtime", "voice": "x"},
    )


NOW = Deadlines(500, 80)


@pytest.mark.parametrize(
    "choice,after",
    [
        ("live", Deadlines(50, 50)),
        ({"uplink_ms": 60}, Deadlines(60, 80)),
        ({"uplink_ms": None, "downlink_ms": 20}, Deadlines(None, 20)),
        ({}, NOW),
    ],
)
def test_a_deadline_is_a_preset_or_what_is_said_of_it(choice: object, after: Deadlines) -> None:
    """Null is a deadline, too: none. What is not said stays."""
    chosen, _ = settings({"deadline": choice})
    assert chosen.deadline is not None
    assert control.deadlines(chosen.deadline, NOW) == after


@pytest.mark.parametrize(
    "event,after",
    [
        (control.SetDeadline(preset="accurate"), Deadlines(5000, None)),
        (control.SetDeadline(preset="chat", downlink_ms=90), Deadlines(500, 90)),
        (control.SetDeadline(uplink_ms=None), Deadlines(None, 80)),
        (control.SetDeadline(), NOW),
    ],
    ids=repr,
)
def test_a_deadline_can_be_changed_during_the_call(event: control.SetDeadline, after: Deadlines) -> None:
    assert event.change(NOW) == after


@pytest.mark.parametrize(
    "session,place",
    [
        ({"lead_ms": 5001}, r"\$\.session\.lead_ms"),
        ({"lead_ms": "long"}, r"\$\.session\.lead_ms"),
        ({"deadline": "never"}, r"\$\.session\.deadline"),
        ({"deadline": {"uplink_ms": 19}}, r"\$\.session\.deadline\.uplink_ms"),
        ({"token": "x" * 5000}, r"\$\.session\.token"),
    ],
)
def test_an_impossible_setting_is_named(session: object, place: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=place):
        settings(session)


NONSENSE = {
    "empty": (b"", "invalid_json"),
    "no JSON": (b"{", "invalid_json"),
    "two values": (b'{"type":"edge.stats"} {}', "invalid_json"),
    "not an object": (b"[]", "invalid_event"),
    "no type": (b"{}", "invalid_event"),
    "type of another type": (b'{"type":7}', "invalid_event"),
    "bytes that are no UTF-8": (b'{"type":"\xff"}', "invalid_json"),
    "half a surrogate pair": (b'{"type":"\\ud800"}', "invalid_json"),
    "nested beyond reason": (b'{"type":"x","y":' + b"[" * 60_000 + b"]" * 60_000 + b"}", "invalid_event"),
    "missing field": (b'{"type":"input_audio_buffer.commit","utterance":1}', "invalid_event"),
    "negative number": (b'{"type":"input_audio_buffer.clear","utterance":-1}', "invalid_event"),
    "number of thousands of digits": (
        b'{"type":"input_audio_buffer.commit","utterance":' + b"9" * 6000 + b',"groups":1}',
        "invalid_event",
    ),
    "settings that are none": (b'{"type":"session.update","session":7}', "invalid_event"),
    "deadline too short": (b'{"type":"edge.deadline","uplink_ms":19}', "invalid_event"),
    "identifier of another kind": (b'{"type":"response.cancel","response_id":"item_1"}', "invalid_event"),
    "event identifier of any length": (
        b'{"type":"response.create","event_id":"' + b"x" * 129 + b'"}',
        "invalid_event",
    ),
    "identifier with a tail": (b'{"type":"response.cancel","response_id":"resp_1\\n"}', "invalid_event"),
}


@pytest.mark.parametrize("data,code", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_an_event_error(data: bytes, code: str) -> None:
    with pytest.raises(records.EventError) as caught:
        records.caller_events.decode(data)
    assert caught.value.code == code


def test_an_error_names_the_field_and_the_event_it_is_about() -> None:
    data = b'{"type":"edge.deadline","event_id":"e9","uplink_ms":7}'
    with pytest.raises(records.EventError, match=r"edge\.deadline: .*\$\.uplink_ms") as caught:
        records.caller_events.decode(data)
    assert caught.value.event_id == "e9"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
tags = st.sampled_from(
    [type(event).__struct_config__.tag for event in [*CALLER_EVENTS, *PASSED_ON, *EDGE_EVENTS]]
)


@given(
    st.binary(max_size=100)
    | st.builds(
        lambda tag, fields: msgspec.json.encode({**fields, "type": tag}),
        tags,
        st.dictionaries(st.sampled_from(["session", "utterance", "groups", "item", "heard"]), json_values),
    )
)
def test_any_record_is_an_event_or_an_event_error(data: bytes) -> None:
    for decoder in (records.caller_events, records.edge_events):
        with suppress(records.EventError):
            decoder.decode(data)
