"""edgectl sd"""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import click

from edge.cli.fleet_option import fleet_option, loaded
from edge.cli.signals import until_signal
from edge.errors import UnreachableError, UsageError
from edge.runtime.http1 import HttpServer, Request, Response

log = logging.getLogger(__name__)


@click.command(epilog="For example: edgectl sd --write /etc/prometheus/edge.json")
@click.option(
    "--write",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Replace FILE, which Prometheus reads by file_sd, as a whole.",
)
@click.option("--listen", metavar="ADDRESS:PORT", help="Answer Prometheus there, by http_sd, until stopped.")
@fleet_option
def sd(fleet_file: Path, file: Path | None, listen: str | None) -> None:
    """Tell Prometheus where the nodes are: print it, write it, or serve it.

    A server reads the fleet file anew for each request. While that is wrong, it answers with an error, and Prometheus
    keeps the targets that it has.
    """
    from edge.fleet.files import replace_file
    from edge.fleet.targets import targets_json

    if file is not None and listen is not None:
        raise UsageError("--write and --listen: one of them")
    document = targets_json(loaded(fleet_file))
    if listen is not None:
        asyncio.run(_serve(fleet_file, listen))
    elif file is not None:
        changed = replace_file(file, document)
        click.echo(f"{file}: {'written' if changed else 'is up to date'}", err=True)
    else:
        click.echo(document.decode(), nl=False)


async def _serve(fleet_file: Path, listen: str) -> None:
    """Until SIGINT or SIGTERM."""
    server = target_server(fleet_file)
    await server.listen(_bound(listen))
    click.echo(f"targets of {fleet_file} at http://{listen}/targets", err=True)
    try:
        await until_signal(_forever())
    finally:
        await server.close()


def target_server(fleet_file: Path) -> HttpServer:
    """Not listening yet."""
    from edge.fleet.targets import targets_json

    async def answer(_request: Request) -> Response:
        return Response(targets_json(await asyncio.to_thread(loaded, fleet_file)))

    return HttpServer({("GET", "/"): answer, ("GET", "/targets"): answer})


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()


def _bound(listen: str) -> socket.socket:
    from edge.config.values import SocketAddress

    try:
        address = SocketAddress.parse(listen)
    except ValueError as error:
        raise UsageError(f"--listen: {error}") from error
    family = socket.AF_INET6 if address.host.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        raise UnreachableError(
            f"--listen {address}: {error.strerror}; choose another address or port"
        ) from error
    sock.setblocking(False)
    return sock
