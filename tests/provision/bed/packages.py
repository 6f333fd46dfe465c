"""What the nodes of the bed have from Debian: in the image they boot from, and in the repository they install from."""

from __future__ import annotations

from typing import Final

SUITE: Final = "bookworm"

IMAGE: Final = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iputils-ping",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)
"""About what a cloud's image of Debian has, without a kernel."""

REPOSITORY: Final = (
    "acl",
    "bird2",
    "chrony",
    "ethtool",
    "nftables",
    "openssl",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-node-exporter",
    "python3-venv",
    "rsync",
    "tcpdump",
)
"""What a role may install, to which apt adds what that needs: the nodes have no way to a mirror."""
