"""edgectl support-bundle"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from edge.cli.doctor import patient_options
from edge.doctor import Patient, examine
from edge.errors import UsageError
from edge.support import Bundle, Source, packed


@click.command("support-bundle", epilog="For example: sudo edgectl support-bundle --out ams-1.tar.gz")
@patient_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.  [default: edge-NODE-TIME.tar.gz, here]",
)
@click.option("--unit", default="edge", show_default=True, help="The node's unit, for its journal.")
@click.option("--with-addresses", is_flag=True, help="Leave addresses of callers as they are.")
def support_bundle(patient: Patient, out: Path | None, unit: str, with_addresses: bool) -> None:
    """Pack what helps to understand a node, to be sent to somebody: no secrets, and no addresses of callers.

    In it are the node's status, explanation, BGP sessions and routes, drain, metrics and configuration (without comments,
    and without what backends are told in words), the journal's last lines, versions, and what edgectl doctor finds. What
    looks like a secret is taken out of all of it; addresses that are neither a node's nor a router's are given names. Run
    it as root, on the node: it can take out only those keys that it can read. The manifest says what is missing, and why.
    """
    now = time.time()
    findings = asyncio.run(examine(patient))
    source = Source(
        config=patient.config, ask=patient.ask, findings=findings, unit=unit, with_addresses=with_addresses
    )
    bundle = Bundle.of(source, now)
    name = f"edge-{patient.config.node.name}-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    path = out or Path(f"{name}.tar.gz")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(packed(bundle, name, now))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}; name another with --out") from error
    for missing, why in bundle.missing.items():
        click.echo(f"without {missing}: {why}", err=True)
    click.echo(str(path))
