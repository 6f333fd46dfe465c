"""Scenario `roaming`: the caller's own network changes while it speaks, in each way that happens to people.

    site      what happens to it
    nat       its NAT forgets its flows: they come from another port, then from another address
    phone     it leaves one network for another: other addresses, on another link, and the old ones are gone
    six       it gets IPv6, and its IPv4 goes away
    tunnel    for five seconds nothing gets through, and nobody says so
    train     for five seconds there is no network at all, and everybody knows it
    office    a firewall lets no UDP pass any more, and later it does

At each site are callers over QUIC that moved to the edge's own address, that stay on anycast, and that began on a
WebSocket. All speak into a microphone, for longer than any outage lasts, and hear themselves. In the end both sides of
every call compare what they counted: every word is heard by the edge, in order, once, and so is every answer by the
caller.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from edge.client.summary import CallSummary
from edge.lab import names
from edge.lab.callers import Caller
from edge.lab.faults import NONE, Fault
from edge.lab.firewall import block_udp, let_udp_pass
from edge.lab.lab import Lab
from edge.lab.nat import Nat
from edge.lab.nodes import SERVICE_NAME, FleetOptions, name_of
from edge.lab.parts import Role
from edge.lab.report import Check
from edge.lab.roams import join, leave
from edge.lab.scenarios import counts, outages
from edge.lab.scenarios.outages import Change
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import roaming_topology

NO_REDIAL: Final = "no-redial"
FAULTS: Final = {
    NO_REDIAL: Fault(check="calls_lost"),
    "forgetful": Fault(check="calls_resumed", resume_s=0.0),
}
"""Callers to whom a lost connection is the end of the call; edges that forget a call when its connection is lost."""

WIFI, CELLULAR = "t1", "t2"
OUTAGE_S: Final = 5.0
MAX_RESUME_S: Final = 2.0
BETWEEN_S: Final = 3.0
"""From one change to the next, at a site that sees several."""
BLOCKED_S: Final = 8.0
SETTLE_S: Final = 2.0
"""From the first words until something changes: whoever has heard nothing yet cannot cease to hear."""
PATIENCE_QUIC_S: Final = 30.0
"""To be back on it: a call that had to do without UDP tries it again after 10 s, and then after 20 s."""

SPEECH: Final = ("train", "train")
"""16 s, so that it goes on for longer than any outage."""
MANNERS: Final[dict[str, dict[str, Any]]] = {
    "moved": {},
    "pinned": {"migrate": False},
    "WebSocket": {"carrier": "websocket"},
}
OVER_QUIC: Final = ("moved", "pinned")


Story = Callable[[Lab], Awaitable[list[Change]]]


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    fault = FAULTS[order.fault] if order.fault else NONE
    topology = roaming_topology(tuple(SITES), mobile="phone")
    options = FleetOptions(fault=fault, policy=PATIENT, named=True)
    async with staged(order, tell, topology, options, callers=tuple(SITES)) as stage:
        edges = {name_of(edge): topology.addresses(edge) for edge in topology.names(Role.EDGE)}
        names.publish(
            stage.lab.run_dir, {SERVICE_NAME: [topology.service_v4.ip, topology.service_v6.ip], **edges}
        )
        await Nat(stage.lab, "nat").begin()
        await leave(stage.lab, "six", WIFI, ["v6"])
        await asyncio.gather(*(_place(stage, site, redials=order.fault != NO_REDIAL) for site in SITES))
        await asyncio.sleep(SETTLE_S)
        stage.timeline.event("the networks change", mark=True)
        told = await asyncio.gather(*(change(stage.lab) for change in SITES.values()))
        changes = dict(zip(SITES, told, strict=True))
        stage.timeline.event("every network works again", mark=True)
        await _until_quic(stage.callers["office"])
        await stage.hang_up()
        _narrate(stage, changes)
        return _checks(stage.callers, changes)


async def _place(stage: Stage, site: str, *, redials: bool) -> None:
    # A NAT is a matter of IPv4; where callers have both, they prefer the other.
    host = None if site == "nat" else SERVICE_NAME
    for name, manner in MANNERS.items():
        await stage.call(site, f"{site} {name}", host=host, microphone=SPEECH, redials=redials, **manner)


async def _until_quic(caller: Caller) -> None:
    """Until its calls that had to do without are back on it, or too long."""

    def is_back(name: str) -> bool:
        return name in caller.failed or (
            caller.standing[name].carrier == "quic" and caller.standing[name].reconnects > 1
        )

    await caller.until(
        lambda: all(is_back(f"{caller.site} {manner}") for manner in OVER_QUIC), PATIENCE_QUIC_S
    )


# --- what happens to each site -------------------------------------------------------------------------------


async def _rebound(lab: Lab) -> list[Change]:
    nat = Nat(lab, "nat")
    changes = []
    for address in (False, True):
        at = time.monotonic()
        await nat.forget(address=address)
        changes.append(Change(at, time.monotonic()))
        await asyncio.sleep(BETWEEN_S)
    return changes


async def _moved(lab: Lab) -> list[Change]:
    changes = []
    for old, new in ((WIFI, CELLULAR), (CELLULAR, WIFI)):
        at = time.monotonic()
        await leave(lab, "phone", old)
        await join(lab, "phone", new)
        changes.append(Change(at, time.monotonic()))
        await asyncio.sleep(BETWEEN_S)
    return changes


async def _without_ipv4(lab: Lab) -> list[Change]:
    await join(lab, "six", WIFI, ["v6"])
    await asyncio.sleep(BETWEEN_S)
    at = time.monotonic()
    await leave(lab, "six", WIFI, ["v4"])
    return [Change(at, time.monotonic())]


async def _cut(lab: Lab) -> list[Change]:
    link = lab.topology.uplink("tunnel").link.name
    at = time.monotonic()
    await lab.cut(link)
    await asyncio.sleep(OUTAGE_S)
    await lab.mend(link)
    return [Change(at, time.monotonic())]


async def _offline(lab: Lab) -> list[Change]:
    at = time.monotonic()
    await leave(lab, "train", WIFI)
    await asyncio.sleep(OUTAGE_S)
    await join(lab, "train", WIFI)
    return [Change(at, time.monotonic())]


async def _blocked(lab: Lab) -> list[Change]:
    at = time.monotonic()
    await block_udp(lab, "office")
    blocked_at = time.monotonic()
    await asyncio.sleep(BLOCKED_S)
    await let_udp_pass(lab, "office")
    return [Change(at, blocked_at)]


SITES: Final[dict[str, Story]] = {
    "nat": _rebound,
    "phone": _moved,
    "six": _without_ipv4,
    "tunnel": _cut,
    "train": _offline,
    "office": _blocked,
}
UNNOTICED: Final = ("nat", "phone")
"""Where a QUIC connection goes on by itself."""

# --- what came of it -----------------------------------------------------------------------------------------


def _checks(callers: dict[str, Caller], changes: dict[str, list[Change]]) -> list[Check]:
    everybody = list(callers.values())
    calls = counts.finished(everybody)
    complete = len(calls) == len(SITES) * len(MANNERS)
    resumed = sum(call.ending == "hung_up" and len(call.sessions) == 1 for call in calls)
    roundabout = [
        [carrier for carrier, _ in itertools.groupby(call.legs, lambda leg: leg.carrier)]
        for call in counts.finished([callers["office"]], lambda name: name.split()[-1] in OVER_QUIC)
    ]
    waits_s = sorted(
        wait_s
        for site, caller in callers.items()
        for change in changes[site]
        for wait_s in outages.waits_s(caller, change)
    )
    return [
        Check("calls_lost", _lost(everybody), 0, "calls"),
        Check("calls_resumed", resumed / (len(SITES) * len(MANNERS)), 1.0, "ratio"),
        Check("frames_missing", counts.missing(calls) if complete else None, 0, "frames"),
        Check("frames_altered", counts.altered(calls) if complete else None, 0, "calls"),
        Check("reconnects_unneeded", sum(_reconnects(callers)) if complete else None, 0, "connections"),
        Check("resume_p95_s", outages.p95(waits_s) if complete else None, MAX_RESUME_S, "s", "at_most"),
        Check(
            "over_websocket_and_back",
            sum(carriers == ["quic", "websocket", "quic"] for carriers in roundabout),
            len(OVER_QUIC),
            "calls",
        ),
    ]


def _narrate(stage: Stage, changes: dict[str, list[Change]]) -> None:
    for site, caller in stage.callers.items():
        for silence in caller.silences:
            over_at = max((c.over_at for c in changes[site] if c.began_at <= silence.at), default=silence.at)
            stage.timeline.event(
                f"{silence.name} hears again after {silence.at - silence.began_at:.2f} s,"
                f" {silence.at - over_at:.2f} s after its network works",
                at=silence.at,
            )
        for name, call in caller.finished.items():
            ways = ", ".join(f"{leg.carrier} {leg.path}" for leg in call.legs)
            stage.timeline.event(
                f"{name}: {call.frames_sent} said, {call.frames_received} heard, over {ways}"
            )


def _lost(callers: list[Caller]) -> int:
    """Unlike `counts.lost`: to connect again is what is asked of most of these."""
    failed = sum(len(caller.failed) for caller in callers)
    return failed + sum(call.ending != "hung_up" for call in counts.finished(callers))


def _reconnects(callers: dict[str, Caller]) -> Iterator[int]:
    """Of calls that could have gone on as they were."""
    for site in UNNOTICED:
        for manner in OVER_QUIC:
            call: CallSummary = callers[site].finished[f"{site} {manner}"]
            yield call.reconnects
