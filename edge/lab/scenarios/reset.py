"""Scenario `reset`: a node loses all it knows of its connections, and says so; somebody else only says so.

The worker of an edge is killed, again and again, while people talk. The one that comes in its place has never heard of
their connections. It sees by the connection IDs that these were its own, and answers with stateless resets: so nobody
waits for a timer. Their calls go on at once, where they were, with what each of them carries along.

At the other site a middlebox forges resets for every connection that it sees. It does not know the tokens, so nobody
takes notice.

These callers do not take silence for the end of a connection, as long as a worker may need to start on a machine that is
busy: it is the reset that tells them.

With the fault *lost-keys* the node comes back with other keys than those with which it made its connection IDs.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any, Final

from edge.config.key_file import read_ring, write_ring
from edge.keys import SECRET_BYTES, KeyRing
from edge.lab import strikes
from edge.lab.forger import Forger
from edge.lab.knock import answers_at
from edge.lab.nodes import KEYS, SERVICE_PORT, FleetOptions
from edge.lab.report import Check
from edge.lab.scenarios import counts, outages
from edge.lab.scenarios.outages import Change
from edge.lab.scenarios.scenario import Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.strikes import Part
from edge.lab.topologies import default_topology

LOST_KEYS: Final = "lost-keys"
FAULTS: Final = {LOST_KEYS: "connections_reset"}

STRUCK, ITS_SITE = "e1", "c1"
FORGED_ROUTER, FORGED_SITE = "t2", "c2"
BLOWS: Final = 3
RESET: Final = "stateless reset"
"""Why a connection ended, as its caller tells it."""
MIN_FORGED: Final = 500
"""Of calls that are answered some 17 times a second each."""
MAX_RESUME_S: Final = 1.0
BETWEEN_S: Final = 4.0
"""From when a node answers again to the next blow: calls go on, and say something that is confirmed."""
PATIENCE_BACK_S: Final = 15.0
PATIENCE_KEYS_S: Final = 10.0

SPEECH: Final = ("hello",)
"""3 s, which is said again whole to somebody who has heard none of it."""
MANNERS: Final = {"moved": True, "pinned": False}
"""Whether they move to the edge's own address."""


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    topology = default_topology()
    options = FleetOptions(policy=PATIENT)
    sites = (ITS_SITE, FORGED_SITE)
    async with staged(order, tell, topology, options, callers=sites) as stage:
        forger = Forger(SERVICE_PORT)
        for site in sites:
            for version in (4, 6):
                for name, migrate in MANNERS.items():
                    name = f"{site} IPv{version} {name}"
                    await stage.call(
                        site,
                        name,
                        version=version,
                        migrate=migrate,
                        carrier="quic",
                        microphone=SPEECH,
                        dead_after_s=PATIENCE_BACK_S,
                    )
        blows = []
        with forger.at(FORGED_ROUTER, FORGED_SITE):
            stage.timeline.event(f"somebody forges resets for everybody at {FORGED_SITE}", mark=True)
            await asyncio.sleep(BETWEEN_S)
            for _ in range(BLOWS):
                blows.append(await _blow(stage, loses_keys=order.fault == LOST_KEYS))
                await asyncio.sleep(BETWEEN_S)
        stage.timeline.event("nobody forges any more", mark=True)
        await stage.hang_up()
        return _checks(stage, blows, forger.forged)


async def _blow(stage: Stage, *, loses_keys: bool) -> Change:
    if loses_keys:
        await _lose_keys(stage)
    at = strikes.strike(stage.lab, STRUCK, Part.WORKER)
    stage.timeline.event(f"the worker of {STRUCK} is killed", at=at, mark=True)
    host = str(stage.lab.addresses(STRUCK).v4)
    back_at = await answers_at(ITS_SITE, host, SERVICE_PORT, PATIENCE_BACK_S)
    stage.timeline.event(f"{STRUCK} answers again", at=back_at, mark=True)
    return Change(at, back_at)


async def _lose_keys(stage: Stage) -> None:
    """All that was made with those that the fleet had is worth nothing any more."""
    file = stage.lab.run_dir / KEYS
    file.unlink()
    write_ring(file, KeyRing.new(token_bytes(SECRET_BYTES), datetime.now(UTC)))
    version = read_ring(file).version
    await stage.until(STRUCK, lambda status: status["keys"]["in_use"] == [version], PATIENCE_KEYS_S)


def _checks(stage: Stage, blows: list[Change], forged: int) -> list[Check]:
    struck, other = stage.callers[ITS_SITE], stage.callers[FORGED_SITE]
    hit, spared = counts.finished([struck]), counts.finished([other])
    placed = 2 * len(MANNERS)
    complete = len(hit) == len(spared) == placed
    failed = sum(len(caller.failed) for caller in (struck, other))
    waits_s = sorted(wait_s for blow in blows for wait_s in outages.waits_s(struck, blow))
    resets = sum(leg.ended == RESET for call in hit for leg in call.legs)
    everybody = [*hit, *spared]
    stage.timeline.event(f"heard again after {', '.join(f'{wait_s:.2f}' for wait_s in waits_s)} s")
    for name, call in struck.finished.items():
        ways = ", ".join(f"{leg.carrier} {leg.path}: {leg.ended or 'hung up'}" for leg in call.legs)
        stage.timeline.event(f"{name}: {call.utterances} utterances, over {ways}")
    return [
        Check("calls_lost", failed + sum(call.ending != "hung_up" for call in everybody), 0, "calls"),
        Check("connections_reset", resets, len(blows) * placed, "connections"),
        Check("calls_resumed", sum(call.resumed for call in hit), len(blows) * placed, "times"),
        Check("resume_p95_s", outages.p95(waits_s) if complete else None, MAX_RESUME_S, "s", "at_most"),
        Check("said_twice", counts.said_twice(everybody) if complete else None, 0, "utterances"),
        Check("frames_missing", counts.missing_at_last(everybody) if complete else None, 0, "frames"),
        Check("frames_altered", counts.altered_at_last(everybody) if complete else None, 0, "ledgers"),
        Check("resets_forged", forged, MIN_FORGED, "packets", "at_least"),
        Check("connections_forged_away", sum(call.reconnects for call in spared), 0, "connections"),
    ]
