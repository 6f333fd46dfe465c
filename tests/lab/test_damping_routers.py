"""The ledger beside a router that damps: FRR with its defaults, over loopback, told by a real speaker.

FRR's own figure is read after every step. Its penalties sink in steps of 5 s, so the two may differ by half a
percent for each change.
"""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bgp.conf import SpeakerConfig
from bgp.ledger import Ledger, Move
from bgp.route import Prefix, Route, parse_prefix
from bgp.speaker import ExaBgpSpeaker

pytestmark = pytest.mark.needs("bgpd")

ROUTER, EDGE = "127.0.0.20", "127.0.0.21"
ROUTER_AS, EDGE_AS = 64501, 64601
# FRR takes no route with a next hop of the loopback.
NEXT_HOP = "198.51.100.1"
SEEN_S = 10.0
ALIKE = 0.03

CONF = f"""\
router bgp {ROUTER_AS}
 bgp router-id 192.0.2.254
 no bgp ebgp-requires-policy
 neighbor {EDGE} remote-as {EDGE_AS}
 neighbor {EDGE} passive
 neighbor {EDGE} disable-connected-check
 address-family ipv4 unicast
  bgp dampening
"""


@dataclass(frozen=True, slots=True)
class Damped:
    """What FRR says of a prefix. ``path`` is empty when it is withdrawn."""

    path: str = ""
    penalty: int = 0
    suppressed: bool = False


class Frr:
    """A bgpd of our own, asked through its terminal socket."""

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self._directory = directory

    def ask(self, command: str) -> str:
        asking = ["vtysh", "--vty_socket", str(self._directory), "-d", "bgpd", "-c", command]
        return subprocess.run(asking, capture_output=True, text=True, check=True, timeout=SEEN_S).stdout

    def sessions(self) -> int:
        """How many there have been."""
        neighbor = json.loads(self.ask(f"show bgp neighbors {EDGE} json"))[EDGE]
        return int(neighbor["connectionsEstablished"])

    def damped(self, prefix: Prefix) -> Damped:
        answer = json.loads(self.ask(f"show bgp ipv4 unicast {prefix} json") or "{}")
        if not answer.get("paths"):
            return Damped()
        (path,) = answer["paths"]
        # A session that has just ended leaves its paths for a moment, invalid.
        is_there = path.get("valid", False) and "dampeningHistoryEntry" not in path
        return Damped(
            path["aspath"]["string"] if is_there else "",
            path.get("dampeningPenalty", 0),
            "dampeningSuppressed" in path,
        )


