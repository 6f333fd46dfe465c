"""Clients that others wrote, while the route to their node goes away; run inside a lab by `test_withdrawal`.

c1 -- t1 -- e1        their node, until the route to it is withdrawn: then t1 sends to e2 what is for the service
      t2 -- e2
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inside_lab import part
from prometheus_client.parser import text_string_to_metric_families

from edge.errors import EdgeError
from edge.lab.nodes import SERVICE_NAME, SERVICE_PORT, FleetOptions
from edge.lab.process import Process
from edge.lab.scenarios.scenario import Order
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import default_topology

SITE, ROUTER, NODE, OTHER = "c1", "t1", "e1", "e2"
TESTS = Path(__file__).resolve().parents[1]
ASKS_AFTER_S = 20
"""After its handshake an ngtcp2 client is silent for so long: the route is gone by then, also on a busy machine."""
TALK_S = 6.0
PATIENCE_S = 30.0
POLL_S = 0.05


def clients(argument: Any, tell: Callable[[Any], None]) -> Any:
    """By client and IP version what became of it, where it stood before and after, and what was passed on."""
    return asyncio.run(_clients(argument, tell))


async def _clients(argument: Any, tell: Callable[[Any], None]) -> Any:
    topology = part(default_topology(), SITE, ROUTER, "t2", NODE, OTHER, "rr1", "rr2")
    async with staged(Order(out=argument["log_dir"]), tell, topology, FleetOptions(policy=PATIENT)) as stage:
        began = time.monotonic()
        calls, requests = {}, {}
        for version in (4, 6):
            for how in ("follow", "stay"):
                calls[f"{how} IPv{version}"] = await _call(stage, version, how)
                requests[f"{how} IPv{version}"] = await _request(stage, version, how)
        for call in calls.values():
            await _until(lambda call=call: len(_lines(call)) == 1, f"{call} stands")  # type: ignore[misc]
        before = await _connections(stage, lambda now: now == {"on_anycast": 4, "migrated": 4})
        answered_before = sum(map(_answered, requests.values()))
        at = await stage.order(NODE, "/withdraw", reason="to see who minds", force=True)
        gone = await stage.gone(ROUTER, NODE, at, PATIENCE_S)
        early = time.monotonic() - began < ASKS_AFTER_S
        await asyncio.sleep(TALK_S)
        for name, request in requests.items():
            await _until(lambda request=request: _answered(request), f"{name}: an answer")  # type: ignore[misc]
        after = await _connections(stage, lambda now: now == before)
        for call in calls.values():
            call.kill(signal.SIGINT)
        ended = [await asyncio.wait_for(call.wait(), PATIENCE_S) for call in calls.values()]
        strays = await _strays(stage)
        for request in requests.values():
            request.kill()
        return {
            "gone": gone is not None,
            "answered_before": answered_before if early else 0,
            "before": before,
            "after": after,
            "ended": ended,
            "calls": {name: _lines(call) for name, call in calls.items()},
            "sent_to": {name: _sent_to(request) for name, request in requests.items()},
            "strays": strays,
        }


async def _call(stage: Stage, version: int, how: str) -> Process:
    """One by aioquic, that goes on."""
    host = getattr(stage.lab.topology, f"service_v{version}").ip
    where = [str(host), str(SERVICE_PORT), SERVICE_NAME, str(stage.fleet.certificate), how]
    return await stage.lab.spawn(
        SITE,
        [sys.executable, "-P", "-m", "interop.reference_quic", *where],
        name=f"call-{how}-{version}",
        finite=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )


async def _request(stage: Stage, version: int, how: str) -> Process:
    """One by ngtcp2, that asks long after its handshake."""
    host = getattr(stage.lab.topology, f"service_v{version}").ip
    options = ["--no-quic-dump", f"--delay-stream={ASKS_AFTER_S}s", "--timeout=90s"]
    options += ["--no-preferred-addr"] if how == "stay" else []
    url = f"https://{SERVICE_NAME}:{SERVICE_PORT}/livez"
    return await stage.lab.spawn(
        SITE,
        ["gtlsclient", *options, str(host), str(SERVICE_PORT), url],
        name=f"request-{how}-{version}",
        finite=True,
    )


def _lines(call: Process) -> list[Any]:
    """What a call has said so far; anything but JSON in its log is what went wrong."""
    said = call.log.read_text()
    try:
        return [json.loads(line) for line in said.splitlines()]
    except ValueError:
        raise EdgeError(f"{call}: {said}") from None


def _answered(request: Process) -> bool:
    return ":status: 200]" in request.log.read_text(errors="replace")


def _sent_to(request: Process) -> str:
    """Where its last packet went."""
    found = re.findall(
        r"^Sent packet: local=\S+ remote=\[([^\]]+)\]", request.log.read_text(errors="replace"), re.MULTILINE
    )
    return str(found[-1])


async def _connections(stage: Stage, holds: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """How many the node has on the service address and how many that came from there, once that is as it should be."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status = await stage.fleet.status(NODE) or {"connections": {}}
        found = {name: status["connections"].get(name, -1) for name in ("on_anycast", "migrated")}
        if holds(found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(POLL_S)


async def _strays(stage: Stage) -> float:
    """How many packets of them the node has got from the other."""
    text = (await stage.ask(NODE, "GET", "/metrics")).checked()
    assert isinstance(text, str)
    wanted = {"kind": "stray", "direction": "received"}
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "edge_forwarded_packets_total" and wanted.items() <= sample.labels.items()
    )


async def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE_S:g} s: {what}")
        await asyncio.sleep(POLL_S)
