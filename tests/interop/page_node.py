"""What the browser's tests call: a node as `edgectl up` starts it, and WAV files for the fake microphone."""

import array
import contextlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loopback import free_port

from edge.backend.opus import Decoder
from edge.backend.opusfile import read_packets
from edge.client.speech import recording

SERVICE, UNICAST = "127.0.0.1", "127.0.0.2"
START_TIMEOUT_S = 60.0
RATE_HZ: Final = 48_000


@contextlib.contextmanager
def node(backend: str, directory: Path) -> Iterator[str]:
    """The URL of the page of a node whose calls are answered by ``backend``."""
    port, page_port = free_port(SERVICE, UNICAST), free_port(SERVICE)
    up = [sys.executable, "-P", "-m", "edge.cli", "up", "--backend", backend, "--directory", str(directory)]
    directory.mkdir(parents=True)
    page = f"http://{SERVICE}:{page_port}/"
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*up, "--port", str(port), "--page-port", str(page_port)], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(page):
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.1)
        yield page
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def write_wav(path: Path, *parts: str | float) -> Path:
    """Recordings of `edge.client.speech` by name, and seconds of silence, one after the other."""
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE_HZ)
        for part in parts:
            wav.writeframes(_speech(part) if isinstance(part, str) else _silence(part))
    return path


def _speech(name: str) -> bytes:
    decoder = Decoder(RATE_HZ)
    return b"".join(decoder.decode(packet) for packet in read_packets(recording(name)))


def _silence(duration_s: float) -> bytes:
    return array.array("h", [0]).tobytes() * int(duration_s * RATE_HZ)
