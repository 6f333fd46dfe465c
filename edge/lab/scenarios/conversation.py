"""Scenario `conversation`: a caller talks with an edge over a poor network, and interrupts it.

A caller at the first site, behind a link that loses packets, asks a question and is answered. It asks for a story, and
in the middle of that an operator takes the edge's routes away: newcomers go elsewhere, the call stays where it is, on
the edge's own address. The caller interrupts the story at a set time, and asks what the last words were. These are what
it has heard, and not what the edge had made up by then.

The caller is ``edgectl call``; its own summary is what is judged, beside the kernel of the edge's router.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.backend.demo import sentences
from edge.backend.demo.installed import require_installed
from edge.backend.demo.story import TEXT
from edge.backend.demo.voice import Voice
from edge.client.speech import recording
from edge.client.summary import CallSummary
from edge.errors import DeadlineError
from edge.lab.faults import NONE, Fault
from edge.lab.nodes import SERVICE_NAME, SERVICE_PORT, FleetOptions
from edge.lab.process import Process
from edge.lab.report import Check
from edge.lab.scenarios.conversation_verdict import INTERRUPT_AT_S, Script, Withdrawal, checks, in_words
from edge.lab.scenarios.scenario import AUDIO, Order, Tell, played
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import default_topology
from edge.voice import MAX_LEAD_MS

SITE, ITS_ROUTER, ITS_EDGE = "c1", "t1", "e1"
FAULTS: Final[Mapping[str, Fault]] = {
    "no-preferred-address": Fault("migrated_ratio", preferred_address=False),
    "far-ahead": Fault("wasted_ms", lead_ms=MAX_LEAD_MS),
}

SAID: Final = ("capital", "tell-story", "last-words")
"""Recordings that are shipped."""

CLIENT_DELAY_MS = 20.0
"""One way; with the edge's own link a round trip takes 50 ms."""
LOSS = 0.02
"""Of the packets on the caller's link, each way."""
WITHDRAW_AT_FRAMES = 500
"""Said by the edge's backend: more than any answer has, so it is telling the story."""
WITHDRAW_BEHIND_S = 3.0

PATIENCE_SPEECH_S = 30.0
PATIENCE_STORY_S = 45.0
PATIENCE_FIB_S = 3.0
PATIENCE_CALL_S = 90.0
POLL_S = 0.1


def play(argument: Any, tell: Tell) -> Any:
    """See `played`."""
    return played(story, argument, tell)


async def story(order: Order, tell: Tell) -> list[Check]:
    require_installed()
    topology = default_topology(client_delay_ms=CLIENT_DELAY_MS)
    options = FleetOptions(fault=FAULTS[order.fault] if order.fault else NONE, policy=PATIENT)
    async with staged(order, tell, topology, options) as stage:
        await stage.lab.impair(f"{ITS_ROUTER}-{SITE}", loss=LOSS)
        stage.timeline.event(f"the link of {SITE} loses {LOSS:.0%} of its packets, each way")
        process = await _call(stage, Path(order.out, AUDIO))
        narrating = asyncio.create_task(_narrate(stage, process))
        try:
            async with asyncio.timeout(PATIENCE_CALL_S):
                withdrawal = await _withdraw_in_story(stage)
                await process.wait()
                await narrating
        except TimeoutError:
            raise DeadlineError(f"{process} has not ended within {PATIENCE_CALL_S:g} s") from None
        finally:
            narrating.cancel()
        call = _summary(process)
        if call is not None:
            stage.timeline.event(in_words(call), mark=True)
        return checks(call, await _script(), withdrawal, routes=len(stage.lab.anycast_prefixes))


async def _call(stage: Stage, audio: Path) -> Process:
    argv = [
        *(sys.executable, "-P", "-m", "edge.cli", "call"),
        f"{stage.lab.topology.service_v4.ip}:{SERVICE_PORT}",
        *("--ca", str(stage.fleet.certificate), "--server-name", SERVICE_NAME, "--backend", "demo"),
        *(option for name in SAID for option in ("--say", name)),
        # The answers in turn: the first is over long before.
        *("--interrupt-at", f"{PATIENCE_SPEECH_S:g}", "--interrupt-at", f"{INTERRUPT_AT_S:g}"),
        *("--timeout", f"{PATIENCE_SPEECH_S:g}"),
        *("--save", str(audio), "-o", "json"),
    ]
    stage.timeline.event(f"{SITE} calls", mark=True)
    return await stage.lab.spawn(SITE, argv, name="call", finite=True)


async def _narrate(stage: Stage, process: Process) -> None:
    """What the caller's program tells, when it tells it, until it sums up or ends."""
    told = 0
    ended = False
    while not ended:
        ended = process.returncode is not None
        lines = process.log.read_text(errors="replace").split("\n")[:-1]
        for line in lines[told:]:
            if line == "{":
                return
            stage.timeline.event(f"{SITE}: {line}")
        told = len(lines)
        await asyncio.sleep(POLL_S)


async def _withdraw_in_story(stage: Stage) -> Withdrawal:
    """By order of an operator, while the edge tells its story; nothing if it never comes to that."""
    try:
        async with asyncio.timeout(PATIENCE_STORY_S):
            while await _counted(stage, "said") < WITHDRAW_AT_FRAMES:  # noqa: ASYNC110 - nobody would tell
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return Withdrawal()
    await asyncio.sleep(WITHDRAW_BEHIND_S)
    at = await stage.order(ITS_EDGE, "/withdraw", force=True, reason="to see who minds", who="operator")
    gone_s = await stage.gone(ITS_ROUTER, ITS_EDGE, at, PATIENCE_FIB_S)
    if gone_s is None:
        return Withdrawal()
    stage.timeline.event(f"{ITS_ROUTER} sends newcomers elsewhere", at=at + gone_s, mark=True)
    return Withdrawal(len(stage.lab.anycast_prefixes), await _counted(stage, "heard"))


async def _counted(stage: Stage, ledger: str) -> int:
    """Frames that the edge's backends have heard, or said."""
    calls = (await stage.ask(ITS_EDGE, "GET", "/calls")).checked()
    assert isinstance(calls, list)
    return sum(call[ledger]["frames"] for call in calls)


def _summary(process: Process) -> CallSummary | None:
    """What the caller's program says in the end; None if it does not come to that."""
    text = process.log.read_text(errors="replace")
    begins, ends = text.find("\n{\n"), text.rfind("\n}\n")
    if not 0 <= begins < ends:
        return None
    return msgspec.json.decode(text[begins : ends + 2], type=CallSummary)


async def _script() -> Script:
    """When which of the story's words is over is found out with another synthesis of it."""
    voice = Voice()
    story = [
        (await voice.speak(text, keep=False)).sentence for text in sentences.split(" ".join(TEXT.split()))
    ]
    return Script([recording(name).with_suffix(".txt").read_text() for name in SAID], story)
