"""edgectl node"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from edge.cli.layout import printable
from edge.cli.looking import ask_in_turn
from edge.cli.moments import Span
from edge.cli.orders import OVERRIDE, who
from edge.cli.output import output_option, print_json, understood
from edge.cli.several import finish, show
from edge.cli.where import Choice, Place, named_nodes_argument
from edge.errors import UsageError

POLL_S = 0.5
PATIENCE_S = 45.0
"""For a new generation to come up, or to be given up by the node."""


@click.group()
def node() -> None:
    """Run this machine as an edge."""


@node.command(epilog="For example: edgectl node run --config /etc/edge/node.toml")
@click.option(
    "--config",
    required=True,
    type=click.Path(path_type=Path, readable=False),  # whoever reads it says more about why not
    help="The node's configuration, TOML.",
)
def run(config: Path) -> None:
    """Serve, announce, and withdraw when it is time; SIGTERM leaves in order, SIGHUP reloads."""
    from edge.config import ConfigFile
    from edge.node import run as run_node
    from edge.runtime.service_manager import taken_from

    # A daemon's events are its output: one line each, whatever the verbosity of the command line.
    logging.getLogger().setLevel(min(logging.INFO, logging.getLogger().level))
    file = ConfigFile(config)
    asyncio.run(run_node(file.parse(), file=file, manager=taken_from()))


@node.command(epilog="For example: edgectl node check --config node.toml")
@click.option(
    "--config",
    type=click.Path(path_type=Path, readable=False),
    help="The configuration to check, TOML.",
)
@click.option(
    "--members",
    type=click.Path(path_type=Path, readable=False),
    help="Who is in the fleet ([fleet] file), to check by itself.",
)
@click.option(
    "--tls",
    type=click.Path(path_type=Path, readable=False),
    help="A directory with chain.pem and key.pem, a certificate and its key, to check by themselves.",
)
@output_option
def check(config: Path | None, members: Path | None, tls: Path | None, as_json: bool) -> None:
    """Say whether a node could run with this configuration; it need not be in its place yet.

    What it says is checked, and whether this installation has the backends that it names. The files that it names are
    not looked at: for those there is `edgectl doctor`, on a node.
    """
    from edge.config import ConfigFile, check_backends, read_credentials, read_members

    if [config, members, tls].count(None) != 2:
        raise UsageError("give one of --config, --members and --tls")
    if tls is not None:
        ends = read_credentials(tls / "chain.pem", tls / "key.pem", datetime.now(UTC)).expires_at
        if as_json:
            print_json(
                {
                    "apiVersion": "edge/v1",
                    "kind": "TlsCheck",
                    "directory": str(tls),
                    "expires_at": ends.timestamp(),
                }
            )
        else:
            click.echo(printable(f"{tls}: good until {ends:%Y-%m-%d %H:%M} UTC"))
        return
    if members is not None:
        names = [str(one.name) for one in read_members(members).nodes]
        if as_json:
            print_json(
                {"apiVersion": "edge/v1", "kind": "MembersCheck", "file": str(members), "nodes": names}
            )
        else:
            click.echo(printable(f"{members}: good, {len(names)} nodes: {', '.join(names)}"))
        return
    assert config is not None
    file = ConfigFile(config)
    parsed = file.parse()
    check_backends(parsed)
    found = {
        "apiVersion": "edge/v1",
        "kind": "ConfigCheck",
        "file": str(file.path),
        "hash": file.hash,
        "node": str(parsed.node.name),
    }
    if as_json:
        print_json(found)
    else:
        click.echo(printable(f"{file.path}: good, node {parsed.node.name}, hash {file.hash}"))


class Generation(msgspec.Struct, frozen=True):
    """What is told of a generation of workers."""

    generation: int
    standing: str
    calls: int


class Reloaded(msgspec.Struct, frozen=True):
    """What is told of the status that a node answers with."""

    node: str
    generations: tuple[Generation, ...]


@node.command(epilog="For example: edgectl node reload ams-1 --deadline 30m --wait")
@named_nodes_argument
@click.option(
    "--deadline",
    "deadline_s",
    type=Span(),
    help="After so long (90s, 30m, 2h) have the calls that the old workers still have go on with the new ones."
    "  [default: they end by themselves]",
)
@click.option("--wait", is_flag=True, help="Return when the old workers have left.")
@OVERRIDE
@output_option
def reload(choice: Choice, deadline_s: float | None, wait: bool, force: bool, as_json: bool) -> None:
    """Replace workers by new ones, while calls go on; of several nodes one after the other.

    New workers are started with the code, the certificate and the token keys that are there now. Once they serve, new
    calls go to them; each old worker keeps the calls it has and leaves when the last has ended. If the new ones do not
    come up, the old ones go on, and the error says why. Refused (exit 6) while workers from the time before are leaving.

    The rest of the configuration, and the code of the supervisor, are what they were when the node was started. With
    --wait the next node's turn comes when the old workers of the one before have left. Without NODE and --site it is this
    machine's.
    """
    order = {"deadline_s": deadline_s, "who": who(), "force": force}

    async def reloaded(place: Place) -> Any:
        status = await place.answer("POST", "/reload", order, timeout_s=PATIENCE_S)
        while wait and len(understood(status, Reloaded).generations) > 1:
            await asyncio.sleep(POLL_S)
            status = await place.answer("GET", "/status")
        return status if as_json else told(status)

    def many(lines: Mapping[str, str]) -> None:
        click.echo("\n".join(lines.values()))

    outcomes = ask_in_turn(choice, reloaded)
    show(choice, outcomes, kind="NodeStatus", as_json=as_json, one=click.echo, many=many)
    finish(choice, outcomes)


def told(status: Any) -> str:
    """Who serves, and who is leaving."""
    known = understood(status, Reloaded)
    words = [
        f"generation {one.generation} {'serves' if one.standing == 'serving' else 'leaves'}, {one.calls} calls"
        for one in reversed(known.generations)
    ]
    return printable(f"{known.node}: {'; '.join(words)}")
