"""edgectl doctor"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge.cli.layout import printable
from edge.cli.output import output_option, print_json, understood
from edge.cli.where import find
from edge.doctor import Finding, Patient, Verdict, examine, worst
from edge.errors import EdgeError, UnreachableError, UsageError
from edge.runtime.documents import BgpPeers, Peer
from edge.statuspage.facts import Status

CONFIG = Path("/etc/edge/node.toml")


def patient_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``[SOCKET]`` and ``--config``; ``command`` gets the node as ``patient``."""

    @click.argument("socket", required=False)
    @click.option(
        "--config",
        type=click.Path(path_type=Path, readable=False),
        help=f"The node's configuration.  [default: what the running node was started with, or {CONFIG}]",
    )
    @functools.wraps(command)
    def with_patient(socket: str | None, config: Path | None, **options: Any) -> Any:
        if socket is not None and "/" not in socket:
            raise UsageError(
                f"{socket}: this looks at the machine it runs on, so run it on that node; here, name the path of a socket"
            )
        return command(patient=received(socket, config), **options)

    return with_patient


@click.command(epilog="For example: edgectl doctor --config /etc/edge/node.toml")
@patient_options
@output_option
def doctor(patient: Patient, as_json: bool) -> int:
    """Look for what is wrong with this machine as a node, and say what to do about it.

    The kernel, the disk, the addresses and ports, the certificate, keys and who may read them, the ways out, the BGP sessions, and
    what the node says of itself, if it runs. Nothing is changed. Some files are for root to look at. It looks at the
    machine that it runs on: for another node, run it there. SOCKET is the node's admin socket. The exit code is 1 if
    something fails, not if it only warns.
    """
    findings = asyncio.run(examine(patient))
    verdict = worst(findings)
    if as_json:
        print_json(
            {
                "apiVersion": "edge/v1",
                "kind": "Diagnosis",
                "node": str(patient.config.node.name),
                "verdict": verdict,
                "findings": findings,
            }
        )
    else:
        click.echo(told(findings))
    return 1 if verdict is Verdict.FAIL else 0


def received(socket: str | None, config: Path | None) -> Patient:
    """What is known of the node before it is looked at. Raises if there is no configuration to be found."""
    from edge.config.load import parsed, read_text

    def ask(target: str) -> Any:
        return find(socket).ask("GET", target)

    status: Status | None = None
    peers: tuple[Peer, ...] = ()
    problem = ""
    try:
        known = understood(ask("/status"), Status), understood(ask("/bgp/peers"), BgpPeers)
        status, peers = known[0], known[1].peers
    except EdgeError as error:
        problem = str(error)
    named = status.config.file if status and status.config else ""
    path = config or Path(named or CONFIG)
    if not named and config is None and not os.path.lexists(path):
        # Why the node did not say where it is matters more than that it is not where it usually is.
        raise UnreachableError(
            f"{problem}; to look without it, say where its configuration is: --config FILE"
        )
    return Patient(parsed(read_text(path, remedy="name it with --config"), path), status, peers, problem, ask)


def told(findings: tuple[Finding, ...]) -> str:
    """A line for each, and below it what to do."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict:<4}  {finding.check:<{width}}  {printable(finding.found)}")
        if finding.remedy:
            lines.append(f"{'':<4}  {'':<{width}}  to do: {printable(finding.remedy)}")
    counts = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
    return "\n".join([*lines, "", ", ".join(f"{count} {verdict}" for verdict, count in counts.items())])
