"""edgectl dashboards"""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def dashboards() -> None:
    """Write Grafana's dashboards for a fleet."""


@dashboards.command(
    "export", epilog="For example: edgectl dashboards export /var/lib/grafana/dashboards/edge"
)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def export(directory: Path) -> None:
    """Write the dashboards into DIRECTORY, for Grafana to import or to be provisioned with; prints the files."""
    from edge.monitoring.export import export_dashboards

    for path in export_dashboards(directory):
        click.echo(path)
