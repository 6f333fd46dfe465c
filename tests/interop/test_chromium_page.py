"""A real browser holds calls with the page that a node serves: asked, answered, interrupted, unplugged."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from interop.page_calls import CALL, PATIENCE_S, WATCH, ask, counts_agree, page_of, seen
from interop.page_node import node, write_wav

pytestmark = [pytest.mark.needs("chromium", "flite"), pytest.mark.timeout(240)]

OFFLINE_S = 12.0
AT_ONCE_MS = 1500.0
"""A handshake, on a machine that is busy; the pause between two attempts has come to 4 s by then."""
TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("carrier", ["webtransport", "websocket"])
def test_a_spoken_question_is_answered(carrier: str, tmp_path: Path) -> None:
    with node("demo", tmp_path / "node") as url:
        shown = asyncio.run(ask(f"{url}#carrier={carrier}", tmp_path))
    assert shown == {"webtransport": "WebTransport", "websocket": "WebSocket"}[carrier]


@pytest.mark.needs("nft")
def test_where_udp_is_blocked_the_call_goes_by_websocket(tmp_path: Path) -> None:
    """In a network of its own, whose firewall drops every datagram without a word."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    inside = [sys.executable, "-P", "-m", "interop.inside_no_udp", str(tmp_path)]
    run = subprocess.run(
        ["unshare", *user, "--net", *inside],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'lab'}"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "WebSocket"


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
        await page.evaluate("document.getElementById('log-card').open = true")
        await page.resize(360, 800, phone=True)
        assert await page.evaluate("document.documentElement.scrollWidth") == 360


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


async def go_offline(url: str, directory: Path) -> None:
    wav = write_wav(directory / "silence.wav", 60.0)
    async with page_of(f"{url}#mode=hold", directory / "profile", wav) as page:
        await page.evaluate(f"({WATCH}, {CALL})")
        await page.until("globalThis.talk?.state === 'live'", PATIENCE_S)
        conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await page.command("Network.enable")
        await page.command("Network.emulateNetworkConditions", {"offline": True, **conditions})
        await page.evaluate("talk.unplug()")
        await page.until("talk.state === 'reconnecting'", PATIENCE_S)
        # As long as all its attempts would have taken, and their pauses: it waits, and does not give up.
        await asyncio.sleep(OFFLINE_S)
        assert await page.evaluate("talk.state") == "reconnecting"
        await page.evaluate("addEventListener('online', () => (globalThis.back = performance.now()))")
        await page.evaluate(
            "talk.addEventListener('state', ({ detail }) => (globalThis.up ??= detail.resumed && performance.now()))"
        )
        await page.command("Network.emulateNetworkConditions", {"offline": False, **conditions})
        await page.until("globalThis.up", PATIENCE_S)
        assert await page.evaluate("up - back") < AT_ONCE_MS


def test_a_page_without_a_network_waits_for_it_and_is_back_at_once(tmp_path: Path) -> None:
    with node("echo", tmp_path / "node") as url:
        asyncio.run(go_offline(url, tmp_path))


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
