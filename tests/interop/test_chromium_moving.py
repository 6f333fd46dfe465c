"""A page in a call is asked to go from one node to another, in the middle of an answer and of a sentence."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from interop.chromium import Page
from interop.page_calls import CALL, PATIENCE_S, WATCH, counted, counts_agree, page_of
from interop.page_fleet import Fleet, fleet
from interop.page_node import write_wav

from edge.backend.story import recording

pytestmark = [pytest.mark.needs("chromium", "flite"), pytest.mark.timeout(240)]

WITHIN_MS = 4000
CARRIERS = ("webtransport", "websocket")


async def ask_to_move(page: Page, fleet: Fleet, *, back: bool = False) -> dict[str, Any]:
    """From the first node to the second, or ``back``: what was counted at both ends of the connection that the call leaves."""
    await page.evaluate(
        "talk.addEventListener('left', ({ detail }) => (globalThis.left = detail), { once: true })"
    )
    here, there = reversed(fleet.nodes) if back else fleet.nodes
    here.worker.calls.hand_over([there.url], "drain", WITHIN_MS, True)
    await page.until("globalThis.left", PATIENCE_S)
    went_on = "seen.filter(({ resumed, elsewhere }) => resumed && elsewhere)"
    await page.until(f"{went_on}.length === {1 + back}", PATIENCE_S)
    name = "n1" if back else "n2"
    await page.until(f"seen.findLast(({{ type }}) => type === 'state').node === '{name}'", PATIENCE_S)
    left: dict[str, Any] = await page.evaluate("[left, delete globalThis.left][0]")
    return left


async def begin(page: Page, carrier: str) -> None:
    await page.evaluate(f"({WATCH}, {CALL})")
    await page.until("globalThis.talk?.state === 'live'", PATIENCE_S)
    assert await page.evaluate("talk.carrier.name") == carrier


async def never_lost(page: Page) -> None:
    assert not await page.evaluate("seen.some(({ state }) => state === 'reconnecting')")


async def in_an_answer(directory: Path, carrier: str) -> None:
    wav = write_wav(directory / "silence.wav", 60.0)
    async with fleet(directory) as nodes:
        url = f"{nodes.page}#backend=story&mode=hold&carrier={carrier}"
        async with page_of(url, directory / "profile", wav, nodes.options) as page:
            await begin(page, carrier)
            await page.until("talk.counts().heard.frames > 100", PATIENCE_S)
            left = await ask_to_move(page, nodes)
            # The node had no time to tell the story at its pace, and told it all the same: every frame, in order.
            assert left["edge"]["said"] == left["heard"]
            assert left["heard"]["frames"] == len(recording())
            assert left["heard"]["lost"] == 0
            # The next one is told by the other node, while the page still plays this one.
            played = "seen.findLast(({ type }) => type === 'playout')"
            assert await page.evaluate(f"({played}).item") == 1
            await page.evaluate("talk.send({ type: 'response.create' })")
            await page.until("talk.counts().heard.frames > 100", PATIENCE_S)
            here, there = nodes.nodes
            assert [call.hand_over for call in here.calls] == ["moved"]
            assert [call.said.frames > 100 for call in there.calls] == [True]
            left = await ask_to_move(page, nodes, back=True)
            assert left["edge"]["said"] == left["heard"]
            assert (left["heard"]["frames"], left["heard"]["lost"]) == (len(recording()), 0)
            assert [call.hand_over for call in there.calls] == ["moved"]
            await page.evaluate("talk.send({ type: 'response.create' })")
            await page.until("talk.counts().heard.frames > 100", PATIENCE_S)
            await never_lost(page)


async def in_a_sentence(directory: Path, carrier: str) -> None:
    wav = write_wav(directory / "sentence.wav", "train")
    async with fleet(directory) as nodes:
        url = f"{nodes.page}#backend=echo&mode=hold&deadline=accurate&carrier={carrier}"
        async with page_of(url, directory / "profile", wav, nodes.options, loop=True) as page:
            await begin(page, carrier)
            await page.evaluate("talk.press()")
            await page.until(counted(50, 50), PATIENCE_S)
            left = await ask_to_move(page, nodes)
            assert left["edge"]["said"] == left["heard"]
            assert left["said"]["frames"] >= left["edge"]["heard"]["frames"] >= 50
            await page.evaluate("talk.release()")
            counts = await counts_agree(page)
            # The whole sentence, from its first word, was heard and echoed by the node where it ended.
            assert counts["said"]["frames"] > left["said"]["frames"]
            for count in ("frames", "bytes"):  # the digests are also of numbers, and the echo is item 2
                assert counts["said"][count] == counts["heard"][count]
            committed = await page.evaluate(
                "seen.find(({ event }) => event?.type === 'input_audio_buffer.committed').event"
            )
            assert committed["frames"] == counts["said"]["frames"]
            assert committed.get("lost", 0) == 0
            await never_lost(page)
            assert [call.hand_over for call in nodes.nodes[0].calls] == ["moved"]
            [there] = nodes.nodes[1].calls
            assert (there.heard.frames, there.heard.digest) == (
                counts["said"]["frames"],
                counts["said"]["digest"],
            )


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_page_that_moves_in_an_answer_and_back_in_the_next_hears_all_of_both_once(
    carrier: str, tmp_path: Path
) -> None:
    asyncio.run(in_an_answer(tmp_path, carrier))


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_page_that_moves_in_a_sentence_has_it_heard_whole(carrier: str, tmp_path: Path) -> None:
    asyncio.run(in_a_sentence(tmp_path, carrier))
