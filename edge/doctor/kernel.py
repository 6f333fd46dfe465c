"""The kernel's settings and its clock."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.config import NodeConfig
from edge.doctor.finding import Finding, fail, ok, warn
from edge.runtime.sockets import BUFFER_BYTES

SYSCTLS: Final = Path("/proc/sys")
CLOCK_ERROR_S: Final = 0.5
"""By this a clock may be wrong before tokens and certificates that are just new are refused."""

_STA_UNSYNC: Final = 0x0040  # adjtimex(2)
_TIME_ERROR: Final = 5


def check_buffers(root: Path = SYSCTLS) -> Iterator[Finding]:
    """How much a socket may hold for a worker that is late."""
    check = "socket buffers"
    small = []
    for name in ("rmem_max", "wmem_max"):
        value = _number(root / "net/core" / name)
        if value is None:
            yield ok(check, "the host's; they cannot be seen in this network namespace")
            return
        if value < BUFFER_BYTES:
            small.append(f"net.core.{name}={BUFFER_BYTES}")
    if small:
        found = "smaller than 4 MiB, so bursts are dropped, unless the node has CAP_NET_ADMIN"
        yield warn(check, found, f"sysctl -w {' '.join(small)}, and keep it in /etc/sysctl.d")
    else:
        yield ok(check, "up to 4 MiB and more")


FLOWS_WARN: Final = 0.7
FLOWS_FULL: Final = 0.95
"""Of what the kernel's connection tracking has room for; when it is full, who is new gets no answer at all."""


def check_flows(root: Path = SYSCTLS) -> Iterator[Finding]:
    """Is there room for more flows, where a firewall tracks them? Nothing where none does."""
    check, table = "tracked flows", root / "net/netfilter"
    count, room = _number(table / "nf_conntrack_count"), _number(table / "nf_conntrack_max")
    if not room or count is None:
        return
    found = f"{count} of {room} that the firewall can track"
    remedy = (
        "have it not track UDP to the service's port (nftables: notrack), or: "
        f"sysctl -w net.netfilter.nf_conntrack_max={2 * room}"
    )
    if count >= FLOWS_WARN * room:
        yield (fail if count >= FLOWS_FULL * room else warn)(
            check, f"{found}; packets of new ones are dropped when it is full", remedy
        )
    else:
        yield ok(check, found)


def check_settings(config: NodeConfig, root: Path = SYSCTLS) -> Iterator[Finding]:
    """Settings of the kernel that are known to get in the way."""
    check, bad = "kernel settings", False
    addresses = (*config.service.addresses, *config.unicast.addresses)
    if any(address.version == 6 for address in addresses) and _number(
        root / "net/ipv6/conf/all/disable_ipv6"
    ):
        bad = True
        remedy = "sysctl -w net.ipv6.conf.all.disable_ipv6=0, or take the IPv6 addresses out of node.toml"
        yield fail(check, "IPv6 is off, and the node has IPv6 addresses", remedy)
    strict = sorted(
        path.parent.name for path in (root / "net/ipv4/conf").glob("*/rp_filter") if _number(path) == 1
    )
    if config.source_routes and strict:
        bad = True
        remedy = "sysctl -w " + " ".join(f"net.ipv4.conf.{name}.rp_filter=2" for name in strict)
        found = f"rp_filter is strict on {', '.join(strict)}: packets of one uplink that arrive by another are dropped"
        yield warn(check, found, remedy)
    for version in ("ipv4", "ipv6"):
        if _number(root / "net" / version / "ip_nonlocal_bind"):
            bad = True
            found = f"net.{version}.ip_nonlocal_bind is on: a node starts without its addresses, and answers nobody"
            yield warn(check, found, f"sysctl -w net.{version}.ip_nonlocal_bind=0")
    if not bad:
        yield ok(check, "nothing that gets in the way")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Clock:
    """What the kernel thinks of its clock: is somebody keeping it right, and how wrong may it be at most?"""

    synchronized: bool
    max_error_s: float


def check_clock(clock: Clock | None = None) -> Iterator[Finding]:
    """Without ``clock``, the kernel's. Tokens, certificates and leases go by it."""
    check = "clock"
    try:
        clock = clock or kernel_clock()
    except OSError as error:
        yield warn(
            check,
            f"the kernel does not tell: {error.strerror}",
            "look yourself: timedatectl, chronyc tracking",
        )
        return
    if not clock.synchronized:
        yield warn(
            check,
            "nothing keeps it right (the kernel says: not synchronized)",
            "run one NTP client: systemctl enable --now systemd-timesyncd, or chrony",
        )
    elif clock.max_error_s > CLOCK_ERROR_S:
        yield warn(
            check, f"may be wrong by {clock.max_error_s:.1f} s", "look at the NTP client: chronyc tracking"
        )
    else:
        yield ok(check, f"synchronized, wrong by at most {clock.max_error_s * 1000:.0f} ms")


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is read; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_long * 24),
    )


def kernel_clock() -> Clock:
    """Reads, and sets nothing (``modes`` 0). Raises OSError."""
    found = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found))
    if state < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return Clock(state != _TIME_ERROR and not found.status & _STA_UNSYNC, found.maxerror / 1e6)
