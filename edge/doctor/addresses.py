"""Where the node's addresses are on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Final

from edge.config import NodeConfig
from edge.doctor.finding import Finding, fail, ok, warn
from edge.quic import BEHIND_NLB

LOOPBACK: Final = "lo"


def check_addresses(
    config: NodeConfig, interfaces: Mapping[str, str], *, is_running: bool
) -> Iterator[Finding]:
    """``interfaces``: where each address of this machine is."""
    yield from _service(config, interfaces, is_running=is_running)
    check = "unicast addresses"
    for address in config.unicast.addresses:
        where = interfaces.get(address)
        if ip_address(address).is_loopback:
            yield ok(check, f"{address} is loopback: a node for this machine alone")
        elif where is None:
            remedy = (
                f"put it there (ip address add {address}/LENGTH dev INTERFACE), or correct unicast.addresses"
            )
            yield fail(check, f"{address} is on no interface", remedy)
        elif where == LOOPBACK:
            found = f"{address} is on lo: it is reached from outside only if routers send it to this machine"
            yield warn(
                check, found, "put it on the interface to the routers, unless they have a route for it"
            )
        else:
            yield ok(check, f"{address} is on {where}")


def _service(config: NodeConfig, interfaces: Mapping[str, str], *, is_running: bool) -> Iterator[Finding]:
    check, service = "service addresses", config.service
    # All of 127.0.0.0/8 is this host's, whatever is on lo.
    interfaces = {
        address: LOOPBACK for address in service.addresses if ip_address(address).is_loopback
    } | dict(interfaces)
    missing = [str(address) for address in service.addresses if address not in interfaces]
    if missing and service.manage_addresses and not is_running:
        yield ok(check, f"{', '.join(missing)}: the node puts them on lo when it starts")
    elif missing:
        commands = "; ".join(
            f"ip address add {address}/{128 if ':' in address else 32} dev lo" for address in missing
        )
        yield fail(check, f"{', '.join(missing)}: on no interface, so nobody is answered", commands)
    for address in service.addresses:
        where = interfaces.get(address)
        if where == LOOPBACK or (where is not None and config.cid.profile == BEHIND_NLB):
            yield ok(check, f"{address} is on {where}")
        elif where is not None:
            found = f"{address} is on {where}: all nodes would claim it on that link, by ARP or neighbor discovery"
            yield warn(check, found, f"ip address del {address} dev {where}, and put it on lo")
