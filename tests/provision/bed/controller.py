"""The operator's home on the controller: keys for the nodes, what is known of the nodes, and the fleet's secrets."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Final

from bed.plan import NODES, PLACES, SERVICE, SERVICE_NAME
from bed.rootfs import LOGIN
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from edge.lab import namespaces
from edge.lab.certificates import write_certificate

ROOT: Final = Path(__file__).resolve().parents[3]
"""This checkout."""
KEY: Final = "id_ed25519"
HOST_KEY: Final = "ssh_host_ed25519_key"
RUNTIME: Final = Path("/run/controller")

_SSH_CONFIG: Final = f"""\
Host *
  User {LOGIN}
  IdentityFile ~/.ssh/{KEY}
  IdentitiesOnly yes
  StrictHostKeyChecking yes
  UserKnownHostsFile ~/.ssh/known_hosts
  GlobalKnownHostsFile none
"""


def furnish(home: Path, host_keys: Path) -> None:
    """Write it all. ``host_keys`` gets a directory for each node, with the key that its sshd shall have."""
    ssh, vault, programs = home / ".ssh", home / "secrets", home / "bin"
    for directory in (home, ssh, vault, programs):
        directory.mkdir(mode=0o700)
    (home / "releases").mkdir(mode=0o755)  # the nodes read it
    write_key(ssh / KEY)
    known = []
    for node in NODES:
        directory = host_keys / node.name
        directory.mkdir(parents=True)
        public = write_key(directory / HOST_KEY)
        known.append(f"{node.mgmt},{','.join(map(str, node.addresses))} {public}")
    (ssh / "known_hosts").write_text("".join(f"{line}\n" for line in known))
    (ssh / "config").write_text(_SSH_CONFIG)
    write_secret(vault / "bgp-md5.key", secrets.token_hex(16))
    certify(vault)
    # The command of this checkout, whatever the environment around it has installed.
    (programs / "edgectl").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m edge.cli "$@"\n')
    (programs / "edgectl").chmod(0o755)


def certify(vault: Path) -> None:
    """A certificate, and a key, for the service and for each node; others than those that are there."""
    names = [SERVICE_NAME, *(node.mgmt for node in NODES)]
    addresses = [one.ip for one in SERVICE] + [one for node in NODES for one in node.addresses]
    for name in ("chain.pem", "key.pem"):
        (vault / name).unlink(missing_ok=True)
    write_certificate(vault / "chain.pem", vault / "key.pem", names, addresses)


def move_in(home: Path, directory: Path) -> None:
    """From within: make ``home`` root's, and the names of the bed all that can be looked up.

    ssh takes the home of a user from the table of users, and not from the environment.
    """
    passwd = directory / "passwd"
    lines = Path("/etc/passwd").read_text().splitlines()
    fields = [line.split(":") for line in lines]
    passwd.write_text(
        "".join(":".join([*of[:5], str(home), *of[6:]] if of[2] == "0" else of) + "\n" for of in fields)
    )
    hosts = directory / "hosts"
    hosts.write_text(
        "127.0.0.1 localhost\n::1 localhost\n"
        + "".join(f"{address} {place.mgmt}\n" for place in PLACES for address in place.addresses)
        + "".join(f"{service.ip} {SERVICE_NAME}\n" for service in SERVICE)
    )
    resolver = directory / "resolv.conf"
    resolver.write_text("")
    for name, by in (("passwd", passwd), ("hosts", hosts), ("resolv.conf", resolver)):
        namespaces.cover(Path("/etc", name).resolve(), by)
    RUNTIME.mkdir(mode=0o700)


def environment(home: Path) -> dict[str, str]:
    """For whatever runs on the controller, or at the client."""
    ansible = ROOT / "build" / "ansible" / "bin"
    path = [home / "bin", Path(sys.executable).parent, os.environ.get("PATH", os.defpath), ansible]
    return {
        "HOME": str(home),
        "USER": "root",
        "LOGNAME": "root",
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
        "PATH": os.pathsep.join([*map(str, path), "/usr/sbin", "/sbin"]),
        "PYTHONPATH": str(ROOT),
        "XDG_RUNTIME_DIR": str(RUNTIME),
    }


def write_key(path: Path) -> str:
    """A new key in OpenSSH's format, and beside it its public half, which is returned."""
    key = Ed25519PrivateKey.generate()
    write_secret(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    path.with_name(f"{path.name}.pub").write_text(f"{public}\n")
    return public


def write_secret(path: Path, text: str) -> None:
    """For its owner only, from the first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
