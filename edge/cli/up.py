"""edgectl up"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from ipaddress import IPv4Address
from pathlib import Path

import click

SERVICE, UNICAST = IPv4Address("127.0.0.1"), IPv4Address("127.0.0.2")
DEFAULT_PORT = 4433
DEFAULT_PAGE_PORT = 8080

_CONFIG = """
[node]
name = "local"
site = "local"
server_id = "0000000000000001"

[service]
addresses = ["{service}"]
port = {port}
manage_addresses = false

[unicast]
addresses = ["{unicast}"]

[tls]
certificate = "certificate.pem"
private_key = "key.pem"

[voice]
backend = "{backend}"
backends = [{others}]

[auth]
origins = ["http://{service}:{page_port}", "http://localhost:{page_port}"]

[web]
plain_listen = "{service}:{page_port}"

[admin]
socket = "admin.sock"

[state]
directory = "state"

[shutdown]
grace_s = 0.0
"""


@click.command()
@click.option("--backend", default="demo", show_default=True, help="Who answers a call that asks for nobody.")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True)
@click.option(
    "--page-port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PAGE_PORT,
    show_default=True,
    help="Where the browser's page is, over plain HTTP: browsers trust loopback without a certificate.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep certificate, configuration and state there.  [default: a temporary one]",
)
def up(backend: str, port: int, page_port: int, directory: Path | None) -> None:
    """Start one node on loopback and talk to it in a browser. Ctrl-C ends it.

    127.0.0.1 stands for the anycast address and 127.0.0.2 for the unicast one, so calls really move. It announces
    nothing and needs no privileges. The certificate is made on the spot and good for this machine only.
    """
    from edge.config import load_config
    from edge.node import run

    # A daemon's events are its output; here they are only wanted by those who ask.
    logging.getLogger("edge").setLevel(min(logging.WARNING, logging.getLogger().level))
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgectl-up-")))
        path = _prepare(directory, backend=backend, port=port, page_port=page_port)
        asyncio.run(run(load_config(path), lambda: _greet(path, port, page_port, backend)))


def _prepare(directory: Path, *, backend: str, port: int, page_port: int) -> Path:
    from edge.backend.base import installed_backends
    from edge.lab.certificates import write_certificate

    directory.mkdir(parents=True, exist_ok=True)
    write_certificate(directory / "certificate.pem", directory / "key.pem", ["localhost"], [SERVICE, UNICAST])
    others = ", ".join(f'"{name}"' for name in ("demo", "echo", "story") if name in installed_backends())
    path = directory / "node.toml"
    path.write_text(
        _CONFIG.format(
            service=SERVICE, unicast=UNICAST, port=port, page_port=page_port, backend=backend, others=others
        )
    )
    return path


def _greet(config: Path, port: int, page_port: int, backend: str) -> None:
    certificate = config.parent / "certificate.pem"
    click.echo(f"page       http://{SERVICE}:{page_port}/")
    click.echo(f"call       edgectl call {SERVICE}:{port} --ca {certificate}")
    click.echo(f"config     {config}")
    click.echo(f"backend    {backend}", nl=True)
    click.echo("Ctrl-C ends it.", err=True)
