"""Calls from the page, as a person would make them: what the tests with and without UDP have in common.

The fake microphone plays a WAV file; the page takes turns by its loudness, as it does with a person.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from interop.chromium import Chromium, Page, microphone
from interop.page_node import write_wav

PATIENCE_S = 60.0
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
async def page_of(
    url: str, profile: Path, wav: Path, options: Sequence[str] = (), *, loop: bool = False
) -> AsyncIterator[Page]:
    async with Chromium.started(profile, [microphone(wav, loop=loop), *options]) as browser:
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


async def recite(
    url: str, directory: Path, options: Sequence[str], meanwhile: Callable[[Page], Awaitable[None]]
) -> dict[str, Any]:
    """Say one long sentence to an echo, that goes on while something happens, and well beyond that.

    What the page says of it then: which states it was in, who answered, by what; and counts of both ends.
    """
    wav = write_wav(directory / "sentence.wav", "train")
    choices = "#backend=echo&mode=hold&deadline=accurate"
    async with page_of(f"{url}{choices}", directory / "profile", wav, options, loop=True) as page:
        await page.evaluate(f"({WATCH}, {CALL})")
        await page.until("globalThis.talk?.state === 'live' && (talk.press(), true)", PATIENCE_S)
        before = await page.until(counted(100, 100), PATIENCE_S)
        await meanwhile(page)
        await page.until(counted(before["said"] + 200, before["heard"] + 100), PATIENCE_S)
        await page.evaluate("talk.release()")
        await page.until(seen("input_audio_buffer.committed"), PATIENCE_S)
        counts = await counts_agree(page)
        states = await page.evaluate(
            "seen.filter(({ type }) => type === 'state').map(({ state, node, carrier }) => [state, node, carrier])"
        )
        elsewhere = await page.evaluate(
            "seen.filter(({ resumed, elsewhere }) => resumed && elsewhere).length"
        )
        return {"counts": counts, "states": states, "elsewhere": elsewhere}


def counted(said: int, heard: int) -> str:
    """How many frames the page has said and heard, once it is more than these."""
    return f"""(() => {{
      const {{ said, heard }} = talk.counts();
      return said.frames > {said} && heard.frames > {heard} && {{ said: said.frames, heard: heard.frames }};
    }})()"""


async def ask(url: str, directory: Path, options: Sequence[str] = ()) -> str:
    """Ask one question, hear the answer out, and hang up; what the page says it was carried by.

    ``options`` are the browser's.
    """
    wav = write_wav(directory / "question.wav", 1.5, "capital", 60.0)
    async with page_of(url, directory / "profile", wav, options) as page:
        await page.evaluate(f"({WATCH}, {CALL})")
        heard = await page.until(seen("conversation.item.input_audio_transcription.completed"), PATIENCE_S)
        assert heard["transcript"] == "what is the capital of france"
        await page.until(f"{said('edge')}[0]", PATIENCE_S)
        assert await page.evaluate(said("you")) == ["what is the capital of france"]
        assert await page.evaluate(said("edge")) == ["The capital of France is Paris."]
        carrier: str = await page.evaluate("document.getElementById('carrier').textContent")
        played = "seen.findLast(({ type }) => type === 'playout')"
        await page.until(f"!({played}).playing && ({played}).item === 1", PATIENCE_S)
        assert await page.evaluate(f"({played}).held_ms") == 0
        assert await page.evaluate("document.querySelectorAll('#chart .bar').length") == 1
        counts = await counts_agree(page)
        assert counts["heard"]["frames"] > 50
        assert (counts["said"]["lost"], counts["heard"]["lost"]) == (0, 0)
        await page.evaluate("document.getElementById('hang-up').click()")
        assert await page.evaluate("document.body.dataset.state") == "idle"
        return carrier
