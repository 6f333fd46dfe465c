"""Interruptions at the edge: by the caller, taken back or not, and by the backend; and how long an answer took."""

from collections.abc import Callable
from typing import Any

import pytest

from edge.voice import (
    RESUME_S,
    Code,
    Codec,
    ResetStream,
    ResponseCancelled,
    ResponseRequested,
    SendStream,
    Truncated,
    TurnTimed,
    control,
)
from edge.voice.wire import AudioStream, GroupHeader, ItemHeader, encode_header, encode_packet

Open = Callable[..., Any]  # a fixture of conftest.py

ENDING = [
    "output_audio_buffer.cleared",
    "response.output_audio.done",
    "response.output_item.done",
    "edge.barge_in",
    "response.done",
]


def speaking(edge: Any) -> int:
    """100 frames of 30 bytes are said, 50 of them written, 24 and a half played when 40 have arrived."""
    item: int = edge.speak(100)
    edge.now += 0.5
    edge.report(item, 490, 310, received=40, ts_ms=500)
    edge.clear()
    return item


def streams(done: list[Any]) -> list[tuple[ItemHeader | GroupHeader, int]]:
    """Headers of the streams opened, and how many packets each carries."""
    parsers: dict[int, AudioStream[Any]] = {}
    for action in done:
        if isinstance(action, SendStream):
            kinds = (ItemHeader, GroupHeader)
            parsers.setdefault(action.stream, AudioStream(kinds, "s")).receive(action.data, action.fin)
    return [(parser.header, parser.packets) for parser in parsers.values()]


@pytest.mark.parametrize("by", ["response.cancel", "output_audio_buffer.clear", "STOP_SENDING", "both"])
def test_an_interruption_stops_at_once_and_is_final_later(open_session: Open, by: str) -> None:
    """The caller says it twice, on two streams: whichever comes first does it, the other finds nothing."""
    edge = open_session()
    item = speaking(edge)
    if by in ("STOP_SENDING", "both"):
        edge.session.receive_stop(0, Code.CANCELLED, edge.now)
    if by in ("response.cancel", "both"):
        edge.receive(control.CancelResponse(response_id="resp_1"))
    if by == "output_audio_buffer.clear":
        edge.receive(control.ClearOutput())
    assert (edge.actions(), edge.events()) == ([ResetStream(0, Code.CANCELLED)], [])
    assert edge.session.get_timer() == edge.now + RESUME_S
    edge.session.handle_timer(edge.now + RESUME_S)
    (cancelled,) = edge.events()
    assert (cancelled.item, cancelled.played_ms) == (item, 490)
    told = edge.said()
    assert [event["type"] for event in told] == ENDING
    assert told[2]["item"]["status"] == "incomplete"
    assert told[4]["response"]["status"] == "cancelled"
    edge.speak(1)
    assert streams(edge.actions()) == [(ItemHeader(2, 2, 0, 0, Codec.OPUS), 1)]


def test_the_account_is_exact(open_session: Open) -> None:
    """generated == wire + saved, wasted == wire - played, in bytes of whole frames."""
    edge = open_session()
    edge.session.set_rtt(0.060)
    speaking(edge)
    edge.session.handle_timer(edge.now)
    edge.receive(control.CancelResponse())
    edge.actions()
    edge.session.handle_timer(edge.now + RESUME_S)
    account = next(event for event in edge.said() if event["type"] == "edge.barge_in")
    written = 50 + 24  # the lead, and what had been played of it
    assert account == {
        "type": "edge.barge_in",
        "item_id": "item_1",
        "played_ms": 490,
        "generated_bytes": 100 * 30,
        "wire_bytes": written * 30,
        "wasted_bytes": (written - 24) * 30,
        "saved_bytes": (100 - written) * 30,
        "cancel_ms": 30.0,
    }


def test_a_cough_is_taken_back_and_the_item_goes_on_where_the_caller_is(open_session: Open) -> None:
    edge = open_session()
    item = speaking(edge)
    edge.receive(control.CancelResponse(response_id="resp_1"))
    edge.clear()
    edge.now += RESUME_S - 0.01
    edge.receive(control.Resume(item_id=f"item_{item}", frames=40))
    done = edge.actions()
    ((header, packets),) = streams(done)
    assert header == ItemHeader(1, 1, 0, 40 * 20, Codec.OPUS)
    assert packets >= 34
    edge.session.handle_timer(edge.now + RESUME_S)
    assert (edge.events(), edge.said()) == ([], [])


