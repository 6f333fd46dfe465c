"""Values that a string of the configuration file is parsed into; a string that is none of them is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final, Self

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


class Name(str):
    """What a node or a site is called in logs, metrics and status."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if not _NAME.fullmatch(text):
            raise ValueError(
                f"{text!r} is no name: 1 to 63 lower-case letters, digits, '-', '.' and '_', "
                "a letter or digit at both ends"
            )
        return cls(text)


class ServerId(bytes):
    """The 8 bytes by which a node's connection IDs name it (QUIC-LB)."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if not re.fullmatch(r"[0-9a-fA-F]{16}", text):
            raise ValueError(f"{text!r} is no server ID: write 16 hex digits, different for each node")
        return cls.fromhex(text)


class Address(str):
    """An IP address as the kernel writes it: lower case, the longest run of zeros left out."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        try:
            address = ip_address(text)
        except ValueError:
            raise ValueError(f"{text!r} is no IP address (and none with a port or a prefix length)") from None
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            raise ValueError(f"{text!r} has a scope; write an address that is valid beyond one link")
        if address.is_unspecified or address.is_multicast:
            raise ValueError(f"{text!r} is not the address of one host")
        return cls(address)

    @property
    def version(self) -> int:
        return ip_address(self).version


class SocketAddress(str):
    """Where a TCP port is served: ``127.0.0.1:9464`` or ``[::1]:9464``; never the wildcard address."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        host, _, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        port_is_good = re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536
        if not host or not port_is_good or (":" in host) != bracketed:
            raise ValueError(f"{text!r} is not like '127.0.0.1:9464' or '[::1]:9464'")
        address = Address.parse(host[1:-1] if bracketed else host)
        return cls(f"[{address}]:{int(port)}" if bracketed else f"{address}:{int(port)}")

    @property
    def host(self) -> Address:
        return Address(self.rpartition(":")[0].strip("[]"))

    @property
    def port(self) -> int:
        return int(self.rpartition(":")[2])


_PARSERS: Final[Mapping[type, Callable[[str], object]]] = {
    kind: kind.parse for kind in (Name, ServerId, Address, SocketAddress)
}


def decoder_hook(directory: Path) -> Callable[[type, Any], object]:
    """How msgspec is to make the values of this file; relative paths start at ``directory``."""

    def decode(kind: type, value: Any) -> object:
        if not isinstance(value, str):
            raise ValueError(f"expected a string, got {value!r}")
        return directory / value if kind is Path else _PARSERS[kind](value)

    return decode
