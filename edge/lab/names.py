"""The service by its name, as callers know it: a lab has no name servers, but it has an ``/etc/hosts`` of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from edge.lab import namespaces

HOSTS: Final = Path("/etc/hosts")


def publish(directory: Path, names: Mapping[str, Sequence[IPv4Address | IPv6Address]]) -> None:
    """Whoever looks one of ``names`` up in the lab finds its addresses, and knows no other names; see `Lab.run_dir`."""
    hosts = directory / "hosts"
    hosts.write_text("".join(f"{address} {name}\n" for name, found in names.items() for address in found))
    namespaces.cover(HOSTS, hosts)
