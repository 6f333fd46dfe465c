"""BIRD routers and speakers that talk over loopback addresses: no privilege, no namespaces."""

import contextlib
import functools
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import waiting

from bgp.bird_speaker import BirdSpeaker
from bgp.conf import SpeakerConfig
from bgp.speaker import ExaBgpSpeaker, SpeakerEvent, SpeakerTiming

SOON_S = 10.0
eventually = functools.partial(waiting.eventually, timeout_s=SOON_S)
SPEAKERS: dict[str, Any] = {"exabgp": ExaBgpSpeaker, "bird": BirdSpeaker}


class Bird:
    """A running BIRD, asked through its control socket."""

    def __init__(self, process: subprocess.Popen[bytes], control: Path) -> None:
        self.process = process
        self._control = control

    def ask(self, question: str) -> str:
        """The text of the answer, with its reply codes."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(self._control))
            with link.makefile("rw") as stream:
                stream.readline()
                stream.write(question + "\n")
                stream.flush()
                lines = []
                for line in stream:
                    lines.append(line)
                    if re.match(r"\d{4} ", line):
                        break
        return "".join(lines)

    def prefixes(self) -> set[str]:
        return set(re.findall(r"^(?:\d{4}-| )([0-9a-f.:]+/\d+) ", self.ask("show route"), re.MULTILINE))


@contextlib.contextmanager
def running_bird(directory: Path, name: str, conf: str) -> Iterator[Bird]:
    """Files of the router are ``name`` with an ending, in ``directory``."""
    file, control, log_file = (directory / f"{name}.{ending}" for ending in ("conf", "ctl", "log"))
    file.write_text(f"log stderr all;\nprotocol device {{ }}\n{conf}")
    command = ["bird", "-f", "-c", file, "-s", control, "-P", directory / f"{name}.pid"]
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env={"PATH": path})
    try:
        deadline = time.monotonic() + SOON_S
        while not control.exists():
            assert process.poll() is None, log_file.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield Bird(process, control)
    finally:
        process.kill()
        process.wait()


def free_port(*addresses: str) -> int:
    """A TCP port that nobody uses on the first of ``addresses``, nor then on the others."""
    with contextlib.ExitStack() as sockets:
        port = 0
        for address in addresses:
            taken = sockets.enter_context(socket.socket())
            taken.bind((address, port))
            port = taken.getsockname()[1]
    return port


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """Not pytest's own, whose name is long for a socket."""
    with tempfile.TemporaryDirectory(prefix="speaker-") as directory:
        yield Path(directory)


@contextlib.asynccontextmanager
async def running_speaker(
    config: dict[str, Any], directory: Path, timing: SpeakerTiming | None = None, kind: str = "exabgp"
) -> AsyncIterator[tuple[Any, list[SpeakerEvent]]]:
    """A speaker with everything it has reported so far."""
    events: list[SpeakerEvent] = []
    speaker = SPEAKERS[kind](msgspec.convert(config, SpeakerConfig), directory, events.append, timing=timing)
    await speaker.start()
    try:
        yield speaker, events
    finally:
        await speaker.stop()
