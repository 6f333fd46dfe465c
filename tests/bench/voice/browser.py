"""The first audio of a real page: headless Chromium and WebTransport; run at a caller's, prints a list of `Attempt`.

    python -m voice.browser ORDER

The page comes from the node over HTTPS and has loaded before anybody wants to speak. What it sends is what our own
session would: the page's encoder and its microphone are not measured, its network stack is.
"""

import asyncio
import base64
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from chromium import Chromium
from voice.first_audio import PAYLOAD, Attempt, Order
from voice.recordings import Recordings

from edge.voice import CallerSession
from edge.voice.actions import SendControl, SendStream

BROWSER = "edge WebTransport (Chromium)"
LINGER_MS = 150

SCRIPT = """
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
async function speak(url, hash, control, group, linger) {
  const at = performance.timeOrigin + performance.now();
  const session = new WebTransport(url, {serverCertificateHashes: [{algorithm: "sha-256", value: bytes(hash)}]});
  await session.ready;
  const events = (await session.createBidirectionalStream()).writable.getWriter();
  events.write(bytes(control));
  const speech = (await session.createUnidirectionalStream()).getWriter();
  speech.write(bytes(group));
  await new Promise(done => setTimeout(done, linger));
  session.close();
  return at;
}
"""


async def measure(order: Order) -> list[Attempt]:
    toc = Recordings.load(Path(order.recordings)).packets[0][:1]
    origin = f"https://{order.places.service}:{order.places.port}"
    attempts = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with Chromium.started(Path(folder), ["--ignore-certificate-errors"]) as browser:
            page = await browser.open(f"{origin}/livez")
            answer = json.loads(await page.evaluate(_SESSION))
            for repetition in range(order.repetitions + 1):
                first = toc + os.urandom(PAYLOAD - 1)
                control, group = session_bytes(first)
                arguments = [answer["url"], answer["cert_hash"], _text(control), _text(group)]
                call = f"speak({', '.join(map(json.dumps, arguments))}, {order.rtt_ms + LINGER_MS})"
                wall_ms = await page.evaluate(f"(() => {{ {SCRIPT} return {call}; }})()")
                at = wall_ms / 1000 - (time.time() - time.monotonic())
                if repetition:
                    attempts.append(Attempt(BROWSER, first, at))
    return attempts


_SESSION = "fetch('/v1/session', {method: 'POST'}).then(answer => answer.text())"


def session_bytes(first: bytes) -> tuple[bytes, bytes]:
    """What a session writes on its control stream and on the stream of its first group."""
    session = CallerSession(0.0)
    session.send_frames([first], 0.0)
    control = group = b""
    while (action := session.next_action()) is not None:
        if isinstance(action, SendControl):
            control += action.data
        elif isinstance(action, SendStream):
            group += action.data
    return control, group


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    made = asyncio.run(measure(msgspec.json.decode(sys.argv[1], type=Order)))
    print(msgspec.json.encode(made).decode())
