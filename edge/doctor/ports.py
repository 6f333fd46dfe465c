"""Who listens where, as the kernel lists it in /proc/net."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from edge.config import NodeConfig
from edge.doctor.finding import Finding, fail, ok
from edge.runtime.sockets import host_port

PROC: Final = Path("/proc/net")

_LISTENS: Final = {"tcp": "0A", "udp": "07"}  # TCP_LISTEN, and TCP_CLOSE: a UDP socket that is not connected

Place = tuple[str, int]


def listening(protocol: str, root: Path = PROC) -> set[Place]:
    """Where somebody in this network namespace listens: (address, port). Raises OSError."""
    return {
        place
        for name in (protocol, f"{protocol}6")
        if (root / name).exists()  # no IPv6, no file
        for place in parse((root / name).read_text(), _LISTENS[protocol])
    }


def parse(text: str, state: str) -> Iterator[Place]:
    """The local places in one of those files, of sockets in ``state`` (hex); see proc_net_tcp.rst of the kernel."""
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and words[3] == state:
            host, _, port = words[1].partition(":")
            # The kernel prints each 32 bits as a number of its own byte order; the bytes themselves are in the network's.
            raw = struct.pack(
                f"={len(host) // 8}I", *(int(host[at : at + 8], 16) for at in range(0, len(host), 8))
            )
            yield str(IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)), int(port, 16)


def wanted(config: NodeConfig) -> dict[tuple[str, str, int], str]:
    """(protocol, address, port) -> what for."""
    port = config.service.port
    places = {}
    for address in dict.fromkeys((*config.service.addresses, *config.unicast.addresses)):
        places["udp", str(address), port] = "calls"
        if config.web.enabled:
            places["tcp", str(address), port] = "web"
    if config.fleet.file is not None:
        places |= {
            ("udp", str(address), config.forward.port): "other nodes" for address in config.unicast.addresses
        }
    for purpose, listen in (
        ("plain web", config.web.plain_listen),
        ("metrics", config.metrics.listen),
        ("admin", config.admin.listen),
        ("page", config.admin.page_listen),
    ):
        if listen is not None:
            places["tcp", str(listen.host), listen.port] = purpose
    return places


def check_ports(
    config: NodeConfig, found: Mapping[str, Iterable[Place]], *, is_running: bool
) -> Iterator[Finding]:
    """``found``: by protocol, where somebody listens. Of a node that does not run, the ports must be free."""
    check, places = "ports", wanted(config)
    there = {(protocol, *place) for protocol, everywhere in found.items() for place in everywhere}
    if is_running:
        missing = [place for place in places if place not in there]
        for protocol, host, port in missing:
            where = f"{host_port(host, port)}/{protocol} ({places[protocol, host, port]})"
            yield fail(
                check, f"nobody listens on {where}", "restart the node; its log says what it could not open"
            )
        if not missing:
            yield ok(check, f"{len(places)} are served")
        return
    taken = [place for place in places if _is_taken(place, there)]
    for protocol, host, port in taken:
        listing = "ss -lunp" if protocol == "udp" else "ss -ltnp"
        remedy = f"find it with '{listing} sport = :{port}' and stop it, or choose another port"
        yield fail(check, f"another process has {host_port(host, port)}/{protocol}", remedy)
    if not taken:
        yield ok(check, f"{len(places)} are free")


def _is_taken(place: tuple[str, str, int], there: set[tuple[str, str, int]]) -> bool:
    protocol, host, port = place
    wildcards = ("::",) if ":" in host else ("0.0.0.0", "::")
    return place in there or any((protocol, wildcard, port) in there for wildcard in wildcards)
