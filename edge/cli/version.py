"""edgectl version"""

from __future__ import annotations

import platform
from importlib import metadata

import click

from edge.cli.output import error_document, output_option, print_json

ENGINES = ("aioquic", "exabgp", "pyroute2")
"""Distributions whose version decides behaviour that a user can see."""
SKEWED = 1


@click.command()
@click.option("--fleet", "of_fleet", is_flag=True, help="Of the nodes of the fleet that is chosen, instead.")
@output_option
def version(of_fleet: bool, as_json: bool) -> int:
    """Print the versions that a bug report needs, one `name version` a line.

    With --fleet the exit code is 1 if a node runs another release than the fleet file says.
    """
    if of_fleet:
        return _of_fleet(as_json=as_json)
    versions = {
        "anycast-edge": metadata.version("anycast-edge"),
        "python": platform.python_version(),
        "linux": platform.release(),
        **{distribution: metadata.version(distribution) for distribution in ENGINES},
    }
    if as_json:
        print_json({"apiVersion": "edge/v1", "kind": "Versions", "versions": versions})
    else:
        click.echo("\n".join(f"{name} {number}" for name, number in versions.items()))
    return 0


def _of_fleet(*, as_json: bool) -> int:
    from edge.cli.layout import table
    from edge.cli.looking import look, wanted
    from edge.cli.where import find_all
    from edge.fleet.reach import settle

    choice = find_all(())
    found, outcomes = look(choice, wanted(choice))
    if as_json:
        nodes = [
            {
                "name": node.name,
                "runs": (node.status.version or None) if node.status else None,
                "wanted": node.wanted.version or None,
                "error": error_document(node.error),
            }
            for node in found.nodes
        ]
        print_json(
            {"apiVersion": "edge/v1", "kind": "FleetVersions", "fleet": found.fleet or None, "nodes": nodes}
        )
    else:
        rows = [
            (node.name, node.status.version, node.wanted.version or "-")
            for node in found.nodes
            if node.status
        ]
        click.echo(table([("NODE", "RUNS", "FLEET FILE"), *rows]))
    settle(outcomes)
    return SKEWED if any(finding.what == "version-skew" for finding in found.findings) else 0
