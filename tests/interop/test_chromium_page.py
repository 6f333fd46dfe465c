"""A real browser holds calls with the page that a node serves: asked, answered, interrupted, unplugged.

The fake microphone plays a WAV file; the page takes turns by its loudness, as it does with a person.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium, Page, microphone
from page_node import node, write_wav

pytestmark = [pytest.mark.needs("chromium", "flite"), pytest.mark.timeout(240)]

PATIENCE_S = 60.0
# The certificate was made on the spot: WebTransport is given its hash, a WebSocket cannot be.
TRUSTING = "--ignore-certificate-errors"
CALL = "document.getElementById('talk').click()"
# What the page is told is kept for the test, from the moment at which it says that the call is up.
WATCH = """
(() => {
  globalThis.seen = [];
  const keep = () => {
    if (!globalThis.talk) return setTimeout(keep, 5);
    for (const type of ["event", "state", "bargein", "stats", "playout"]) {
      talk.addEventListener(type, ({ detail }) => seen.push({ type, ...detail }));
    }
  };
  keep();
})()
"""


@asynccontextmanager
async def page_of(url: str, profile: Path, wav: Path, options: Sequence[str] = ()) -> AsyncIterator[Page]:
    async with Chromium.started(profile, [microphone(wav), TRUSTING, *options]) as browser:
        page = await browser.open(url)
        yield page
        assert page.errors == []


def seen(event: str) -> str:
    """The first control event of this type that has come."""
    return f"globalThis.seen?.find(({{ event, sent }}) => !sent && event?.type === '{event}')?.event"


def said(who: str) -> str:
    """What the page shows of one side, once nothing more is to come of it."""
    return f"[...document.querySelectorAll('.said.{who}:not(.open) p')].map((words) => words.textContent)"


async def counts_agree(page: Page) -> dict[str, Any]:
    """What both ends have counted, as soon as it is the same."""
    agree = """(() => {
      const told = globalThis.seen?.findLast(({ type }) => type === "stats");
      const here = globalThis.talk?.counts();
      const same = told && told.heard.digest === here.said.digest && told.said.digest === here.heard.digest;
      return same && here;
    })()"""
    counts: dict[str, Any] = await page.until(agree, PATIENCE_S)
    return counts


async def ask(url: str, directory: Path, carrier: str) -> None:
    wav = write_wav(directory / "question.wav", 1.5, "capital", 60.0)
    async with page_of(f"{url}#carrier={carrier}", directory / "profile", wav) as page:
        await page.evaluate(f"({WATCH}, {CALL})")
        heard = await page.until(seen("conversation.item.input_audio_transcription.completed"), PATIENCE_S)
        assert heard["transcript"] == "what is the capital of france"
        await page.until(f"{said('edge')}[0]", PATIENCE_S)
        assert await page.evaluate(said("you")) == ["what is the capital of france"]
        assert await page.evaluate(said("edge")) == ["The capital of France is Paris."]
        name = {"webtransport": "WebTransport", "websocket": "WebSocket"}[carrier]
        assert await page.evaluate("document.getElementById('carrier').textContent") == name
        played = "seen.findLast(({ type }) => type === 'playout')"
        await page.until(f"!({played}).playing && ({played}).item === 1", PATIENCE_S)
        assert await page.evaluate(f"({played}).held_ms") == 0
        assert await page.evaluate("document.querySelectorAll('#chart .bar').length") == 1
        counts = await counts_agree(page)
        assert counts["heard"]["frames"] > 50
        assert (counts["said"]["lost"], counts["heard"]["lost"]) == (0, 0)
        await page.evaluate("document.getElementById('hang-up').click()")
        assert await page.evaluate("document.body.dataset.state") == "idle"


@pytest.mark.parametrize("carrier", ["webtransport", "websocket"])
def test_a_spoken_question_is_answered(carrier: str, tmp_path: Path) -> None:
    with node("demo", tmp_path / "node") as url:
        asyncio.run(ask(url, tmp_path, carrier))


async def interrupt(url: str, directory: Path) -> None:
    wav = write_wav(directory / "request.wav", 1.5, "tell-story", 60.0)
    async with page_of(url, directory / "profile", wav) as page:
        await page.evaluate(f"({WATCH}, {CALL})")
        await page.until("seen.findLast(({ type }) => type === 'playout')?.played_ms > 2000", PATIENCE_S)
        await page.evaluate("document.getElementById('interrupt').click()")
        account = await page.until(seen("edge.barge_in"), PATIENCE_S)
        assert account["generated_bytes"] == account["wire_bytes"] + account["saved_bytes"]
        assert account["saved_bytes"] > 0
        assert account["wasted_bytes"] < account["wire_bytes"]
        # What was played is what the page's own ring had rendered when it fell silent, and no more.
        played_ms = await page.evaluate(
            "seen.findLast(({ type, item }) => type === 'playout' && item === 1).played_ms"
        )
        assert played_ms - 20 <= account["played_ms"] <= played_ms
        assert await page.evaluate("seen.findLast(({ type }) => type === 'playout').playing") is False
        cut = await page.until("document.querySelector('.cut')?.textContent")
        assert "never sent" in cut
        assert await page.evaluate("document.getElementById('saved').textContent") != "0 B"


def test_an_interruption_is_silent_at_once_and_accounted_to_the_byte(tmp_path: Path) -> None:
    with node("demo", tmp_path / "node") as url:
        asyncio.run(interrupt(url, tmp_path))


async def unplug(url: str, directory: Path) -> None:
    wav = write_wav(directory / "talk.wav", 1.5, "train", 60.0)
    async with page_of(url, directory / "profile", wav) as page:
        await page.evaluate(f"({WATCH}, {CALL})")
        await page.until(
            "globalThis.talk?.counts().heard.frames > 100", PATIENCE_S
        )  # in the middle of the words
        await page.evaluate("document.getElementById('unplug').click()")
        before = await page.evaluate("talk.counts().said.frames")
        await page.until(
            "seen.some(({ type, state }) => type === 'state' && state === 'reconnecting')", PATIENCE_S
        )
        assert await page.evaluate("talk.counts().said.frames") > before + 100  # it went on talking
        await page.until("seen.some(({ resumed }) => resumed)", PATIENCE_S)
        await page.until(seen("input_audio_buffer.committed"), PATIENCE_S)
        counts = await counts_agree(page)
        # The echo came back whole: every frame once, in order, whichever of the two connections it took.
        assert counts["heard"] == counts["said"]
        assert counts["said"]["lost"] == 0
        assert await page.evaluate("document.getElementById('resumed').textContent") == "1"


def test_with_the_cable_pulled_the_call_goes_on_and_no_frame_is_missing(tmp_path: Path) -> None:
    with node("echo", tmp_path / "node") as url:
        asyncio.run(unplug(url, tmp_path))


async def look(url: str, directory: Path) -> None:
    wav = write_wav(directory / "silence.wav", 1.0)
    async with page_of(url, directory / "profile", wav) as page:
        for width in (360, 768, 1280):
            await page.resize(width, 800, phone=width < 700)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
        unnamed = """[...document.querySelectorAll("button, input")].filter((control) =>
          !control.textContent.trim() && !control.labels?.length && !control.ariaLabel).length"""
        assert await page.evaluate(unnamed) == 0
        # Without a microphone there is no call, and the page says what to do.
        refusal = "Promise.reject(new DOMException('', 'NotAllowedError'))"
        await page.evaluate(f"navigator.mediaDevices.getUserMedia = () => {refusal}")
        await page.evaluate(CALL)
        title = await page.until("document.getElementById('problem-title').textContent")
        assert title == "The microphone is not allowed"
        assert await page.evaluate("document.body.dataset.state") == "idle"
        # Nor where the token is not good; a node that asks for none is made to.
        answer = "new Response(JSON.stringify({ error: 'no token' }), { status: 401 })"
        await page.evaluate(f"globalThis.fetch = async () => {answer}")
        await page.evaluate("navigator.mediaDevices.getUserMedia = MediaDevices.prototype.getUserMedia")
        await page.evaluate(CALL)
        await page.until("document.getElementById('problem-title').textContent === 'A token is needed'")


def test_the_page_fits_and_says_what_is_wrong(tmp_path: Path) -> None:
    with node("echo", tmp_path / "node") as url:
        asyncio.run(look(url, tmp_path))
