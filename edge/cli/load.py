"""edgectl load"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import click
import msgspec

from edge.cli.caller_token import token_option
from edge.cli.moments import Number
from edge.cli.signals import until_signal
from edge.cli.target import target_options
from edge.client.load import Load, LoadReport, Profile
from edge.client.summary import API_VERSION
from edge.runtime.dialer import Target


@click.command(epilog="For example: edgectl load 192.0.2.1 --server-name voice.example --calls 100 --ramp 10")
@target_options
@click.option("--calls", type=click.IntRange(1), required=True, help="How many callers.")
@click.option("--ramp", "ramp_s", type=Number(0), default=0, help="Seconds over which they arrive.")
@click.option(
    "--hold",
    "hold_s",
    type=Number(0),
    default=60,
    show_default=True,
    help="Seconds they then stay.",
)
@click.option(
    "--profile", type=click.Choice([*map(str, Profile)]), default=str(Profile.BATCH), show_default=True
)
@token_option()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def load(
    target: Target,
    calls: int,
    ramp_s: float,
    hold_s: float,
    profile: str,
    token: str | None,
    output: str,
) -> int:
    """Place many calls at once, to see what an edge does when there are too many.

    Prints one line a second, with -o json one JSON document a line, and the totals last. A caller who is
    refused, not answered or cut off dials again after a second. "idle" callers only stay on the line, "batch"
    ones say 0.1 s of speech a second, "speech" ones speak in real time. The exit code is 0 if at least one call
    stood.
    """

    def generator() -> Load:
        return Load(target, calls=calls, ramp_s=ramp_s, hold_s=hold_s, profile=Profile(profile), token=token)

    totals = asyncio.run(_run(generator, _say_json if output == "json" else _say_line))
    return 0 if totals.established else 1


async def _run(make: Callable[[], Load], say: Callable[[str, LoadReport], None]) -> LoadReport:
    generator = make()
    await until_signal(generator.run(lambda report: say("LoadReport", report)))
    totals = generator.report()
    say("LoadTotals", totals)
    return totals


def _say_json(kind: str, report: LoadReport) -> None:
    document: dict[str, Any] = {"apiVersion": API_VERSION, "kind": kind, **msgspec.structs.asdict(report)}
    click.echo(msgspec.json.encode(document))


def _say_line(_kind: str, report: LoadReport) -> None:
    click.echo(
        f"{report.elapsed_s:6.1f} s  up {_by_node(report.up)}  established {_by_node(report.established)}"
        f"  refused {report.refused}  failed {report.failed}  lost {report.lost}  utterances {report.utterances}"
    )


def _by_node(counts: dict[str, int]) -> str:
    nodes = "".join(f" {node}={count}" for node, count in sorted(counts.items()))
    return f"{sum(counts.values())}{nodes and f' ({nodes.strip()})'}"
