"""edgectl version"""

from __future__ import annotations

import platform
from importlib import metadata

import click

ENGINES = ("aioquic", "exabgp", "pyroute2")
"""Distributions whose version decides behaviour that a user can see."""
SKEWED = 1


@click.command()
@click.option("--fleet", "of_fleet", is_flag=True, help="Of the nodes of the fleet that is chosen, instead.")
def version(of_fleet: bool) -> int:
    """Print the versions that a bug report needs, one `name version` a line.

    With --fleet the exit code is 1 if a node runs another release than the fleet file says.
    """
    if of_fleet:
        return _of_fleet()
    click.echo(f"anycast-edge {metadata.version('anycast-edge')}")
    click.echo(f"python {platform.python_version()}")
    click.echo(f"linux {platform.release()}")
    for distribution in ENGINES:
        click.echo(f"{distribution} {metadata.version(distribution)}")
    return 0


def _of_fleet() -> int:
    from edge.cli.layout import table
    from edge.cli.looking import look, wanted
    from edge.cli.where import find_all
    from edge.fleet.reach import settle

    choice = find_all(())
    found, outcomes = look(choice, wanted(choice))
    rows = [
        (node.name, node.status.version, node.wanted.version or "-") for node in found.nodes if node.status
    ]
    click.echo(table([("NODE", "RUNS", "FLEET FILE"), *rows]))
    settle(outcomes)
    return SKEWED if any(finding.what == "version-skew" for finding in found.findings) else 0
