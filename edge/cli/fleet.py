"""edgectl fleet"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli.fleet_option import chosen, complete_node, fleet_option, loaded
from edge.cli.layout import printable, table
from edge.cli.output import output_option, print_json

if TYPE_CHECKING:
    from edge.fleet import Fleet, Node
    from edge.fleet.beginning import TerraformNodes
    from edge.fleet.problems import Problem

_file = click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def fleet() -> None:
    """Write the fleet file, the one source of what is on the nodes, and look at what it says."""


@fleet.command("validate", epilog="For example: edgectl fleet validate fleet.toml --no-secrets")
@_file
@click.option(
    "--no-secrets",
    is_flag=True,
    help="Do not look at the files of [secrets], for where they are not, as in CI.",
)
@output_option
def validate(file: Path | None, no_secrets: bool, as_json: bool) -> int:
    """Say everything that is wrong with FILE at once, with its line. Notes are what is no mistake but may surprise.

    Ends with 0 if there are only notes, and with 2 otherwise.
    """
    from edge.errors import ConfigError
    from edge.fleet import read_fleet
    from edge.fleet.secret_files import secret_problems

    path = chosen(file)
    found, problems = read_fleet(path)
    if found is not None and not no_secrets:
        problems = sorted([*problems, *secret_problems(found, datetime.now(UTC))])
    wrong = [problem for problem in problems if not problem.note]
    if as_json:
        listed = [_problem(problem) for problem in problems]
        print_json({"apiVersion": "edge/v1", "kind": "FleetProblems", "valid": not wrong, "problems": listed})
    else:
        for problem in problems:
            click.echo(printable(f"{problem}" if not problem.note else f"{problem} (note)"))
        if not wrong and found is not None:
            click.echo(f"{path}: {_counted(found)}: valid", err=True)
    return ConfigError.exit_code if wrong else 0


@fleet.command("show")
@fleet_option
@click.option(
    "--node",
    "name",
    metavar="NAME",
    shell_complete=complete_node,
    help="All about one node, with what follows for it.",
)
@output_option
def show(fleet_file: Path, name: str | None, as_json: bool) -> None:
    """Print the fleet: its sites, its nodes and what follows for them."""
    found = loaded(fleet_file)
    if name is not None:
        _show_node(found, found.node(name), as_json=as_json)
        return
    if as_json:
        print_json(_fleet_document(found))
        return
    click.echo(
        f"fleet {found.name}, version {found.version}, by {found.access.transport}: {_counted(found)}\n"
    )
    rows = [("site", "nodes", "description")]
    rows += [(site, str(len(found.at(site))), entry.description) for site, entry in found.sites.items()]
    click.echo(table(rows) + "\n")
    heads = ("node", "site", "server ID", "addresses", "ssh", "announces")
    click.echo(table([heads, *(_row(node) for node in found.nodes)]))


@fleet.command(
    "init",
    epilog="For example: edgectl fleet init --name voice --service 192.0.2.1 --local-as 64601 --node ams-1,198.51.100.11",
)
@_file
@click.option("--name", help="What the fleet is called.")
@click.option(
    "--service",
    "service",
    multiple=True,
    metavar="ADDRESS",
    help="A service address: anycast, the same on all nodes; one for each family.",
)
@click.option("--local-as", type=click.IntRange(1, 2**32 - 2), help="The AS that announces them.")
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="NAME,ADDRESS[,ADDRESS]",
    help="A node and its own addresses; its site is its name without the number. May be repeated.",
)
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="SITE,ADDRESS,AS",
    help="A router at SITE that the nodes announce to; of a site without one, nodes announce nothing. May be repeated.",
)
@click.option(
    "--from-terraform",
    "terraform",
    type=click.Path(exists=True, path_type=Path),
    help="Instead of --node, --upstream and --local-as: a file with what `terraform output -json edge_nodes` "
    "printed, or the folder that Terraform was applied in.",
)
@click.option("--user", help="The login on the nodes.  [default: what ssh says]")
@click.option("--audience", help="What callers' tokens are for, as in voice.example; needed on the Internet.")
@click.option("--yes", is_flag=True, help="Ask nothing: what is not said has its default, or is an error.")
def init(file: Path | None, yes: bool, terraform: Path | None, **wishes: Any) -> None:
    """Write a fleet file to begin with. What is not said as an option is asked for."""
    from edge.cli.fleet_questions import answered
    from edge.errors import RefusedError
    from edge.fleet import parse_fleet
    from edge.fleet.beginning import written
    from edge.fleet.files import replace_file

    path = chosen(file)
    if path.exists():
        raise RefusedError(f"{path}: is there already; change it, or name another file")
    made_elsewhere = None if terraform is None else _of_terraform(terraform, path, wishes)
    text = written(answered(wishes, ask=not yes, terraform=made_elsewhere))
    made, problems = parse_fleet(text, path)
    wrong = [problem for problem in problems if not problem.note]
    if made is None or wrong:
        raise wrong[0].error(others=len(wrong) - 1)
    replace_file(path, text.encode())
    click.echo(f"{path}: {_counted(made)}", err=True)
    for key, secret in {**made.secrets.named(), **made.secrets.md5}.items():
        if not secret.exists():
            click.echo(f"  still missing: {secret} ({_HOW_TO_GET.get(key, _PASSWORD)})", err=True)
    click.echo(f"  then: edgectl fleet validate {path}", err=True)


_PASSWORD = "the password of the BGP sessions"
_HOW_TO_GET = {
    "key_ring": "edgectl keys new",
    "certificate": "the chain, leaf first, from your certificate authority",
    "private_key": "its key",
    "token_keys": "edgectl token key",
}


def _of_terraform(source: Path, fleet_file: Path, wishes: Mapping[str, Any]) -> TerraformNodes:
    """What it has made, as the fleet file shall name it: by the way from its own folder."""
    from edge.errors import UsageError
    from edge.fleet.beginning import TerraformNodes
    from edge.fleet.terraform import read_nodes

    if wishes["nodes"] or wishes["upstreams"] or wishes["local_as"]:
        raise UsageError(
            "--from-terraform: has the nodes and whom they announce to; leave out --node, --upstream and --local-as"
        )
    nodes = read_nodes(source).values()
    sessions = [node.bgp for node in nodes if node.bgp is not None]
    passwords = {peer.md5_secret_ref for bgp in sessions for peer in bgp.peers if peer.md5_secret_ref}
    return TerraformNodes(
        source=os.path.relpath(source, fleet_file.parent),
        sites=tuple(node.site for node in nodes),
        announcing=len(sessions),
        passwords=tuple(sorted(passwords)),
    )


def _counted(fleet: Fleet) -> str:
    nodes, sites = len(fleet.nodes), len(fleet.sites)
    return f"{nodes} node{'s' * (nodes != 1)} at {sites} site{'s' * (sites != 1)}"


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line or None,
        "where": problem.where,
        "problem": problem.what,
        "severity": "note" if problem.note else "error",
    }


def _row(node: Node) -> tuple[str, ...]:
    addresses = ", ".join(map(str, node.addresses))
    login = node.ssh if node.user is None else f"{node.user}@{node.ssh}"
    return (str(node.name), str(node.site), bytes(node.server_id).hex(), addresses, login, _announces(node))


def _announces(node: Node) -> str:
    bgp = node.config.bgp
    return "nothing" if bgp is None else ", ".join(bgp.prefixes)


def _fleet_document(fleet: Fleet) -> dict[str, Any]:
    return {
        "apiVersion": "edge/v1",
        "kind": "Fleet",
        "name": str(fleet.name),
        "version": fleet.version,
        "transport": fleet.access.transport,
        "sites": [
            {
                "name": site,
                "description": entry.description,
                "nodes": [str(node.name) for node in fleet.at(site)],
            }
            for site, entry in fleet.sites.items()
        ],
        "nodes": [_node_document(fleet, node) for node in fleet.nodes],
    }


def _node_document(fleet: Fleet, node: Node) -> dict[str, Any]:
    from edge.fleet.render import config_hash, node_toml

    bgp = node.config.bgp
    return {
        "name": str(node.name),
        "site": str(node.site),
        "server_id": bytes(node.server_id).hex(),
        "addresses": [str(address) for address in node.addresses],
        "ssh": node.ssh,
        "user": node.user,
        "socket": str(node.socket),
        "url": node.url,
        "metrics": node.metrics and str(node.metrics),
        "service_addresses": [str(address) for address in node.config.service.addresses],
        "prefixes": list(bgp.prefixes) if bgp else [],
        "neighbors": [neighbor.address for neighbor in bgp.neighbors] if bgp else [],
        "secrets": {key: str(path) for key, path in node.secrets.named().items()},
        "config_hash": config_hash(node_toml(fleet, node)),
    }


def _show_node(fleet: Fleet, node: Node, *, as_json: bool) -> None:
    document = _node_document(fleet, node)
    if as_json:
        print_json({"apiVersion": "edge/v1", "kind": "FleetNode", **document})
        return
    rows = [(key.replace("_", " "), _said(value)) for key, value in document.items()]
    click.echo(table(rows))


def _said(value: object) -> str:
    match value:
        case list():
            return ", ".join(map(str, value)) or "none"
        case dict():
            return ", ".join(f"{key} {inner}" for key, inner in value.items())
        case None:
            return "none"
        case _:
            return str(value)
