"""What the tests of this folder run inside a lab; imported there by name. Every result is made of JSON."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import DeadlineError, EdgeError
from edge.lab import bird
from edge.lab.fib import RouteChange
from edge.lab.lab import Lab
from edge.lab.parts import Bgp
from edge.lab.process import Process
from edge.lab.topologies import default_topology
from edge.lab.topology import Topology

PYTHON = (sys.executable, "-S", "-c")
PORT = 7

# Answers each datagram with the name of the node, from the address it came to.
NAMER = """
import select, socket, sys
sockets = []
for address in sys.argv[2:]:
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 7))
    sockets.append(s)
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        s.sendto(sys.argv[1].encode(), s.recvfrom(2048)[1])
"""

# Prints who answers each of some flows to an address, which differ in their source ports alone; twice each.
FLOWS = """
import socket, sys
address, flows, timeout = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
for _ in range(flows):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(timeout)
    s.connect((address, 7))
    answers = []
    for _ in range(2):
        s.send(b"?")
        try:
            answers.append(s.recv(64).decode())
        except OSError:
            answers.append("nobody")
    print(*answers)
"""


def quiet() -> Topology:
    """The default network with short delays: these tests are not about them."""
    return default_topology(client_delay_ms=1, edge_delay_ms=1, transit_delay_ms=1, jitter_ms=0)


def part(topology: Topology, *names: str) -> Topology:
    """Some nodes of a network, and the links among them."""
    return msgspec.structs.replace(
        topology,
        nodes=tuple(node for node in topology.nodes if node.name in names),
        links=tuple(link for link in topology.links if {end.node for end in link.ends} <= set(names)),
    )


def protected(topology: Topology, *names: str) -> Topology:
    """The same network, with TCP MD5 and GTSM on the sessions over some links."""
    links = [
        msgspec.structs.replace(link, bgp=Bgp(md5=f"secret-of-{link.name}", gtsm=True))
        if link.name in names
        else link
        for link in topology.links
    ]
    return msgspec.structs.replace(topology, links=tuple(links))


async def answers(
    lab: Lab, client: str, address: object, flows: int = 1, timeout: float = 5.0
) -> list[list[str]]:
    """Who answers, per flow."""
    command = [*PYTHON, FLOWS, str(address), str(flows), str(timeout)]
    done = await lab.exec(client, command, timeout=60)
    return [line.split() for line in done.stdout.decode().splitlines()]


async def start_namer(lab: Lab, node: str, *addresses: object) -> None:
    process = await lab.spawn(node, [*PYTHON, NAMER, node, *map(str, addresses)], name="namer")
    await spoken(lab, process)


async def spoken(lab: Lab, process: Process) -> None:
    """Wait until a program has said something."""
    while not process.log.read_text():
        lab.check()
        await asyncio.sleep(0.01)


async def start_speaker(lab: Lab, node: str) -> Process:
    """Announce the anycast prefixes from an edge, by a BIRD that knows nothing else."""
    link, own, peer = lab.topology.uplink(node)
    assert link.bgp is not None
    options = f'password "{link.bgp.md5}"; ' if link.bgp.md5 else ""
    options += "ttl security on; " if link.bgp.gtsm else ""
    config = f"router id {own.v4.ip};\nprotocol device {{ }}\n"
    for version, service in (("v4", lab.topology.service_v4), ("v6", lab.topology.service_v6)):
        ours, theirs = getattr(own, version).ip, getattr(peer, version).ip
        config += textwrap.dedent(f"""\
            protocol static static_{version} {{ ip{version}; route {service.network} blackhole; }}
            protocol bgp up_{version} {{
              local {ours} as {lab.topology.node(node).asn};
              neighbor {theirs} as {lab.topology.node(peer.node).asn};
              hold time 9; connect delay time 1; graceful restart off; {options}
              ip{version} {{ import none; export where source = RTS_STATIC; }};
            }}
            """)
    path = lab.run_dir / f"{node}.conf"
    path.write_text(config)
    return await lab.spawn(node, bird.arguments(path, lab.run_dir / f"{node}.bird"), name="speaker")


async def put_service_addresses(lab: Lab, node: str) -> None:
    for address in (f"{lab.topology.service_v4.ip}/32", f"{lab.topology.service_v6.ip}/128"):
        done = await lab.exec(node, ["ip", "address", "add", address, "dev", "lo"])
        assert done.returncode == 0, done.stderr


def goes_to(*nodes: str) -> Callable[[RouteChange], bool]:
    return lambda change: change.neighbours == nodes


def anycast(argument: Any, tell: Callable[[Any], None]) -> Any:
    """Three edges announce; one of the two that share a router leaves; what routers and flows do."""
    return asyncio.run(_anycast(Path(argument["log_dir"])))


async def _anycast(log_dir: Path) -> Any:
    async with Lab(protected(quiet(), "t1-t2", "t2-e3"), log_dir) as lab:
        prefixes = v4, v6 = lab.anycast_prefixes
        service = lab.topology.service_v4.ip, lab.topology.service_v6.ip
        async with lab.watch("t1") as t1, lab.watch("t2") as t2:
            before = [change.neighbours for change in t2.changes]
            speakers = {}
            for edge in ("e1", "e2", "e3"):
                await put_service_addresses(lab, edge)
                await start_namer(lab, edge, *service)
                speakers[edge] = await start_speaker(lab, edge)
            for prefix in prefixes:
                await t1.wait(prefix, goes_to("e1"))
                await t2.wait(prefix, goes_to("e2", "e3"))
            shared = {str(address): await answers(lab, "c2", address, 60) for address in service}
            near = [await answers(lab, "c1", address, 8) for address in service]
            rib = await lab.router("t2").routes(v4)
            stopped_at = time.monotonic()
            await speakers["e2"].stop()
            alone = await t2.wait(v4, goes_to("e3"), since=stopped_at)
            await t2.wait(v6, goes_to("e3"), since=stopped_at)
            dumped = [[hop.interface for hop in await lab.next_hops("t2", prefix)] for prefix in prefixes]
            after = await answers(lab, "c2", service[0], 20)
            stopped_at = time.monotonic()
            await speakers["e1"].stop()
            await t1.wait(v6, goes_to("t2"), since=stopped_at)
            lab.check()
            return {
                "before": before,
                "shared": shared,
                "near": near,
                "rib": [(route.session, route.as_path) for route in rib],
                "alone_ms": (alone.at - stopped_at) * 1000,
                "dumped": dumped,
                "after": after,
            }


def links(argument: Any, tell: Callable[[Any], None]) -> Any:
    """A link cut and mended, slowed and made lossy, and an interface taken down."""
    return asyncio.run(_links(Path(argument["log_dir"])))


async def _links(log_dir: Path) -> Any:
    async with Lab(quiet(), log_dir) as lab:
        e1 = lab.addresses("e1")
        await start_namer(lab, "e1", *e1)
        reached = [await answers(lab, "c1", address) for address in e1]
        await lab.cut("t1-e1")
        cut = [await answers(lab, "c1", address, timeout=0.3) for address in e1]
        interface = await lab.exec("e1", ["ip", "-brief", "link", "show", "t1"])
        await lab.mend("e1-t1")
        mended = await answers(lab, "c1", e1.v4)
        await lab.impair("t1-e1", delay_ms=50)
        began = time.monotonic()
        await answers(lab, "c1", e1.v6)
        slow_s = time.monotonic() - began
        far = lab.topology.uplink("e3").own.v4.network
        async with lab.watch("t1", [far]) as watcher:
            began = time.monotonic()
            await lab.exec("t1", ["ip", "link", "set", "t2", "down"])
            gone = await watcher.wait(far, goes_to(), since=began)
        counters = {f"{way.link} {way.way}": way for way in await lab.counters()}
        return {
            "reached": reached,
            "cut": cut,
            "interface": interface.stdout.decode(),
            "mended": mended,
            "slow_s": slow_s,
            "gone_ms": (gone.at - began) * 1000,
            "dropped": counters["t1-e1 ab"].dropped,
            "impairment": msgspec.to_builtins(counters["t1-e1 ba"].impairment),
        }


def losses(argument: Any, tell: Callable[[Any], None]) -> Any:
    """How the lab takes it when programs fail."""
    return asyncio.run(_losses(Path(argument["log_dir"])))


async def _losses(log_dir: Path) -> Any:
    async with Lab(quiet(), log_dir) as lab:
        said = []

        async def fails(action: Any) -> None:
            try:
                await action
            except EdgeError as error:
                said.append(f"{type(error).__name__}: {error}")

        await fails(lab.spawn("e1", ["/no/such/program"]))
        await fails(lab.exec("e1", ["sleep", "60"], timeout=0.2))
        await fails(lab.exec("e9", ["true"]))
        brief = await lab.spawn("e1", ["true"], finite=True)
        assert await brief.wait() == 0
        stubborn = await lab.spawn(
            "e1",
            [
                *PYTHON,
                "import signal, time\nsignal.signal(15, lambda *_: None)\nprint(1, flush=True)\ntime.sleep(60)",
            ],
            name="stubborn",
        )
        await spoken(lab, stubborn)
        stopped = await stubborn.stop(grace=0.1)
        lab.check()
        (router,) = (process for process in lab.processes if str(process) == "bird on t2")
        os.kill(router.pid, signal.SIGKILL)
        try:
            await asyncio.wait_for(lab.watch_over(), 5)
        except EdgeError as error:
            said.append(str(error))
        return {"said": said, "stopped": stopped, "sessions": (await lab.sessions())["t2"]}


def fail(argument: Any, tell: Callable[[Any], None]) -> None:
    """What the target raises is raised outside."""
    raise DeadlineError("in vain")


def sleep(argument: Any, tell: Callable[[Any], None]) -> None:
    """A lab that would stay for a minute."""

    async def run() -> None:
        async with Lab(quiet(), Path(argument["log_dir"])):
            os.write(1, b"up\n")
            await asyncio.sleep(60)

    asyncio.run(run())


async def sleeper(lab: Lab) -> None:
    """A service for a standing lab."""
    await lab.spawn("e1", ["sleep", "60"], name="sleeper")
