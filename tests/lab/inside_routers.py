"""What routers and reflectors of both makes do with what edges announce; run inside a lab by `test_lab_routers`.

The edges are plain BIRDs that say what they are told to, to every neighbour they have. Every result is made of JSON.
"""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from inside_lab import answers, goes_to, put_service_addresses, start_namer

from edge.lab import bird
from edge.lab.birdc import Birdc
from edge.lab.fib import FibWatcher
from edge.lab.lab import Lab
from edge.lab.parts import VERSIONS, Protection
from edge.lab.rib import RibRoute
from edge.lab.topologies import fleet_topology
from edge.lab.vty import Damped

PATIENCE_S = 15.0
POLL_S = 0.02
PLAIN, LAST_RESORT, CONTROL = "plain", "last_resort", "control"


class Speaker:
    """A BIRD on an edge. It begins with the plain service prefixes, and its own address for the reflectors."""

    def __init__(self, lab: Lab, node: str) -> None:
        self._lab = lab
        self.node = node
        self.control = lab.run_dir / f"{node}.bird"

    async def start(self, claims: str = "") -> None:
        """``claims``: a node for whose address it speaks beside its own."""
        path = self._lab.run_dir / f"{self.node}.conf"
        path.write_text(self._config(claims))
        await self._lab.spawn(self.node, bird.arguments(path, self.control), name="speaker")
        while not self.control.exists():
            self._lab.check()
            await asyncio.sleep(POLL_S)

    async def say(self, command: str, *protocols: str) -> float:
        """``disable`` or ``enable`` what it says, for both families; when that began."""
        at = time.monotonic()
        for protocol in protocols:
            argv = ["birdc", "-s", str(self.control), command, f'"{protocol}_*"']
            done = await self._lab.exec(self.node, argv)
            assert done.returncode == 0, done
        return at

    async def hears(self, prefix: Any) -> tuple[RibRoute, ...]:
        return await Birdc(self.control).routes(prefix)

    def _config(self, claims: str) -> str:
        topology = self._lab.topology
        asn = topology.node(self.node).asn
        text = f"router id {topology.addresses(self.node).v4};\nprotocol device {{ }}\n"
        for version in VERSIONS:
            service = getattr(topology, f"service_{version}").network
            own = [getattr(topology.addresses(name), version) for name in (self.node, claims) if name]
            controls = " ".join(
                f"route {address}/{address.max_prefixlen} blackhole "
                "{ bgp_community.add((65535, 65281)); bgp_large_community.add((64600, 3, 7)); };"
                for address in own
            )
            text += textwrap.dedent(f"""\
                protocol static plain_{version} {{ ip{version} {{ preference 210; }}; route {service} blackhole; }}
                protocol static last_resort_{version} {{
                  ip{version}; route {service} blackhole {{ bgp_community.add((65535, 0)); }};
                }}
                protocol static control_{version} {{ ip{version}; {controls} }}
                """)
            for link, ours, theirs in topology.adjacencies(self.node):
                assert link.bgp is not None
                text += self._session(
                    f"{theirs.node}_{version}",
                    f"local {getattr(ours, version).ip} as {asn};"
                    f" neighbor {getattr(theirs, version).ip} as {topology.node(theirs.node).asn};",
                    link.bgp,
                    f'ip{version} {{ import none; export where proto ~ "plain_*" || proto ~ "last_resort_*"; }};',
                )
            for number, reflector in enumerate(topology.fleet_peers(self.node)):
                router_id = topology.addresses(self.node).v4 + number * 38 * 2**24  # 241.x, nobody's
                text += self._session(
                    f"{reflector}_{version}",
                    f"local {own[0]} as {asn}; router id {router_id}; multihop {topology.fleet_hops};"
                    f" neighbor {getattr(topology.addresses(reflector), version)} as {asn};",
                    topology.fleet,
                    f"ip{version} {{ import all; add paths rx; next hop self; export where source = RTS_STATIC; }};",
                )
        return text

    def _session(self, name: str, ends: str, protected: Protection, channel: str) -> str:
        return textwrap.dedent(f"""\
            protocol bgp to_{name} {{
              {ends}{bird.protection(protected)}
              hold time 9; connect delay time 1; error wait time 1, 2; graceful restart off;
              {channel}
            }}
            """)


def transit(argument: Any, tell: Callable[[Any], None]) -> Any:
    """All edges announce, make themselves the last resort, come back, and one flaps."""
    return asyncio.run(_transit(Path(argument["log_dir"])))


