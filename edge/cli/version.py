"""edgectl version"""

import platform
from importlib import metadata

import click

ENGINES = ("aioquic", "exabgp", "pyroute2")
"""Distributions whose version decides behaviour that a user can see."""


@click.command()
def version() -> None:
    """Print the versions that a bug report needs, one `name version` a line."""
    click.echo(f"anycast-edge {metadata.version('anycast-edge')}")
    click.echo(f"python {platform.python_version()}")
    click.echo(f"linux {platform.release()}")
    for distribution in ENGINES:
        click.echo(f"{distribution} {metadata.version(distribution)}")
