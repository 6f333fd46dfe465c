"""All checks, in the order in which one depends on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edge.config import NodeConfig, load_members
from edge.doctor import addresses, files, kernel, ports, service, ways
from edge.doctor.finding import Finding, warn
from edge.errors import EdgeError
from edge.runtime.documents import Peer
from edge.runtime.netlink import Netlink
from edge.statuspage.facts import Status


@dataclass(frozen=True, slots=True)
class Patient:
    """A node and what it says of itself; without a ``status`` it does not run, or is not understood: ``problem`` says why.

    ``ask``: its answer to ``GET target``. Raises `EdgeError`.
    """

    config: NodeConfig
    status: Status | None
    peers: Sequence[Peer]
    problem: str
    ask: Callable[[str], Any]


async def examine(patient: Patient) -> tuple[Finding, ...]:
    """Looks, and changes nothing. Other nodes get a handshake each, as from a caller that hangs up at once."""
    config, status, now = patient.config, patient.status, datetime.now(UTC)
    is_running = status is not None
    interfaces: dict[str, str] = {}
    async with Netlink() as netlink:
        interfaces = await netlink.interfaces()
    try:
        members = load_members(config)
    except EdgeError:
        members = None  # told among the files
    answers = await ways.ask_others(config, members.nodes) if members else []
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "node": lambda: service.check_node(status, patient.problem),
        "version": lambda: service.check_versions(status) if status else iter(()),
        "BGP sessions": lambda: service.check_peers(patient.peers),
        "service addresses": lambda: addresses.check_addresses(config, interfaces, is_running=is_running),
        "ports": lambda: ports.check_ports(
            config,
            {protocol: ports.listening(protocol) for protocol in ("udp", "tcp")},
            is_running=is_running,
        ),
        "reach": lambda: ways.check_reach(config, answers, _arrived(status)),
        "MTU": lambda: ways.check_mtu(ways.upstream_ways(config)),
        "certificate": lambda: files.check_certificate(config, now),
        "admin certificate": lambda: files.check_admin_certificate(config, now),
        "key ring": lambda: files.check_key_ring(config, now, status.keys.version if status else None),
        "files": lambda: files.check_other_files(config),
        "secret files": lambda: files.check_secrets(config),
        "state": lambda: files.check_state(config),
        "clock": kernel.check_clock,
        "socket buffers": kernel.check_buffers,
        "tracked flows": kernel.check_flows,
        "kernel settings": lambda: kernel.check_settings(config),
    }
    return tuple(finding for name, check in checks.items() for finding in _looked_at(name, check))


def _arrived(status: Status | None) -> int | None:
    if status is None:
        return None
    return sum(status.connections.get(outcome, 0) for outcome in ("migrated", "direct"))


def _looked_at(name: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """One thing that cannot be looked at leaves the others."""
    try:
        return list(check())
    except OSError as error:
        return [warn(name, f"not looked at: {error}", "run edgectl doctor as root")]