def test_it_is_too_late_to_take_it_back_when_the_backend_has_been_told(open_session: Open) -> None:
    edge = open_session()
    speaking(edge)
    edge.receive(control.CancelResponse())
    edge.session.handle_timer(edge.now + RESUME_S)
    assert [type(event) for event in edge.events()] == [ResponseCancelled]
    edge.clear()
    edge.receive(control.Resume(item_id="item_1", frames=40))
    (error,) = edge.said()
    assert error["error"]["code"] == "too_late"


def test_who_asks_for_another_answer_means_the_interruption(open_session: Open) -> None:
    """A backend that is asked while it believes to be speaking refuses, or talks over itself."""
    edge = open_session()
    speaking(edge)
    edge.receive(control.CancelResponse(), control.CreateResponse())
    assert [type(event) for event in edge.events()] == [ResponseCancelled, ResponseRequested]
    assert edge.session.get_timer() is None


def test_a_backend_that_hears_the_caller_ends_all_at_once_and_for_good(open_session: Open) -> None:
    edge = open_session()
    speaking(edge)
    edge.speak(3)
    edge.clear()
    edge.session.interrupt(edge.now)
    assert [(event.item, event.played_ms) for event in edge.events()] == [(1, 490), (2, 0)]
    done = edge.actions()
    assert ResetStream(0, Code.CANCELLED) in done
    assert [event["type"] for event in edge.said(done)] == ENDING * 2
    assert edge.session.get_timer() is None


def test_what_was_written_whole_is_cut_but_not_done_a_second_time(open_session: Open) -> None:
    """``response.done`` has told that it is completed; the account of what was not heard comes all the same."""
    edge = open_session()
    item = edge.speak(40, end=True)
    assert "response.done" in edge.names()
    edge.now += 0.3
    edge.report(item, 290, 510, received=40, ts_ms=300)
    edge.receive(control.CancelResponse(response_id="resp_1"))
    edge.clear()
    edge.session.handle_timer(edge.now + RESUME_S)
    assert edge.names() == ENDING[:-1]
    (cancelled,) = edge.events()
    assert (cancelled.played_ms, cancelled.account.wasted_bytes) == (290, (40 - 14) * 30)


@pytest.mark.parametrize("asked,cut", [(400, 400), (10_000, 800)])
def test_a_truncation_is_never_behind_what_was_received(open_session: Open, asked: int, cut: int) -> None:
    """A backend that is told of more than it said answers with an error and truncates nothing."""
    edge = open_session()
    item = speaking(edge)
    edge.receive(control.TruncateItem(item_id="item_1", audio_end_ms=asked))
    assert edge.events() == [Truncated(item, cut)]
    assert edge.said() == [
        {"type": "conversation.item.truncated", "item_id": "item_1", "audio_end_ms": cut},
    ]


def say(edge: Any, groups: int) -> None:
    """Five frames each 100 ms."""
    for number in range(groups):
        header = encode_header(GroupHeader(1, number, number * 100, Codec.OPUS))
        edge.session.receive_stream(
            2 + 4 * number, header + encode_packet(b"hi", Codec.OPUS) * 5, True, edge.now
        )
        edge.now += 0.1
    edge.clear()


def test_a_turn_is_timed_from_the_end_of_speech_and_not_from_when_that_was_noticed(
    open_session: Open,
) -> None:
    edge = open_session()
    edge.session.set_rtt(0.040)
    start = edge.now
    say(edge, 10)
    edge.session.speech_started(120, edge.now)
    edge.session.speech_stopped(500, edge.now)
    assert edge.said() == [
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 120},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 500},
    ]
    edge.now = start + 0.4 + 0.9  # 500 ms of speech had been heard with the fifth group
    item = edge.speak(20, end=True)
    edge.clear()
    edge.now += 0.14
    edge.report(item, 100, 300, received=20, ts_ms=1)
    timed = [event for event in edge.events() if isinstance(event, TurnTimed)]
    (told,) = edge.said()
    assert told == {
        "type": "edge.turn",
        "response_id": "resp_1",
        "item_id": "item_1",
        "backend_ms": 900.0,
        "wire_ms": 900.0,
        "played_ms": 920.0,  # 140 ms later a report of 100 ms that took 20 ms
        "edge_added_ms": 0.0,
    }
    assert timed[0].turn.played_ms == 920.0


def test_a_commit_ends_speech_where_nobody_listens_for_its_end(open_session: Open) -> None:
    edge = open_session()
    say(edge, 2)
    edge.receive(control.CommitAudio(utterance=1, groups=2, frames=10))
    edge.now += 0.25
    item = edge.speak(20)
    edge.clear()
    edge.now += 0.1
    edge.report(item, 50, 300, received=20, ts_ms=1)
    (turn,) = [event for event in edge.said() if event["type"] == "edge.turn"]
    assert (turn["backend_ms"], turn["played_ms"]) == (250.0, None)  # no round-trip time, so nobody knows
