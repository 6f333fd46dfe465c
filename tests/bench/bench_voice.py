"""Voice over a bad network: our carriers beside WebRTC and WebSockets, through the lab's link emulator.

Method. One lab: callers with a link of their own each, a transit router and one edge, on which a real node runs, with
BGP, a supervisor and a worker, beside a server of each peer. A link delays every packet by half of the round trip; where
there is loss, it is the share of the time in which a direction loses everything, for 60 ms at a time on average
(Gilbert's model). Callers and servers are
processes of one machine, so one monotonic clock stamps both ends. Peers: aiortc, as its documentation shows a server,
and the `websockets` package over TLS, one message for each packet of 20 ms. All say the same Opus packets.

*First audio*: from the wish to speak to the moment at which the server's process has the first packet, decrypted and in
its place. Systems take turns, each attempt on a new connection; a first one is not counted. 0-RTT presents the ticket of
the call before; what it says is with the edge at once, but is kept from the backend until the handshake is confirmed,
which is the row "at the backend". WebTransport is a headless Chromium whose page has loaded before. aiortc has made its
certificate, its sockets and its offer before; the clock begins with the POST. It is stamped before its jitter buffer; the
row "decoded" is behind it.

*Speech*: ten sentences of flite in real time, all systems at once. A frame's added latency is its arrival at the
server's ordered output minus the moment at which its 20 ms had been recorded, minus half of the round trip. What arrived
is decoded by one decoder, with concealment and in-band FEC, and judged by pocketsphinx and PESQ. aiortc conceals nothing
itself, so this flatters it; "no jitter buffer" is the same packets as they came from SRTP, what any receiver of RTP
without retransmission would have.

*Interruption*: a reply of 60 s, made four times as fast as it is played, is interrupted after ten seconds. The WebSocket
server sends what it makes; Pipecat's lead is wider than ours may be and therefore computed.

What differs, and whom it favours:

* Our QUIC and aiortc's SRTP and DTLS run in Python, TCP and TLS in the kernel and in OpenSSL. Favours WSS.
* aiortc is not a browser: its jitter buffer is simpler than that of libwebrtc, and it asks for no retransmissions of
  audio. Favours us.
* No name is resolved and no STUN or TURN server asked. Favours WebRTC.
* Loss is lifted while connections are made and closed, but for no packet of speech.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))

from voice import judge, link, plots, report
from voice.backend import Heard, register
from voice.barge_in import Interruption
from voice.first_audio import Attempt
from voice.inside import Cell, Order
from voice.measures import deliveries, first_audio
from voice.recordings import FRAME_MS, SENTENCES, Recordings

from edge.lab.enclosure import run_inside

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent.parent / "build" / "bench" / "voice"
SEED = 4
REPETITIONS, QUICK_REPETITIONS = 7, 2
RTTS_MS, QUICK_RTTS_MS = [20.0, 60.0, 150.0], [60.0]
LOSSES, QUICK_LOSSES = [0.0, 0.05, 0.1, 0.2], [0.1]
QUICK_SENTENCES = 4
CALLERS, QUICK_CALLERS = 2, 1
"""Of each system that speak at the same time."""
INTERRUPT_AFTER_S = 10.0


class Found(msgspec.Struct, frozen=True):
    """What `voice.inside.measure` returns. ``attempts``: round-trip time, what was tried, and the load meanwhile."""

    attempts: list[tuple[float, list[Attempt], float]]
    interruptions: list[Interruption]
    cells: list[Cell]
    heard: list[Heard]


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Prints a table for each part; figures and pictures are left in `FOLDER`."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    began = time.monotonic()
    recordings = Recordings.made(SENTENCES[:QUICK_SENTENCES] if quick else SENTENCES)
    recordings.save(FOLDER / "recordings")
    register(FOLDER / "site")
    browser = shutil.which("chromium") is not None
    order = Order(
        folder=str(FOLDER),
        seed=SEED,
        rtts_ms=QUICK_RTTS_MS if quick else RTTS_MS,
        repetitions=QUICK_REPETITIONS if quick else REPETITIONS,
        browser=browser,
        losses=QUICK_LOSSES if quick else LOSSES,
        callers=QUICK_CALLERS if quick else CALLERS,
        speech_s=len(recordings.packets) * FRAME_MS / 1000,
        interrupt_after_s=INTERRUPT_AFTER_S,
    )
    with _importable(HERE, HERE.parent / "interop", FOLDER / "site"):
        value, _ = run_inside("voice.inside:measure", msgspec.to_builtins(order), told=_say)
    (FOLDER / "noted.json").write_bytes(msgspec.json.encode(value))
    found = msgspec.convert(value, Found)
    _say("judging")
    first = [
        row for rtt_ms, attempts, _ in found.attempts for row in first_audio(rtt_ms, attempts, found.heard)
    ]
    speech = deliveries(recordings, found.cells, found.heard)
    targets = report.targets(first, speech, found.interruptions)
    loads = [load for _, _, load in found.attempts] + [cell.load for cell in found.cells]
    tables = (
        f"{'a quick run, ' if quick else ''}load average {min(loads):.1f} to {max(loads):.1f}",
        report.first_audio_table(first),
        report.speech_table(speech),
        report.barge_in_table(found.interruptions),
        report.targets_table(targets),
    )
    (FOLDER / "tables.txt").write_text("\n\n".join(tables) + "\n")
    print(*tables, sep="\n\n", end="\n\n")
    for missing, what in (
        (not browser, "chromium: no row for WebTransport"),
        (judge.pesq is None, "pesq: no PESQ"),
    ):
        if missing:
            print(f"not installed: {what}")
    document = {
        "quick": quick,
        "took_s": round(time.monotonic() - began, 1),
        "load": {f"{rtt_ms:g} ms": load for rtt_ms, _, load in found.attempts},
        "first_audio": first,
        "speech": speech,
        "cells": found.cells,
        "barge_in": found.interruptions,
        "targets": [asdict(target) for target in targets],
    }
    (FOLDER / "voice.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    plots.draw(FOLDER, first, speech, found.interruptions)
    return list(report.summary_rows(first, speech, found.interruptions))


@contextmanager
def _importable(*folders: Path) -> Iterator[None]:
    """For every process that is started meanwhile."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, folders), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _say(what: str) -> None:
    load = link.machine_load()
    print(f"  {what} (load {load:.1f})", file=sys.stderr, flush=True)
