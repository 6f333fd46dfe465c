"""Echo calls per core: one worker of a node beside the `websockets` package over TLS.

Method. A server is started in a process of its own, as a node starts a worker (`edge.runtime.supervisor`, echo
backend, 127.0.0.1), and callers in another. After a warm-up, the CPU time of the server process (user and
system, not the supervisor's) is read at both ends of a window of some seconds, together with the frames said
and heard. A figure is calls * window / CPU time: how many such calls would fill one core if the cost of a call
stayed the same. It is extrapolated from a server that is mostly idle and is no saturation test: with more
calls, more is done in one turn of the event loop, and both servers come out better. They are measured in turn,
`REPETITIONS` times, each time in new processes. A figure is the median; the note gives the lowest and the
highest, and the CPU that the callers took: near 1 core it would be they who set the pace.

The work: a caller says 80 bytes for each 20 ms, either five frames every 100 ms, as a microphone that batches
does, or each frame by itself; callers are spread evenly over the interval. The server gives all of it back at
once. A row has been delivered if every frame came back unaltered (number, bytes and a SHA-256 over them agree
for each call), and if callers said and heard 95 % of what real time asks for within the window.

What differs, and whom it favours:

* The peer keeps one message for each batch and knows nothing of speech. We parse frames, count and hash each
  of them in both directions, keep the lead window, and take a report of the playout ten times a second from
  each caller while it listens: work that a voice service on WebSockets would have to do itself. Favours the peer.
* TCP and TLS run in the kernel and in OpenSSL; QUIC's packets, loss detection and acknowledgments in Python.
  Favours the peer. Loopback loses nothing, so what TCP does after a loss (one packet delays all that follow) is
  not seen. Favours the peer.
* The callers' acknowledgments cost us a datagram each, in our process; the peer's cost the kernel, which
  charges part of that to whoever happens to run. Favours the peer.
* Neither has uvloop. The peer runs without compression, which would cost it CPU and gain nothing on speech.
* Our caller is our own, which delays its acknowledgments. Favours us, against a caller with stock aioquic.
* One call of ours is one utterance and one answer. Neither side opens or closes calls in the window.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
from _callers import Order, Outcome

from edge.lab.certificates import write_certificate
from edge.voice.frame import FRAME_MS

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
REPETITIONS = 3
WARM_UP_S = 0.8
WINDOW_S = 2.5
ENOUGH = 0.95
CLIENT_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0

ROW_NAMES = {"edge": "edge worker", "websockets": "websockets TLS"}
PEER = "websockets"


@dataclass(frozen=True, slots=True)
class Profile:
    """``batch`` frames are said at once."""

    group: str
    batch: int
    calls: int


PROFILES = (
    Profile("calls, 100 ms batches", batch=5, calls=40),
    Profile("calls, 20 ms frames", batch=1, calls=20),
)


def run() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="bench-calls-") as folder:
        certificate, key = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        write_certificate(certificate, key, ["bench.example"], [IPv4Address(HOST)])
        return [row for profile in PROFILES for row in rows_of(profile, certificate, key)]


def rows_of(profile: Profile, certificate: Path, key: Path) -> list[dict[str, Any]]:
    outcomes: dict[str, list[Outcome]] = {server: [] for server in ROW_NAMES}
    for _ in range(REPETITIONS):
        for server, measured in outcomes.items():
            measured.append(measure(server, profile, certificate, key))
    return [row(server, profile, measured) for server, measured in outcomes.items()]


def row(server: str, profile: Profile, outcomes: list[Outcome]) -> dict[str, Any]:
    figures = [profile.calls * outcome.seconds / outcome.server_cpu_s for outcome in outcomes]
    callers = max(outcome.client_cpu_s / outcome.seconds for outcome in outcomes)
    problem = next((found for outcome in outcomes if (found := shortfall(profile, outcome))), None)
    return {
        "group": profile.group,
        "name": ROW_NAMES[server],
        "value": statistics.median(figures),
        "unit": "calls/core",
        "delivered": problem is None,
        "relative_to": None if server == PEER else ROW_NAMES[PEER],
        "note": problem or f"{min(figures):,.0f} to {max(figures):,.0f}; callers {callers:.2f} core",
    }


def shortfall(profile: Profile, outcome: Outcome) -> str | None:
    """What was not done, if anything."""
    enough = ENOUGH * profile.calls * outcome.seconds * 1000 / FRAME_MS
    if outcome.said < enough:
        return f"the callers did not keep pace: {outcome.said / enough * ENOUGH:.0%} said"
    if outcome.heard < enough:
        return f"the server did not keep pace: {outcome.heard / enough * ENOUGH:.0%} heard"
    return None if outcome.intact else "frames were lost or altered"


def measure(server: str, profile: Profile, certificate: Path, key: Path) -> Outcome:
    """One server and its callers, from their start to their end."""
    with serving(server, certificate, key) as (port, pid):
        order = Order(
            server=server,
            host=HOST,
            port=port,
            pid=pid,
            ca=str(certificate),
            calls=profile.calls,
            batch=profile.batch,
            warm_up_s=WARM_UP_S,
            window_s=WINDOW_S,
        )
        callers = subprocess.run(
            [sys.executable, HERE / "_callers.py", msgspec.json.encode(order)],
            stdout=subprocess.PIPE,
            timeout=CLIENT_TIMEOUT_S,
            check=True,
        )
    return msgspec.json.decode(callers.stdout, type=Outcome)


@contextmanager
def serving(server: str, certificate: Path, key: Path) -> Iterator[tuple[int, int]]:
    """A server that is up: its port, and the process that serves."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, HERE / "_echo_servers.py", server, certificate, key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if not (line := process.stdout.readline()):
                log.seek(0)
                raise RuntimeError(f"the {server} server did not start: {log.read()[-1000:]}")
            port, pid = map(int, line.split())
            yield port, pid
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_TIMEOUT_S)
            finally:
                process.kill()
                process.stdout.close()
