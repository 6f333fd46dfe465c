"""Fleet files for tests that reach nodes: of nodes on this machine, and of nodes behind an ssh."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from edge.cli import main
from edge.lab.certificates import write_certificate

_HEAD = """
[fleet]
name = "voice"
version = "0.1.0"
[access]
{access}
[secrets]
key_ring = "ring.toml"
certificate = "chain.pem"
private_key = "key.pem"
[defaults.service]
addresses = ["127.0.0.1"]
port = {port}
manage_addresses = false
"""

_NODE = """
[[nodes]]
name = "{name}"
site = "{site}"
server_id = "{server_id:016x}"
addresses = ["127.0.0.{last}"]
{more}
"""


def write_fleet(
    directory: Path, nodes: Mapping[str, str], *, access: str = 'transport = "unix"', port: int = 443
) -> Path:
    """The file, in ``directory``, with what it needs; ``nodes``: by name, further keys of each."""
    write_certificate(
        directory / "chain.pem", directory / "key.pem", ["voice.example"], [ip_address("127.0.0.1")]
    )
    if not (directory / "ring.toml").exists():
        assert main(["keys", "new", str(directory / "ring.toml")]) == 0
    sites = dict.fromkeys(name.partition("-")[0] for name in nodes)
    parts = [_HEAD.format(access=access, port=port), *(f"[sites.{site}]\n" for site in sites)]
    for number, (name, more) in enumerate(nodes.items(), 1):
        site = name.partition("-")[0]
        parts.append(_NODE.format(name=name, site=site, server_id=number, last=number + 1, more=more))
    file = directory / "fleet.toml"
    file.write_text("".join(parts))
    return file
