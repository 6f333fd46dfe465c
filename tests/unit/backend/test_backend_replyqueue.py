"""Replies that wait for a host: bounded, and without speech that nobody wants any more."""

import asyncio

from edge.backend.base import BackendReply, Control, ItemBegun, ItemEnded, ItemFrames
from edge.backend.replyqueue import HELD_BYTES, ReplyQueue
from edge.voice.frame import FRAME_MS, Frame


def frames(item: int, count: int = 10) -> ItemFrames:
    return ItemFrames(item, [Frame(item, seq, seq * FRAME_MS, bytes(60)) for seq in range(count)])


def taken(queue: ReplyQueue) -> list[BackendReply]:
    async def take() -> list[BackendReply]:
        replies = []
        while queue._waiting:
            reply = await queue.take()
            assert reply is not None
            replies.append(reply)
        return replies

    return asyncio.run(take())


def test_there_is_no_room_beyond_the_bound_and_again_once_it_is_taken() -> None:
    async def scenario() -> None:
        queue = ReplyQueue()
        count = 0
        while queue._room.is_set():
            queue.put(frames(1))
            count += 1
        assert 60_000 < count * 10 * FRAME_MS < 120_000
        waiting = asyncio.create_task(queue.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await queue.take()
        await asyncio.wait_for(waiting, 10)

    asyncio.run(scenario())


def test_events_count_by_their_size() -> None:
    queue = ReplyQueue()
    queue.put(Control({}), HELD_BYTES)
    assert not queue._room.is_set()


def test_a_dropped_item_leaves_the_others_and_makes_room() -> None:
    queue = ReplyQueue()
    queue.put(ItemEnded(1))
    while queue._room.is_set():
        queue.put(frames(2))
    queue.put(ItemEnded(2))
    queue.put(ItemBegun(3))
    queue.drop(2)
    assert queue._room.is_set()
    assert taken(queue) == [ItemEnded(1), ItemBegun(3)]


def test_silence_leaves_items_that_begin_and_end() -> None:
    """Their numbers are given out, and the next one's must follow."""
    queue = ReplyQueue()
    said: list[BackendReply] = [frames(1), ItemEnded(1), ItemBegun(2), frames(2), ItemEnded(2), ItemBegun(3)]
    for reply in [*said, frames(3)]:
        queue.put(reply)
    assert queue.silence() == [2, 3]
    assert taken(queue) == [ItemEnded(1), ItemBegun(2), ItemEnded(2), ItemBegun(3), ItemEnded(3)]


def test_a_closed_queue_ends_whoever_waits() -> None:
    async def scenario() -> None:
        queue = ReplyQueue()
        waiting = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        queue.close()
        assert await asyncio.wait_for(waiting, 10) is None

    asyncio.run(scenario())
