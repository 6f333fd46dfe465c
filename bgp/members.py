"""A set of prefixes, asked whether it holds an address: a fleet may name each of its thousand nodes."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_network

from bgp.route import Address, Prefix


class Members:
    """Of one family. ``texts`` are prefixes of both; no text at all is everybody. Raises ValueError."""

    def __init__(self, texts: Collection[str], version: int) -> None:
        prefixes = [prefix for prefix in map(ip_network, texts) if prefix.version == version]
        self._anybody = not texts
        # Beginnings of addresses, by how many bits behind them are free.
        self._beginnings: dict[int, set[int]] = {}
        for prefix in prefixes:
            self._beginnings.setdefault(_free_bits(prefix), set()).add(
                int(prefix.network_address) >> _free_bits(prefix)
            )

    def __contains__(self, address: Address) -> bool:
        number = int(address)
        return self._anybody or any(number >> free in known for free, known in self._beginnings.items())


def _free_bits(prefix: Prefix) -> int:
    return prefix.max_prefixlen - prefix.prefixlen
