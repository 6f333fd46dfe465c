"""Ten thousand mutated inputs for each way into a session: it answers or ends, and nothing ever comes out of it."""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from mutation import mutate

from edge.voice import (
    CallerSession,
    CloseSession,
    Codec,
    Deadlines,
    EdgeSession,
    PlayoutReport,
    control,
    varint,
)
from edge.voice.wire import (
    AudioDatagram,
    GroupHeader,
    ItemHeader,
    encode_datagram,
    encode_header,
    encode_packet,
)

INPUTS = 10_000
MAX_EVENTS = 2000
"""More than this one input can never be the cause of."""

RECORDS = [
    msgspec.json.encode(event)
    for event in (
        control.SessionUpdate(
            session={"lead_ms": "auto", "deadline": {"uplink_ms": None}, "token": "t", "x": [1]}
        ),
        control.SetDeadline(preset="live", downlink_ms=20),
        control.CommitAudio(utterance=1, groups=2, frames=7),
        control.ClearAudio(utterance=2),
        control.TruncateItem(item_id="item_1", audio_end_ms=80),
        control.CancelResponse(response_id="resp_1"),
        control.Resume(item_id="item_1", frames=3),
        control.Reconnect(resume_token="r", item=1, frames=2),
        control.OutputItemDone(response_id="resp_1", item=control.Item(id="item_1", status="incomplete")),
        control.OutputAudioDone(response_id="resp_1", item_id="item_1", frames=7),
        control.Reconnected(utterance=1, frames=0),
        control.DeadlineChanged(uplink_ms=50, downlink_ms=50, uplink_datagrams=True, downlink_datagrams=True),
        control.Error(error=control.ErrorBody(type="server_error", code="c", message="m")),
        control.Stats(),
    )
]
PACKETS = encode_packet(b"abc", Codec.OPUS) * 5
STREAMS = [
    encode_header(GroupHeader(1, 0, 0, Codec.OPUS)) + PACKETS,
    encode_header(GroupHeader(1, 1, 100, Codec.OPUS)) + PACKETS[:8],
    encode_header(ItemHeader(1, 1, 0, 0, Codec.OPUS)) + PACKETS,
    encode_header(ItemHeader(2, 2, 0, 60, Codec.PCMU)) + encode_packet(bytes(160), Codec.PCMU),
]
DATAGRAMS = [
    encode_datagram(AudioDatagram(1, 4, 80, (b"x", b"y"))),
    encode_datagram(PlayoutReport(1, 2, 3, 4, 5, 6)),
]


def edge(_now: float) -> EdgeSession:
    session = EdgeSession("call-1", deadlines=Deadlines(20, 20))
    session.begin_item()
    return session


def control_record(session: Any, data: bytes, _dice: random.Random, now: float) -> None:
    session.receive_control(varint.encode(len(data)) + data, False, now)


def control_bytes(session: Any, data: bytes, _dice: random.Random, now: float) -> None:
    session.receive_control(data, False, now)


def stream(session: Any, data: bytes, dice: random.Random, now: float) -> None:
    number = 4 * dice.randrange(50) + 2
    session.receive_stream(number, data, dice.random() < 0.5, now)
    if dice.random() < 0.1:
        session.receive_reset(number, dice.randrange(4), now)


def datagram(session: Any, data: bytes, _dice: random.Random, now: float) -> None:
    session.receive_datagram(data, now)


@pytest.mark.parametrize("make", [edge, CallerSession])
@pytest.mark.parametrize(
    "way,seeds",
    [(control_record, RECORDS), (control_bytes, RECORDS), (stream, STREAMS), (datagram, DATAGRAMS)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nothing_comes_out(
    make: Callable[[float], Any], way: Callable[..., None], seeds: list[bytes]
) -> None:
    dice = random.Random(7)
    session, now = make(0.0), 0.0
    ends = 0
    for _ in range(INPUTS):
        now += 0.03
        way(session, mutate(dice, dice.choice(seeds)), dice, now)
        session.handle_timer(now)
        assert len(list(iter(session.next_event, None))) < MAX_EVENTS
        actions = list(iter(session.next_action, None))
        assert len(actions) < MAX_EVENTS
        if session.closed:
            assert isinstance(actions[-1], CloseSession)
            assert actions[-1].reason
            ends += 1
            session = make(now)
    assert ends < INPUTS
