"""What the tests of BFD run inside a lab; imported there by name."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edge.lab.fib import FibWatcher, RouteChange
from edge.lab.lab import Lab
from edge.lab.process import Process
from edge.lab.topologies import default_topology
from edge.lab.topology import Topology

UP_S = 15.0

# A node's routing alone: a speaker, and BFD inside it or beside it. Says what happens, one line each.
DAEMON = """
import asyncio, json, sys
from pathlib import Path
import msgspec
from bgp.bfd import BfdSideCar
from bgp.bird_speaker import BirdSpeaker
from bgp.conf import BfdConfig, SpeakerConfig
from bgp.route import Route
from bgp.speaker import BfdChanged, ExaBgpSpeaker

def say(event):
    if isinstance(event, BfdChanged):
        print("bfd", event.neighbor, "up" if event.is_up else "down", flush=True)

async def main(kind, directory, values, *prefixes):
    config = msgspec.convert(json.loads(values), SpeakerConfig)
    if kind == "bird":
        speaker = bfd = BirdSpeaker(config, Path(directory), say, bfd=BfdConfig())
    else:
        speaker = ExaBgpSpeaker(config, Path(directory, "speaker"), say)
        bfd = BfdSideCar(config, BfdConfig(), Path(directory, "bfd"), say)
        await bfd.start()
    await speaker.start()
    for prefix in prefixes:
        speaker.announce(Route.parse(prefix))
    while True:
        print("pid", bfd.pid, flush=True)
        await asyncio.sleep(0.2)

asyncio.run(main(*sys.argv[1:]))
"""


def watched(topology: Topology) -> Topology:
    """The network with short delays and BFD between t1 and e1."""
    links = [
        msgspec.structs.replace(link, bgp=msgspec.structs.replace(link.bgp, bfd=True))
        if link.name == "t1-e1" and link.bgp is not None
        else link
        for link in topology.links
    ]
    return msgspec.structs.replace(topology, links=tuple(links))


def goes_to(*nodes: str) -> Callable[[RouteChange], bool]:
    return lambda change: change.neighbours == nodes


class Node:
    """A speaker on e1, and how it is seen from t1."""

    def __init__(self, lab: Lab, watcher: FibWatcher, process: Process) -> None:
        self._lab, self._watcher, self.process = lab, watcher, process

    def said(self, word: str) -> list[str]:
        """The last words of the lines that begin with this one."""
        lines = self.process.log.read_text().splitlines()
        return [line.split()[-1] for line in lines if line.startswith(word)]

    async def settled(self, since: float, min_bfd: int) -> None:
        """The routes are there, and BFD has come up for both sessions that often."""
        for prefix in self._lab.anycast_prefixes:
            await self._watcher.wait(prefix, goes_to("e1"), since=since, timeout=UP_S)
        deadline = time.monotonic() + UP_S
        while self.said("bfd").count("up") < min_bfd or not await self._both_up():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    async def gone_ms(self, since: float) -> float:
        """How long after ``since`` the last of the routes went."""
        went = [
            await self._watcher.wait(prefix, goes_to(), since=since, timeout=UP_S)
            for prefix in self._lab.anycast_prefixes
        ]
        return (max(change.at for change in went) - since) * 1000

    async def _both_up(self) -> bool:
        sessions = await self._lab.router("t1").sessions()
        return sum(session.name.startswith("e1") and session.established for session in sessions) == 2


def failures(argument: Any, tell: Callable[[Any], None]) -> Any:
    """A node is unplugged; what speaks BFD is killed; the supervisor is killed."""
    return asyncio.run(_failures(argument["kind"], Path(argument["log_dir"])))


async def _failures(kind: str, log_dir: Path) -> Any:
    topology = watched(default_topology(client_delay_ms=1, edge_delay_ms=1, transit_delay_ms=1, jitter_ms=0))
    async with Lab(topology, log_dir) as lab, lab.watch("t1") as watcher:
        command = [
            sys.executable,
            "-P",
            "-c",
            DAEMON,
            kind,
            str(lab.run_dir / "e1"),
            json.dumps(config(topology, lab.run_dir)),
        ]
        prefixes = [str(prefix) for prefix in lab.anycast_prefixes]
        began = time.monotonic()
        node = Node(lab, watcher, await lab.spawn("e1", [*command, *prefixes], name="speaker", finite=True))
        await node.settled(began, 2)

        cut = time.monotonic()
        await lab.cut("t1-e1")
        unplugged_ms = await node.gone_ms(cut)
        await asyncio.sleep(0.5)
        mended = time.monotonic()
        await lab.mend("t1-e1")
        await node.settled(mended, 4)
        back_ms = (time.monotonic() - mended) * 1000

        pid = int(node.said("pid")[-1])
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        bfd_killed_ms = await node.gone_ms(killed)
        await node.settled(killed, 6)

        # With a beat of the daemon, the pid of the new one.
        await asyncio.sleep(0.5)
        left = int(node.said("pid")[-1])
        killed = time.monotonic()
        os.kill(node.process.pid, signal.SIGKILL)
        daemon_killed_ms = await node.gone_ms(killed)
        await asyncio.sleep(0.2)
        return {
            "unplugged_ms": unplugged_ms,
            "back_ms": back_ms,
            "bfd_killed_ms": bfd_killed_ms,
            "daemon_killed_ms": daemon_killed_ms,
            "is_new": left != pid,
            "left": is_alive(left),
            "downs": node.said("bfd").count("down"),
        }


def config(topology: Topology, directory: Path) -> dict[str, Any]:
    """What the link to the router asks for."""
    link, own, peer = topology.uplink("e1")
    secured: dict[str, Any] = {}
    if link.bgp is not None and link.bgp.md5 is not None:
        (directory / "key").write_text(link.bgp.md5)
        secured = {"md5_file": str(directory / "key"), "ttl_security": link.bgp.gtsm}
    return {
        "router_id": str(own.v4.ip),
        "local_as": topology.node("e1").asn,
        "neighbors": [
            {
                "address": str(getattr(peer, version).ip),
                "local_address": str(getattr(own, version).ip),
                "peer_as": topology.node(peer.node).asn,
                **secured,
            }
            for version in ("v4", "v6")
        ],
    }


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
