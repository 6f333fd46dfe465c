"""One endpoint for a node of two real workers: totals add up, and a worker that dies takes none of them back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from node_rig import configured, running
from prometheus_client.parser import text_string_to_metric_families
from waiting import eventually

from edge.client import audio, connect, speech
from edge.config import NodeConfig
from edge.node import Node

TABLES = """
[voice]
backend = "story"
[shutdown]
grace_s = 0.0
[workers]
count = 2
"""
PACKETS = audio.read_speech(speech.recording("hello"))[:25]
MOST_CALLS = 16
"""The kernel deals callers out by a hash: all of these to one worker once in 30 000 times."""

GROWS_ONLY = ("_total", "_bucket", "_count", "_sum")
"""Samples that are counters by their name, those of a histogram among them."""


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    return configured(tmp_path, TABLES)


def series(node: Node) -> dict[tuple[str, str], float]:
    """By name and labels."""
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(node.render_metrics().decode())
        for sample in family.samples
    }


def total(node: Node, name: str) -> float:
    return sum(value for (found, _), value in series(node).items() if found == name)


def of_callers(node: Node) -> float:
    """Handshakes; workers tell of theirs a moment later than the node of its own."""
    completed = series(node)["edge_handshakes_total", "completed"]
    return completed - total(node, "edge_self_probe_handshakes_total")


def of_workers(node: Node, counter: str) -> list[int]:
    """What each of them has told."""
    reports = [worker.report for worker in node._supervisor.workers]
    return [report.counters.get(counter, 0) for report in reports if report is not None]


def call_to(config: NodeConfig) -> Any:
    return connect(
        "127.0.0.1",
        config.service.port,
        server_name="voice.example",
        ca=config.tls.certificate,
        carrier="quic",
        early_data=False,
    )


async def call_both_workers(stack: contextlib.AsyncExitStack, config: NodeConfig, node: Node) -> list[Any]:
    """Calls until each worker has one."""
    calls: list[Any] = []
    while len(calls) < MOST_CALLS:
        calls.append(await stack.enter_async_context(call_to(config)))
        await eventually(lambda: node.status()["calls"] == len(calls))
        if all(one["calls"] for one in node.status()["workers"]):
            return calls
    raise AssertionError(f"one worker has all of {MOST_CALLS} calls")


async def interrupted(calls: list[Any]) -> None:
    """The story begins by itself, and each caller breaks in."""
    for call in calls:
        await call.played(0.1)
        call.interrupt()


def test_two_workers_are_one_node(config: NodeConfig) -> None:
    async def main() -> None:
        async with running(config) as node, contextlib.AsyncExitStack() as stack:
            await eventually(lambda: node.ready().ok)
            calls = await call_both_workers(stack, config, node)
            await eventually(lambda: total(node, "edge_calls") == len(calls))
            await eventually(lambda: total(node, "edge_connections") >= len(calls))  # self-probes come and go
            await asyncio.gather(*(call.say(PACKETS) for call in calls))
            await eventually(lambda: total(node, "edge_frames_heard_total") == len(calls) * len(PACKETS))
            # Those of the node with itself can be told from those of callers.
            await eventually(lambda: total(node, "edge_self_probe_handshakes_total") > 0)
            await eventually(lambda: of_callers(node) >= len(calls))
            # Each has said a part of it, and the parts are the whole.
            parts = of_workers(node, "frames_heard")
            assert min(parts) >= len(PACKETS)
            assert sum(parts) == len(calls) * len(PACKETS)
            # Each interruption is timed by the worker that has the call.
            await interrupted(calls)
            await eventually(lambda: total(node, "edge_cancel_seconds_count") == len(calls))
            shown = series(node)
            assert shown["edge_cancel_seconds_bucket", "+Inf"] == len(calls)
            buckets = [value for (name, _), value in shown.items() if name == "edge_cancel_seconds_bucket"]
            assert buckets == sorted(buckets)
            assert shown["edge_barge_ins_total", ""] == sum(of_workers(node, "barge_ins")) == len(calls)
            assert shown["edge_workers", "serving"] == 2
            assert shown["edge_keys_version", ""] == 1  # the same in both, not twice as much

    asyncio.run(main())


def test_a_worker_that_dies_takes_nothing_back(config: NodeConfig) -> None:
    async def main() -> None:
        async with running(config) as node, contextlib.AsyncExitStack() as stack:
            await eventually(lambda: node.ready().ok)
            calls = await call_both_workers(stack, config, node)
            await asyncio.gather(*(call.say(PACKETS) for call in calls))
            await interrupted(calls)
            await eventually(lambda: total(node, "edge_cancel_seconds_count") == len(calls))
            before = series(node)
            victim = node._supervisor.workers[0]
            assert victim.process is not None
            dead = victim.process.pid
            os.kill(dead, signal.SIGKILL)

            def falls() -> bool:
                """Whether the worker is another one, and both report; meanwhile every counter is looked at."""
                nonlocal before
                now = series(node)
                fell = {
                    key: (value, now.get(key))
                    for key, value in before.items()
                    if key[0].endswith(GROWS_ONLY) and now.get(key, -1.0) < value
                }
                assert fell == {}
                before = now
                process = victim.process
                return process is not None and process.pid != dead and victim.is_reporting

            await eventually(falls)
            await eventually(lambda: total(node, "edge_worker_restarts_total") == 1)
            # Its calls come back, to whomever the kernel gives them; they are counted once.
            await eventually(lambda: total(node, "edge_calls") == len(calls))
            heard = total(node, "edge_frames_heard_total")
            await asyncio.gather(*(call.say(PACKETS) for call in calls))
            await eventually(
                lambda: total(node, "edge_frames_heard_total") >= heard + len(calls) * len(PACKETS)
            )

    asyncio.run(main())