async def _transit(log_dir: Path) -> Any:
    topology = fleet_topology(damping=True)
    for deaf in ("t1-e2", "t2-e4"):
        topology = topology.with_bgp(deaf, honour_graceful_shutdown=False)
    async with (
        Lab(topology, log_dir) as lab,
        lab.watch("t1") as t1,
        lab.watch("t2") as t2,
        lab.watch("t3") as t3,
    ):
        service = topology.service_v4.ip, topology.service_v6.ip
        v4 = lab.anycast_prefixes[0]
        found: dict[str, Any] = {"before": [change.neighbours for change in t2.changes]}
        speakers = {}
        for edge in ("e1", "e2", "e3", "e4"):
            await put_service_addresses(lab, edge)
            await start_namer(lab, edge, *service)
            speakers[edge] = Speaker(lab, edge)
            await speakers[edge].start(claims="e2" if edge == "e1" else "")
        await usual(t1, t2, t3, since=0.0)

        at = [await speaker.say("disable", PLAIN) for speaker in speakers.values()]
        await both(t1, goes_to("e2"), since=at[0])  # as it may have gone while they started, too
        await both(t2, goes_to("e4"), since=at[0])
        found["last_resort"] = {
            name: {route.session: route.local_pref for route in await lab.router(name).routes(v4)}
            for name in ("t1", "t2")
        }
        at = [await speaker.say("enable", PLAIN) for speaker in speakers.values()]
        await usual(t1, t2, t3, since=at[0])

        at = [await speakers[edge].say("disable", PLAIN, LAST_RESORT) for edge in ("e3", "e4")]
        found["gone_s"] = (
            max(change.at for change in await both(t2, goes_to("e1", "e2"), since=at[0])) - at[1]
        )
        found["second_uplink"] = [await answers(lab, "c2", address, 20) for address in service]

        async def damped() -> list[Damped]:
            return [route for route in await lab.vty("t2").damped(v4) if route.session == "e3_v4"]

        async def suppressed() -> bool:
            for command in ("disable", "enable"):
                await speakers["e3"].say(command, PLAIN)
                await asyncio.sleep(0.2)  # as separate changes, not as one that FRR never sees
            return any(route.suppressed for route in await damped())

        await until(suppressed)
        found["damped"] = [msgspec.to_builtins(route) for route in await damped()]
        found["kernel"] = [hop.interface for hop in await lab.next_hops("t2", v4)]
        lab.check()
        return found


def reflection(argument: Any, tell: Callable[[Any], None]) -> Any:
    """What edges hear of each other and of themselves, with two reflectors and with one."""
    return asyncio.run(_reflection(Path(argument["log_dir"])))


async def _reflection(log_dir: Path) -> Any:
    async with Lab(fleet_topology(), log_dir) as lab:
        v4, v6 = lab.anycast_prefixes
        e1, e4 = Speaker(lab, "e1"), Speaker(lab, "e4")
        await e1.start(claims="e2")
        await e4.start()

        async def heard(prefix: Any) -> list[tuple[str, str, str]]:
            """By e1: from which reflector, with which next hop, who said it first."""
            routes = await e1.hears(prefix)
            return sorted((route.session, route.next_hop, route.originator) for route in routes)

        own, claimed = (f"{lab.addresses(name).v4}/32" for name in ("e1", "e2"))

        async def everything() -> bool:
            services = [len(await heard(prefix)) for prefix in (v4, v6)]
            return services == [6, 6] and len(await e4.hears(own)) == 4

        async def one() -> bool:
            return len(await heard(v4)) == 1

        await until(everything)
        found: dict[str, Any] = {"heard": [await heard(prefix) for prefix in (v4, v6)]}
        found["control"] = [(route.communities, route.large_communities) for route in await e4.hears(own)]
        found["claimed"] = [
            [route.session for route in await lab.router(name).routes(claimed)]  # type: ignore[arg-type]
            for name in ("rr1", "rr2")
        ]

        await lab.halt("rr1")
        await until(one)
        found["without_rr1"] = await heard(v4)
        await lab.resume("rr1")
        await until(everything)
        lab.check()
        return found


async def usual(t1: FibWatcher, t2: FibWatcher, t3: FibWatcher, since: float) -> None:
    """Every transit system sends flows to the edges it prefers."""
    await both(t1, goes_to("e1", "e2"), since=since)
    await both(t2, goes_to("e3", "e4"), since=since)
    await both(t3, goes_to("e4"))


async def both(watcher: FibWatcher, holds: Callable[[Any], bool], since: float = 0.0) -> list[Any]:
    """The changes by which it came to be so in both families."""
    prefixes = {change.prefix for change in watcher.changes}
    return [await watcher.wait(prefix, holds, since=since, timeout=PATIENCE_S) for prefix in prefixes]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():  # noqa: ASYNC110 - nobody would tell
            await asyncio.sleep(POLL_S)
