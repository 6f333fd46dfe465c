"""The story: the whole recording, in chunks as fast as they are pulled, once at a time."""

import asyncio
from collections.abc import AsyncIterator

from edge.backend import story
from edge.backend.base import (
    BackendContext,
    BackendReply,
    Cancelled,
    Committed,
    Control,
    ItemBegun,
    ItemEnded,
    ItemFrames,
    ResponseRequested,
)
from edge.backend.story import StoryBackend
from edge.voice import CHUNK_MS, FRAME_MS, Frame, FrameLedger


def backend() -> StoryBackend:
    return StoryBackend(BackendContext("call-1"))


async def telling(replies: AsyncIterator[BackendReply]) -> list[BackendReply]:
    """Everything up to the end of the item."""
    told = []
    async for reply in replies:
        told.append(reply)
        if isinstance(reply, ItemEnded):
            break
    return told


def frames_of(told: list[BackendReply]) -> list[Frame]:
    return [frame for reply in told if isinstance(reply, ItemFrames) for frame in reply.frames]


def test_the_story_is_told_when_the_call_begins() -> None:
    async def run() -> None:
        teller = backend()
        told = await telling(teller.replies())
        frames = frames_of(told)
        assert (told[0], told[-1]) == (ItemBegun(1), ItemEnded(1))
        assert [(f.utterance, f.seq, f.pts_ms) for f in frames] == [
            (1, seq, seq * FRAME_MS) for seq in range(len(frames))
        ]
        assert tuple(f.payload for f in frames) == story.recording()
        assert max(len(r.frames) for r in told if isinstance(r, ItemFrames)) * FRAME_MS == CHUNK_MS
        counted = FrameLedger()
        counted.record(frames)
        assert teller.said.count() == counted.count()

    asyncio.run(run())


def test_its_words_come_with_it() -> None:
    async def run() -> None:
        told = await telling(backend().replies())
        (transcript,) = [reply.event for reply in told if isinstance(reply, Control)]
        assert transcript["type"] == "response.output_audio_transcript.done"
        assert transcript["item_id"] == "item_1"
        assert transcript["transcript"].startswith("Once there was a small packet named Pip. Pip carried")

    asyncio.run(run())


def test_it_is_told_again_when_asked_but_never_twice_at_once() -> None:
    async def run() -> None:
        teller = backend()
        replies = teller.replies()
        assert await anext(replies) == ItemBegun(1)
        teller.notify(ResponseRequested())
        await telling(replies)
        waiting = asyncio.ensure_future(anext(replies))
        await asyncio.sleep(0)
        assert not waiting.done()
        teller.notify(Committed(1))
        teller.notify(ResponseRequested())
        assert await waiting == ItemBegun(2)
        assert len(frames_of(await telling(replies))) == len(story.recording())

    asyncio.run(run())


def test_it_stops_where_it_is_cancelled_and_can_begin_anew() -> None:
    async def run() -> None:
        teller = backend()
        replies = teller.replies()
        await anext(replies)
        await anext(replies)
        teller.notify(Cancelled(1, played_ms=300))
        teller.notify(ResponseRequested())
        assert await anext(replies) == ItemBegun(2)
        teller.notify(Cancelled(1, played_ms=300))
        assert isinstance(await anext(replies), ItemFrames)
        assert teller.said.frames * FRAME_MS == 2 * CHUNK_MS

    asyncio.run(run())


def test_closing_ends_the_replies_wherever_they_wait() -> None:
    async def run() -> None:
        for pulled in (0, 1, 5):
            teller = backend()
            replies = teller.replies()
            for _ in range(pulled):
                await anext(replies)
            await teller.close()
            assert [reply async for reply in replies] == []

    asyncio.run(run())


def test_it_counts_what_it_hears() -> None:
    teller = backend()
    teller.hear([Frame(1, 0, 0, b"hi")])
    assert teller.heard.frames == 1


def test_another_teller_goes_on_behind_what_the_caller_has() -> None:
    async def run() -> None:
        first = backend()
        assert first.handle() == b"1"  # it begins by itself
        second = StoryBackend(
            BackendContext("call-1", first_item=2, handle=first.handle(), open_item=1, open_frames=120)
        )
        assert second.continues
        assert second.handle() == first.handle()
        told = await telling(second.replies())
        assert not any(isinstance(reply, ItemBegun) for reply in told)
        assert told[-1] == ItemEnded(1)
        assert [(f.utterance, f.seq) for f in frames_of(told)] == [
            (1, seq) for seq in range(120, len(story.recording()))
        ]

    asyncio.run(run())


def test_a_story_of_which_nothing_has_come_is_begun_again() -> None:
    async def run() -> None:
        teller = StoryBackend(BackendContext("call-1", first_item=1, handle=b"1"))
        told = await telling(teller.replies())
        assert (told[0], len(frames_of(told))) == (ItemBegun(1), len(story.recording()))

    asyncio.run(run())


def test_a_story_that_has_been_told_is_not_told_again_elsewhere() -> None:
    async def run() -> None:
        first = backend()
        await telling(first.replies())
        teller = StoryBackend(BackendContext("call-1", first_item=2, handle=first.handle()))
        replies = teller.replies()
        waiting = asyncio.ensure_future(anext(replies))
        await asyncio.sleep(0)
        assert not waiting.done()
        teller.notify(ResponseRequested())
        assert await waiting == ItemBegun(2)

    asyncio.run(run())
