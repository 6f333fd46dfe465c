"""edgectl node"""

import asyncio
import logging
from pathlib import Path

import click


@click.group()
def node() -> None:
    """Run this machine as an edge."""


@node.command()
@click.option(
    "--config",
    required=True,
    type=click.Path(path_type=Path, readable=False),  # whoever reads it says more about why not
    help="The node's configuration, TOML.",
)
def run(config: Path) -> None:
    """Serve, announce, and withdraw when it is time; SIGTERM leaves in order."""
    from edge.config import load_config
    from edge.node import run as run_node

    # A daemon's events are its output: one line each, whatever the verbosity of the command line.
    logging.getLogger().setLevel(min(logging.INFO, logging.getLogger().level))
    asyncio.run(run_node(load_config(config)))
