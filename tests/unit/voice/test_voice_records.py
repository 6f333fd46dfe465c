"""Control records: framing in any chunks, the vocabulary both ways, and nonsense of every kind."""

from contextlib import suppress
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import LedgerCount, WireError, control, records, varint

SESSION = control.SessionState(id="call-1", lead_ms=1000)
RESPONSE = control.Response(id="resp_3", status="completed")
ITEM = control.Item(id="item_3", status="incomplete")
LEDGER = LedgerCount(frames=3, bytes=4, digest="ab")
CALLER_EVENTS: list[control.CallerEvent] = [
    control.SessionUpdate(session=control.SessionSettings(lead_ms=200), event_id="e1"),
    control.SessionUpdate(session=control.SessionSettings()),
    control.CommitAudio(utterance=1, groups=3),
    control.CreateResponse(),
    control.CancelResponse(),
    control.CancelResponse(response_id="resp_3"),
    control.Stats(),
    control.Stats(heard=LEDGER, said=LEDGER),
]
EDGE_EVENTS: list[control.EdgeEvent] = [
    control.SessionCreated(session=SESSION),
    control.SessionUpdated(session=SESSION),
    control.AudioCommitted(utterance=1, frames=13),
    control.ResponseCreated(response=RESPONSE),
    control.ResponseDone(response=RESPONSE),
    control.OutputItemAdded(response_id="resp_3", item=ITEM),
    control.OutputItemDone(response_id="resp_3", item=ITEM),
    control.OutputAudioDone(response_id="resp_3", item_id="item_3", frames=50),
    control.TranscriptDelta(item_id="item_3", delta="once"),
    control.TranscriptDone(item_id="item_3", transcript="once there was"),
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
    assert {type(event) for event in CALLER_EVENTS} == set(get_args(control.CallerEvent))
    assert {type(event) for event in EDGE_EVENTS} == set(get_args(control.EdgeEvent))


@pytest.mark.parametrize(
    "event,golden",
    [
        (
            control.CommitAudio(utterance=1, groups=3),
            {"type": "input_audio_buffer.commit", "utterance": 1, "groups": 3},
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


def test_fields_of_a_newer_peer_are_ignored() -> None:
    data = b'{"type":"session.update","session":{"type":"realtime","voice":"x","lead_ms":500},"later":1}'
    assert records.caller_events.decode(data) == control.SessionUpdate(
        session=control.SessionSettings(lead_ms=500)
    )


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
    "negative number": (b'{"type":"input_audio_buffer.commit","utterance":-1,"groups":1}', "invalid_event"),
    "number of thousands of digits": (
        b'{"type":"input_audio_buffer.commit","utterance":' + b"9" * 6000 + b',"groups":1}',
        "invalid_event",
    ),
    "lead too long": (b'{"type":"session.update","session":{"lead_ms":5001}}', "invalid_event"),
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
    data = b'{"type":"session.update","event_id":"e9","session":{"lead_ms":7}}'
    with pytest.raises(records.EventError, match=r"session\.update: .*\$\.session\.lead_ms") as caught:
        records.caller_events.decode(data)
    assert caught.value.event_id == "e9"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
tags = st.sampled_from([type(event).__struct_config__.tag for event in [*CALLER_EVENTS, *EDGE_EVENTS]])


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
