"""A translator of addresses in front of a site, as most callers sit behind: it may forget them at any time.

It stands on the site's router and gives each flow a source of its own choice. When it is told to `forget`, what comes
next of a flow looks to the far end as if it came from somebody else, and what the far end still sends to the old
address reaches nobody: a NAT rebinding (RFC 9000, section 9.3). IPv4 only.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

from edge.errors import EdgeError
from edge.lab import namespaces
from edge.lab.firewall import apply
from edge.lab.lab import Lab

PORTS: Final = ("20000-29999", "30000-39999")
"""From which ports of its address flows leave, at first and after it has forgotten, in turn: none comes back to its own."""

_NETLINK_NETFILTER = 12
_DELETE_FLOWS = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE: without a filter, all of them
_REQUEST_AND_ACK = 1 | 4
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)  # nfgenmsg
_ERROR = struct.Struct("=i")

_RULES = """\
table ip nat_{site}
flush table ip nat_{site}
table ip nat_{site} {{
  chain out {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {inner} meta l4proto {{ tcp, udp }} snat to {outer}:{ports}
  }}
}}
"""


class Nat:
    """In front of ``site``, from `begin` on."""

    def __init__(self, lab: Lab, site: str) -> None:
        self._lab = lab
        self._site = site
        uplink = lab.topology.uplink(site)
        self._router = uplink.peer.node
        self._inner = uplink.own.v4.ip
        self._addresses = (uplink.peer.v4.ip, lab.topology.addresses(self._router).v4)
        self._forgotten = 0

    async def begin(self) -> None:
        """Raises as `firewall.block_udp`."""
        await self._translate()

    async def forget(self, *, address: bool) -> None:
        """Every flow gets another port, and another ``address``."""
        self._forgotten += 1
        if address:
            self._addresses = self._addresses[::-1]
        await self._translate()
        # Rules are for flows that begin; the kernel keeps to what it once chose until that is forgotten, too.
        with namespaces.inside(self._router):
            _flush_flows(self._router)

    async def _translate(self) -> None:
        rules = _RULES.format(
            site=self._site,
            inner=self._inner,
            outer=self._addresses[0],
            ports=PORTS[self._forgotten % len(PORTS)],
        )
        await apply(self._lab, self._router, rules)


def _flush_flows(node: str) -> None:
    """Have the kernel forget every flow that it knows here. EdgeError if it does not."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
        netlink.settimeout(1.0)
        length = _HEADER.size + len(_FAMILY)
        netlink.send(_HEADER.pack(length, _DELETE_FLOWS, _REQUEST_AND_ACK, 1, 0) + _FAMILY)
        (number,) = _ERROR.unpack_from(netlink.recv(4096), _HEADER.size)
    if -number not in (0, errno.ENOENT):
        raise EdgeError(f"{node} does not forget its flows: {os.strerror(-number)}")
