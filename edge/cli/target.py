"""Whom to call: the argument and the options that all commands which dial have in common."""

import functools
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge.runtime.dialer import DEFAULT_PORT, Target

_FORM = re.compile(
    r"(?: \[ (?P<v6> [0-9A-Fa-f:.]+ ) \] | (?P<name> [^:\[\]\s]+ ) ) (?: : (?P<port> [0-9]+ ) )?", re.VERBOSE
)
_BARE_IPV6 = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


class HostPort(click.ParamType[tuple[str, int]]):
    """``HOST``, ``HOST:PORT``, an IPv6 address, or ``[IPv6]:PORT``."""

    name = "host[:port]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if _BARE_IPV6.fullmatch(value):
            return value, DEFAULT_PORT
        form = _FORM.fullmatch(value)
        if form is None:
            self.fail(f"{value!r} is not a host, HOST:PORT or [IPv6]:PORT", param, ctx)
        port = int(form["port"] or DEFAULT_PORT)
        if not 0 < port < 65536:
            self.fail(f"{port} is not a UDP port", param, ctx)
        return form["v6"] or form["name"], port


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``HOST[:PORT]`` and who to trust; ``command`` gets them as ``target``."""

    @click.argument("host", metavar="HOST[:PORT]", type=HostPort())
    @click.option(
        "--ca", type=click.Path(path_type=Path), help="Trust this PEM file instead of the public CAs."
    )
    @click.option("--insecure", is_flag=True, help="Accept any certificate.")
    @click.option("--server-name", metavar="NAME", help="The certificate must be for NAME instead of HOST.")
    @click.option("-4", "family", flag_value=socket.AF_INET, type=socket.AddressFamily, help="Only IPv4.")
    @click.option("-6", "family", flag_value=socket.AF_INET6, type=socket.AddressFamily, help="Only IPv6.")
    @click.option("--source", metavar="ADDRESS", help="Call from this local address.")
    @functools.wraps(command)
    def with_target(
        host: tuple[str, int],
        ca: Path | None,
        insecure: bool,
        server_name: str | None,
        family: socket.AddressFamily | None,
        source: str | None,
        **options: Any,
    ) -> Any:
        target = Target(
            host=host[0],
            port=host[1],
            server_name=server_name,
            ca=ca,
            insecure=insecure,
            family=family or socket.AF_UNSPEC,
            source=source,
        )
        return command(target=target, **options)

    return with_target
