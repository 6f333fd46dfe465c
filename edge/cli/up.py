"""edgectl up"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import json
import logging
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path

import click

from edge.errors import ConfigError, UnreachableError, UsageError

SERVICE, UNICAST = IPv4Address("127.0.0.1"), IPv4Address("127.0.0.2")
DEFAULT_PORT = 4433
DEFAULT_PAGE_PORT = 8080

OFFERED = ("demo", "echo", "story")
"""Backends that need no settings: callers may choose among those that are installed."""

_CONFIG = """\
# Written by `edgectl up`, anew at each start. To change it, copy it and use `edgectl node run --config`.

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

[workers]
count = 1

[admin]
socket = "admin.sock"

[state]
directory = "state"

[shutdown]
grace_s = 0.0
"""


@click.command(epilog="For example: edgectl up --backend openai --set url=ws://127.0.0.1:9000/v1/realtime")
@click.option("--backend", default="demo", show_default=True, help="Who answers a call that asks for nobody.")
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="A setting of that backend, as in [backends.NAME] of a node's file. May be repeated.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Where calls arrive, over UDP and TCP.",
)
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
def up(backend: str, settings: tuple[str, ...], port: int, page_port: int, directory: Path | None) -> None:
    """Start one node on loopback and talk to it in a browser. Ctrl-C ends it.

    127.0.0.1 stands for the anycast address and 127.0.0.2 for the unicast one, so calls really move. It announces
    nothing and needs no privileges. The certificate is made on the spot and good for this machine only.
    """
    from edge.config import ConfigFile
    from edge.node import run

    if port == page_port:
        raise UsageError(f"--port and --page-port are both {port}; they must differ")
    _require(backend)
    # A daemon's events are its output; here they are only wanted by those who ask.
    logging.getLogger("edge").setLevel(min(logging.WARNING, logging.getLogger().level))
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgectl-up-")))
        others = [name for name in OFFERED if name != backend and _why_not(name) is None]
        table = _table(backend, settings)
        with _in_terms_of_options(backend, page_port):
            path = _prepare(directory, table, backend=backend, others=others, port=port, page_port=page_port)
            file = ConfigFile(path)
            greet = functools.partial(_greet, path, port, page_port, backend, others)
            asyncio.run(run(file.parse(), greet, file=file))


def _require(backend: str) -> None:
    from edge.backend.base import installed_backends

    if (problem := _why_not(backend)) is not None:
        instead = "; to do without: edgectl up --backend echo" if backend in installed_backends() else ""
        raise UsageError(f"{problem}{instead}")


def _why_not(backend: str) -> str | None:
    from edge.backend.base import load_backend

    try:
        load_backend(backend)
    except UsageError as error:
        return str(error)
    return None


def _table(backend: str, settings: Sequence[str]) -> str:
    """The backend's table. A value is TOML, or else a plain word; files are looked for from here."""
    lines = [f"[backends.{json.dumps(backend)}]"] if settings else []
    for setting in settings:
        key, _, value = setting.partition("=")
        if key.endswith("_file"):
            value = str(Path(value).expanduser().absolute())
        if not _is_toml(f"{key} = {value}"):
            value = json.dumps(value)
        if not _is_toml(f"{key} = {value}"):
            raise UsageError(f"--set {setting}: want KEY=VALUE, for example url=ws://127.0.0.1:8765")
        lines.append(f"{key} = {value}")
    return "\n".join(lines)


def _is_toml(line: str) -> bool:
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return True


@contextlib.contextmanager
def _in_terms_of_options(backend: str, page_port: int) -> Iterator[None]:
    """Errors speak of the file that was written here; who typed the command has seen options only."""
    try:
        yield
    except ConfigError as error:
        table, _, key = error.where.removeprefix("$.backends.").partition(".")
        if table != backend:
            raise
        raise UsageError(f"--set {key or 'KEY'}=VALUE: {error.problem}") from error
    except UnreachableError as error:
        if not (isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE):
            raise
        option = "--page-port" if f":{page_port}/" in str(error) else "--port"
        raise UnreachableError(f"{error}, or choose another one with {option}") from error


def _prepare(
    directory: Path, table: str, *, backend: str, others: Sequence[str], port: int, page_port: int
) -> Path:
    from edge.lab.certificates import write_certificate

    text = _CONFIG.format(
        service=SERVICE,
        unicast=UNICAST,
        port=port,
        page_port=page_port,
        backend=backend,
        others=", ".join(map(json.dumps, others)),
    )
    path = directory / "node.toml"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_certificate(
            directory / "certificate.pem", directory / "key.pem", ["localhost"], [SERVICE, UNICAST]
        )
        path.write_text(f"{text}\n{table}\n" if table else text)
    except OSError as error:
        raise UsageError(f"--directory {directory}: cannot write there: {error.strerror}") from error
    return path


def _greet(config: Path, port: int, page_port: int, backend: str, others: Sequence[str]) -> None:
    # Where the environment is not activated, what was typed is what works again.
    command = "edgectl" if shutil.which("edgectl") else sys.argv[0]
    choice = f" (a caller may choose {' or '.join(others)})" if others else ""
    click.echo(f"page       http://{SERVICE}:{page_port}/")
    click.echo(f"call       {command} call {SERVICE}:{port} --ca {config.parent / 'certificate.pem'}")
    click.echo(f"backend    {backend}{choice}")
    click.echo(f"config     {config}")
    click.echo("Ctrl-C ends it.", err=True)