@pytest.fixture(scope="module")
def frr() -> Iterator[Frr]:
    with socket.socket() as free:
        free.bind((ROUTER, 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="damping-") as name:
        directory = Path(name)
        (directory / "bgpd.conf").write_text(CONF)
        bgpd = shutil.which("bgpd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/lib/frr")
        # --skip_runas: as whoever runs the tests; --no_zebra: routes go nowhere.
        options = f"--skip_runas --no_zebra --listenon {ROUTER} --bgp_port {port} --vty_port 0"
        files = ["-f", name + "/bgpd.conf", "-i", name + "/bgpd.pid", "--vty_socket", name]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen([bgpd, *options.split(), *files], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + SEEN_S
            while not (directory / "bgpd.vty").exists():
                assert process.poll() is None, (directory / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield Frr(directory, port)
        finally:
            process.terminate()
            process.wait(SEEN_S)


class Bench:
    """Says the same to FRR, through a speaker, and to a ledger of its own."""

    def __init__(self, frr: Frr, speaker: ExaBgpSpeaker, config: SpeakerConfig, prefix: Prefix) -> None:
        self.frr = frr
        self.speaker = speaker
        self.prefix = prefix
        self.session = config.sessions()[0]
        self.ledger = Ledger({self.session.address: "cisco"}, (prefix,))

    async def say(self, prepend: int | None) -> Damped:
        """Announced so, or withdrawn with None. When FRR has it, what FRR makes of it."""
        if prepend is None:
            self.speaker.withdraw(self.prefix)
        else:
            self.speaker.announce(Route(self.prefix, prepend=prepend))
        self.note(prepend)
        path = "" if prepend is None else " ".join([str(EDGE_AS)] * (1 + prepend))
        return await self.until(lambda damped: damped.path == path)

    def note(self, prepend: int | None) -> None:
        """In the ledger only."""
        heard = None if prepend is None else self.session.advertisement(Route(self.prefix, prepend=prepend))
        self.ledger.heard(self.session.address, self.prefix, heard, time.monotonic())

    async def until(self, reached: Callable[[Damped], bool]) -> Damped:
        deadline = time.monotonic() + SEEN_S
        while not reached(damped := await asyncio.to_thread(self.frr.damped, self.prefix)):
            assert time.monotonic() < deadline, damped
            await asyncio.sleep(0.05)
        return damped

    @property
    def penalty(self) -> float:
        return self.ledger.penalty(self.session.address, self.prefix, time.monotonic())

    def may(self, move: Move) -> bool:
        return self.ledger.allowance(time.monotonic()).wait_s[move] == 0


@contextlib.asynccontextmanager
async def bench(frr: Frr, directory: Path, prefix: str) -> Any:
    """Each with a prefix of its own, for FRR does not forget."""
    neighbor = {
        "address": ROUTER,
        "local_address": EDGE,
        "peer_as": ROUTER_AS,
        "port": frr.port,
        "next_hop_ipv4": NEXT_HOP,
    }
    settings = {"router_id": "192.0.2.11", "local_as": EDGE_AS, "neighbors": [neighbor]}
    config = msgspec.convert(settings, SpeakerConfig)
    speaker = ExaBgpSpeaker(config, directory / "run", lambda event: None)
    await speaker.start()
    try:
        yield Bench(frr, speaker, config, parse_prefix(prefix))
    finally:
        await speaker.stop()


PLAIN, DEPREFERRED, WITHDRAWN = 0, 2, None


@pytest.mark.parametrize(
    "prefix, story, total",
    [
        ("192.0.2.1/32", [PLAIN, WITHDRAWN, PLAIN, WITHDRAWN], 2000),
        # One trip down the ladder and back.
        ("192.0.2.2/32", [PLAIN, DEPREFERRED, WITHDRAWN, PLAIN], 1500),
        ("192.0.2.3/32", [PLAIN, 1, 2, 3, PLAIN], 2000),
    ],
)
def test_the_ledger_counts_as_the_router_does(
    frr: Frr, tmp_path: Path, prefix: str, story: list[int | None], total: float
) -> None:
    async def tell() -> None:
        async with bench(frr, tmp_path, prefix) as node:
            for word in story:
                damped = await node.say(word)
                assert damped.penalty == pytest.approx(node.penalty, rel=ALIKE)
            assert node.penalty == pytest.approx(total, rel=ALIKE)

    asyncio.run(tell())


@pytest.mark.parametrize(
    "prefix, moves",
    [
        ("192.0.2.4/32", [(Move.WITHDRAW, WITHDRAWN), (Move.ANNOUNCE, PLAIN)]),
        ("192.0.2.5/32", [(Move.CHANGE, DEPREFERRED), (Move.CHANGE, PLAIN)]),
    ],
)
def test_the_budget_keeps_a_prefix_from_being_suppressed(
    frr: Frr, tmp_path: Path, prefix: str, moves: list[tuple[Move, int | None]]
) -> None:
    async def tell() -> None:
        async with bench(frr, tmp_path, prefix) as node:
            assert not (await node.say(PLAIN)).suppressed
            endless = itertools.cycle(moves)
            move, word = next(endless)
            while node.may(move):
                damped = await node.say(word)
                assert not damped.suppressed
                move, word = next(endless)
            assert damped.penalty >= 1000
            # What the ledger refuses. The first of them takes FRR to its threshold, or to within half a percent.
            for _ in range(4):
                damped = await node.say(word)
                move, word = next(endless)
            assert damped.suppressed
            (standing,) = node.ledger.standings(time.monotonic())
            assert standing.reuse_in_s > 1200

    asyncio.run(tell())


def test_a_lost_session_costs_with_the_router_at_most_what_we_charge(frr: Frr, tmp_path: Path) -> None:
    async def tell() -> None:
        async with bench(frr, tmp_path, "192.0.2.6/32") as node:
            await node.say(PLAIN)
            await node.say(DEPREFERRED)
            before = await node.say(PLAIN)
            assert before.penalty == pytest.approx(1000, rel=ALIKE)
            sessions = frr.sessions()
            frr.ask(f"clear bgp {EDGE}")
            node.ledger.session_lost(node.session.address, time.monotonic())
            await node.until(lambda damped: frr.sessions() > sessions and damped.path != "")
            node.note(PLAIN)
            await node.say(DEPREFERRED)
            damped = await node.say(PLAIN)
            # Either it has forgotten what was before, or, with the session back at once, charged one change more.
            assert 1000 * (1 - ALIKE) < damped.penalty < node.penalty
            assert node.penalty == pytest.approx(3000, rel=ALIKE)

    asyncio.run(tell())
