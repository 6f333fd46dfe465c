"""edge.client.recording and edge.client.feed."""

from __future__ import annotations

import asyncio

from edge.client.feed import Feed
from edge.client.recording import Recording
from edge.voice.events import FramesReceived, Underran
from edge.voice.frame import Frame


def received(item: int, *numbers: int) -> FramesReceived:
    return FramesReceived(item, [Frame(item, seq, seq * 20, b"%d.%d" % (item, seq)) for seq in numbers])


def test_items_follow_each_other() -> None:
    recording = Recording()
    recording.hear(received(1, 0, 1))
    recording.hear(received(2, 0))
    recording.hear(received(2, 1))
    assert recording.packets == [b"1.0", b"1.1", b"2.0", b"2.1"]


def test_frames_that_never_came_are_as_long_as_they_would_have_been() -> None:
    recording = Recording()
    recording.hear(received(1, 0, 3))
    assert recording.packets == [b"1.0", None, None, b"1.3"]


def test_an_underrun_is_heard_where_it_was_though_it_is_told_later() -> None:
    recording = Recording()
    recording.hear(received(1, 0, 1))
    recording.hear(received(1, 2, 3))
    recording.underrun(Underran(1, 40, 60))
    recording.hear(received(1, 4))
    recording.underrun(Underran(1, 80, 25))
    assert recording.packets == [b"1.0", b"1.1", None, None, None, b"1.2", b"1.3", None, b"1.4"]


def test_a_recording_that_begins_within_an_item_does_not_begin_with_silence() -> None:
    recording = Recording()
    recording.hear(received(1, 7, 8))
    assert recording.packets == [b"1.7", b"1.8"]


def test_after_a_reconnection_items_count_from_one_again() -> None:
    recording = Recording()
    recording.hear(received(1, 0, 1, 2))
    recording.reconnected()
    recording.hear(received(1, 0, 2))
    assert recording.packets == [b"1.0", b"1.1", b"1.2", b"1.0", None, b"1.2"]


def test_each_listener_gets_all_from_its_subscription_to_the_end() -> None:
    async def main() -> None:
        feed: Feed[int] = Feed()
        first = feed.subscribe()
        feed.publish(1)
        second = feed.subscribe()
        feed.publish(2)
        feed.end()
        assert [number async for number in first] == [1, 2]
        assert [number async for number in second] == [2]
        assert [number async for number in feed.subscribe()] == []

    asyncio.run(main())


def test_who_stops_listening_is_forgotten() -> None:
    async def main() -> None:
        feed: Feed[int] = Feed()
        listening = feed.subscribe()
        feed.publish(1)
        assert await anext(listening) == 1
        await listening.aclose()  # type: ignore[attr-defined]
        assert feed._queues == []

    asyncio.run(main())
