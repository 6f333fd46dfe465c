"""What runs inside the lab, one part of the benchmark after the other. Every result is made of JSON."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from voice import barge_in, first_audio, speech
from voice.link import Rig, caller_names, machine_load, rig

from edge.errors import EdgeError
from edge.voice import Preset

RTT_MS = 60.0
"""Of parts (b) and (c)."""
OURS: dict[str, Preset | int] = {
    "edge live (50 ms)": "live",
    "edge 200 ms": 200,
    "edge chat (500 ms)": "chat",
    "edge accurate (5000 ms)": "accurate",
}
SYSTEMS = (*OURS, *speech.PEERS)
CONNECT_WITHIN_S = 60.0
LOOK_S = 0.05
EARLY_S = 0.5
"""So much before the first frame the links begin to lose, and before callers hang up they stop."""
DRAIN_S = 6.0
"""Longer than any deadline: by then what is not there is lost."""


class Order(msgspec.Struct, frozen=True):
    """``folder`` has the recordings, which last ``speech_s``, and gets logs; ``callers`` of each system speak at once."""

    folder: str
    seed: int
    rtts_ms: list[float]
    repetitions: int
    browser: bool
    losses: list[float]
    callers: int
    speech_s: float
    interrupt_after_s: float


class Cell(msgspec.Struct, frozen=True):
    """One caller of a system at one loss. ``lost_up`` of ``packets_up`` packets were lost on the caller's link on their way up."""

    system: str
    loss: float
    label: str
    begin_at: float
    packets_up: int
    lost_up: int
    late_ms: float
    link_late_ms: float
    load: float
    error: str


def measure(argument: Any, tell: Callable[[Any], None]) -> Any:
    """All three parts, see `Order`."""
    return asyncio.run(_measure(msgspec.convert(argument, Order), tell))


async def _measure(order: Order, tell: Callable[[Any], None]) -> Any:
    names = caller_names(order.callers * len(SYSTEMS))
    async with rig(Path(order.folder), len(names), order.seed) as bench:
        attempts = [await _first_audio(bench, order, rtt_ms, tell) for rtt_ms in order.rtts_ms]
        for name in names:
            await bench.shape(name, rtt_ms=RTT_MS)
        tell("barge-in")
        interruptions = await bench.run(
            "c1",
            "barge_in",
            barge_in.Order(bench.places, _recordings(order), order.interrupt_after_s),
            list[barge_in.Interruption],
            order.interrupt_after_s + 30,
        )
        cells = [cell for loss in order.losses for cell in await _speech(bench, order, loss, tell)]
        heard = bench.heard()
    found = {"attempts": attempts, "interruptions": interruptions, "cells": cells, "heard": heard}
    return msgspec.to_builtins(found)


async def _first_audio(
    bench: Rig, order: Order, rtt_ms: float, tell: Callable[[Any], None]
) -> tuple[float, list[first_audio.Attempt], float]:
    tell(f"first audio at {rtt_ms:g} ms")
    await bench.shape("c1", rtt_ms=rtt_ms)
    asked = first_audio.Order(bench.places, _recordings(order), order.repetitions, rtt_ms)
    attempts = await bench.run("c1", "first_audio", asked, list[first_audio.Attempt], 300.0)
    if order.browser:
        attempts += await bench.run("c1", "browser", asked, list[first_audio.Attempt], 300.0)
    return rtt_ms, attempts, machine_load()


async def _speech(bench: Rig, order: Order, loss: float, tell: Callable[[Any], None]) -> list[Cell]:
    """All callers of all systems at once, each on a link of its own."""
    tell(f"speech at {loss:.0%} loss")
    meeting = Path(order.folder) / f"meeting-{loss:g}"
    meeting.mkdir()
    systems = SYSTEMS * order.callers
    callers = caller_names(len(systems))
    labels = [f"{caller}-{loss:g}" for caller in callers]

    async def speak(caller: str, system: str, label: str) -> speech.Said:
        deadline = OURS.get(system, "chat")
        asked = speech.Order(bench.places, _recordings(order), system, label, deadline, str(meeting), DRAIN_S)
        try:
            return await bench.run(caller, "speech", asked, speech.Said, order.speech_s + 120)
        except EdgeError as error:
            return speech.Said(0.0, str(error))

    speaking = asyncio.gather(*map(speak, callers, systems, labels))
    await _all_there(meeting, len(callers), speaking)
    before = [await bench.upward(caller) for caller in callers]
    for caller in callers:
        await bench.shape(caller, rtt_ms=RTT_MS, loss=loss)
    begin_at = time.monotonic() + EARLY_S
    speech.begin(meeting, begin_at)
    await asyncio.sleep(begin_at + order.speech_s + DRAIN_S - EARLY_S - time.monotonic())
    after = [await bench.upward(caller) for caller in callers]
    for caller in callers:
        await bench.shape(caller, rtt_ms=RTT_MS)
    said = await speaking
    await asyncio.sleep(EARLY_S)  # for the servers to hear of the end
    return [
        Cell(
            system=system,
            loss=loss,
            label=labels[number],
            begin_at=begin_at,
            packets_up=after[number].packets - before[number].packets,
            lost_up=after[number].dropped - before[number].dropped,
            late_ms=said[number].late_ms,
            link_late_ms=after[number].late_max_ms,
            load=machine_load(),
            error=said[number].error,
        )
        for number, system in enumerate(systems)
    ]


async def _all_there(meeting: Path, callers: int, speaking: asyncio.Future[Any]) -> None:
    """Wait until every caller is connected, or cannot be."""
    until = time.monotonic() + CONNECT_WITHIN_S
    while speech.everybody(meeting) < callers:
        if time.monotonic() > until or speaking.done():
            return
        await asyncio.sleep(LOOK_S)


def _recordings(order: Order) -> str:
    return str(Path(order.folder) / "recordings")
