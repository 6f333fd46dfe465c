"""edgectl rules"""

from __future__ import annotations

from pathlib import Path

import click

from edge.errors import EdgeError
from edge.monitoring.export import DEFAULT_RUNBOOKS


@click.group()
def rules() -> None:
    """Write Prometheus' rules and alerts for a fleet, and see whether they find what they look for."""


@rules.command(
    "export",
    epilog="For example: edgectl rules export /etc/prometheus/rules --runbook-base https://docs.example/runbooks/",
)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--runbook-base",
    default=DEFAULT_RUNBOOKS,
    show_default=True,
    metavar="URL",
    help="Where alerts link to: a folder with a page for each alert, or an address with {page} in it.",
)
def export(directory: Path, runbook_base: str) -> None:
    """Write the rules, and examples for Prometheus and Alertmanager, into DIRECTORY; prints the files."""
    from edge.monitoring.export import export_rules

    for path in export_rules(directory, runbook_base):
        click.echo(path)


@rules.command("verify", epilog="For example: edgectl rules verify http://127.0.0.1:9090")
@click.argument("url")
def verify(url: str) -> None:
    """Ask the Prometheus at URL everything that rules and dashboards ask, and print what it has no series for.

    Exit code 1 if there is any. A fleet that has just been started, or that nobody has called yet, lacks some.
    """
    from edge.monitoring.answers import unanswered

    missing = unanswered(url)
    for expression in missing:
        click.echo(expression)
    if missing:
        raise EdgeError(
            f"{url} has no series for {len(missing)} expressions; are all nodes scraped, as the job 'edge', with the"
            " labels site and node?"
        )
    click.echo("every expression is answered", err=True)
