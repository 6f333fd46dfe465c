"""What an operator gets wrong, typed as an operator types it: one line that says where and what to do, the exit
code of its class, and nothing left running.

Nobody here has any privilege; where root runs the tests, an ordinary user does the typing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from edge.lab import bird
from edge.lab.certificates import write_certificate

pytestmark = [
    pytest.mark.needs("bird", "ip"),
    pytest.mark.parametrize(
        "caller", ["nobody" if os.geteuid() == 0 else "user"], indirect=True, scope="module"
    ),
]

ROOT = Path(__file__).parents[2]
NOBODY = 65534
SERVICE, UNICAST, ELSEWHERE = "127.0.0.1", "127.0.0.2", "192.0.2.1"
EXPIRED = datetime(2024, 5, 17, 12, 0, tzinfo=UTC)
USAGE, UNREACHABLE = 2, 5

CONFIG = f"""
[node]
name = "typed"
site = "here"
server_id = "00000000000000a1"
[service]
addresses = ["{SERVICE}"]
port = PORT
manage_addresses = false
[unicast]
addresses = ["{UNICAST}"]
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[voice]
backend = "echo"
[admin]
socket = "admin.sock"
[state]
directory = "state"
"""

BGP = """
[bgp]
router_id = "203.0.113.11"
local_as = 64600
prefixes = ["192.0.2.0/24"]
[[bgp.neighbors]]
address = "203.0.113.10"
local_address = "203.0.113.11"
peer_as = 64501
"""

# A host for a node that may do as it likes; what it leaves on lo is what this prints.
HOST = """
ip link set lo up && ip address add 203.0.113.11/32 dev lo || exit 99
"$@"
code=$?
ip -o address show dev lo | awk '{print $4}'
exit $code
"""
WITHOUT_BIRD = 'mount --bind /dev/null "$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class Desk:
    """An operator's directory, with a node's configuration and its files."""

    caller: Any
    port: int

    @property
    def home(self) -> Path:
        path: Path = self.caller.home
        return path

    def write(self, *changes: tuple[str, str], name: str = "node.toml", more: str = "") -> Path:
        """A configuration file in which every first text has become the second."""
        text = CONFIG.replace("PORT", str(self.port))
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = self.home / name
        path.write_text(text + more)
        return path

    def run(self, config: Path) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = self.caller.edgectl("node", "run", "--config", str(config))
        return done

    def processes(self) -> list[str]:
        """Everything that was started from here, by its environment or its arguments."""
        home, found = str(self.home).encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # ended meanwhile, or another user's
                command = (process / "cmdline").read_bytes()
                if home in command or home in (process / "environ").read_bytes():
                    found.append(command.replace(b"\0", b" ").decode())
        return found

    def assert_refused(
        self, done: subprocess.CompletedProcess[str], code: int, where: str, remedy: str, stdout: str = ""
    ) -> None:
        assert done.stderr.endswith("\n")
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith(f"edgectl: error: {where}: "), done.stderr
        assert remedy in done.stderr, done.stderr
        assert done.stdout == stdout
        assert done.returncode == code
        self.assert_nothing_left()

    def assert_nothing_left(self) -> None:
        assert self.processes() == []
        assert not (self.home / "admin.sock").exists()
        for address in (SERVICE, UNICAST):
            taken(socket.SOCK_DGRAM, address, self.port).close()


def taken(kind: socket.SocketKind, host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind((host, port))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


def write_expired(path: Path, key: Path) -> None:
    """A certificate of an existing key that was good for a day."""
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voice.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(EXPIRED - timedelta(days=1))
        .not_valid_after(EXPIRED)
        .sign(private, SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="module")
def desk(caller: Any) -> Iterator[Desk]:
    with taken(socket.SOCK_DGRAM, SERVICE, 0) as free:
        port = free.getsockname()[1]
    desk = Desk(caller, port)
    addresses = [ip_address(SERVICE), ip_address(UNICAST)]
    for certificate, key in (("cert.pem", "key.pem"), ("other-cert.pem", "other-key.pem")):
        write_certificate(desk.home / certificate, desk.home / key, ["voice.example"], addresses)
    write_expired(desk.home / "expired.pem", desk.home / "key.pem")
    shutil.copy(desk.home / "key.pem", desk.home / "secret.pem")
    if os.geteuid() == 0:
        for path in desk.home.iterdir():
            os.chown(path, NOBODY, NOBODY)
    (desk.home / "secret.pem").chmod(0)
    (desk.home / "taken").mkdir()
    (desk.home / "taken").chmod(0o755 if os.geteuid() == 0 else 0o555)
    yield desk
    (desk.home / "taken").chmod(0o755)


HERE_NOT = (f'addresses = ["{SERVICE}"]', f'addresses = ["{ELSEWHERE}"]')
MANAGED = ("manage_addresses = false", "")

# What is changed -> the exit code, where it is and what to do about it.
WRONG: dict[str, tuple[list[tuple[str, str]], int, str, str]] = {
    "unknown key": (
        [("port =", "prot =")],
        USAGE,
        "$.service.prot",
        "unknown key; did you mean 'port'?",
    ),
    "overlapping addresses": (
        [(UNICAST, SERVICE)],
        USAGE,
        "$.unicast.addresses[0]",
        "127.0.0.1 is also $.service.addresses[0]; one address has one purpose",
    ),
    "no certificate": (
        [("cert.pem", "no.pem")],
        USAGE,
        "$.tls.certificate",
        "no.pem: No such file or directory; put the file there or correct the path",
    ),
    "expired certificate": (
        [("cert.pem", "expired.pem")],
        USAGE,
        "$.tls.certificate",
        "expired.pem: expired on 2024-05-17 12:00 UTC; renew it",
    ),
    "key of another certificate": (
        [("key.pem", "other-key.pem")],
        USAGE,
        "$.tls.private_key",
        "other-key.pem: does not belong to the first certificate",
    ),
    "unreadable key": (
        [("key.pem", "secret.pem")],
        UNREACHABLE,
        "$.tls.private_key",
        "secret.pem: no permission; let this user have it, or run as its owner",
    ),
    "unknown backend": (
        [("echo", "ehco")],
        USAGE,
        "$.voice.backend",
        "backend 'ehco': not installed; choose one of demo, echo, ",
    ),
    "somebody else's directory": (
        [('"state"', '"taken/state"')],
        UNREACHABLE,
        "$.state.directory",
        "taken/state: no permission; let this user have it, or run as its owner",
    ),
    "address of another host": (
        [HERE_NOT],
        UNREACHABLE,
        "192.0.2.1:PORT/udp",
        "not on this host; put it on an interface ('ip address add 192.0.2.1 dev lo')",
    ),
    "no CAP_NET_ADMIN": (
        [HERE_NOT, MANAGED],
        UNREACHABLE,
        "cannot put 192.0.2.1 on lo",
        "grant CAP_NET_ADMIN, or set it up outside the node and put 'manage_addresses = false' in [service]",
    ),
    "no directory for the admin socket": (
        [("admin.sock", "no/admin.sock")],
        UNREACHABLE,
        "HOME/no/admin.sock",
        "make its directory and give it to this user, or set 'socket' in [admin]",
    ),
}


@pytest.mark.parametrize("changes, code, where, remedy", WRONG.values(), ids=WRONG)
def test_a_configuration_that_cannot_be_run(
    desk: Desk, changes: list[tuple[str, str]], code: int, where: str, remedy: str
) -> None:
    where = where.replace("PORT", str(desk.port)).replace("HOME", str(desk.home))
    desk.assert_refused(desk.run(desk.write(*changes)), code, where, remedy)


def test_a_file_that_is_no_configuration(desk: Desk) -> None:
    missing = desk.home / "no.toml"
    desk.assert_refused(desk.run(missing), USAGE, str(missing), "No such file or directory")
    broken = desk.home / "broken.toml"
    broken.write_text("[node\n")
    desk.assert_refused(desk.run(broken), USAGE, str(broken), "is not TOML")


def test_a_port_that_somebody_has(desk: Desk) -> None:
    config = desk.write()
    for address in (SERVICE, UNICAST):
        with taken(socket.SOCK_DGRAM, address, desk.port):
            done = desk.run(config)
        where = f"{address}:{desk.port}/udp"
        desk.assert_refused(done, UNREACHABLE, where, f"'ss -lunp sport = :{desk.port}' and stop it")


def test_a_metrics_port_that_somebody_has(desk: Desk) -> None:
    """Found out when everything else is up already, and has to come down again."""
    with taken(socket.SOCK_STREAM, UNICAST, 0) as theirs:
        port = theirs.getsockname()[1]
        done = desk.run(desk.write(more=f'[metrics]\nlisten = "{UNICAST}:{port}"\n'))
    where = f"{UNICAST}:{port}/tcp"
    desk.assert_refused(done, UNREACHABLE, where, f"'ss -ltnp sport = :{port}' and stop it")


def test_a_second_node_at_the_admin_socket_of_the_first(desk: Desk) -> None:
    command = desk.caller.command(sys.executable, "-P", "-m", "edge.cli", "node", "run", "--config")
    with subprocess.Popen(
        [*command, str(desk.write())], env=desk.caller.environment, stderr=subprocess.PIPE, text=True
    ) as first:
        try:
            assert first.stderr is not None
            assert "event=node_up" in first.stderr.readline()
            before = desk.processes()
            other_ports = (f"port = {desk.port}", f"port = {desk.port + 1}")
            second = desk.run(desk.write(other_ports, name="second.toml"))
            assert second.stderr == (
                f"edgectl: error: {desk.home}/admin.sock: process {first.pid} is already running here; "
                "stop it or choose another path\n"
            )
            assert second.returncode == UNREACHABLE
            assert desk.processes() == before  # the first and its workers, unharmed
            with socket.socket(socket.AF_UNIX) as admin:
                admin.connect(str(desk.home / "admin.sock"))
        finally:
            first.terminate()
        assert first.wait(10) == 0
    desk.assert_nothing_left()


def on_a_host(*command: str) -> list[str]:
    """``command`` with a network of its own, in which it is root."""
    unshare = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c", HOST, "sh")
    return [*unshare, *command]


def test_no_exabgp(desk: Desk) -> None:
    """With an interpreter beside which there is none; the workers are up by then, and the address on lo."""
    python = desk.home / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(Path(sys.executable).resolve())
    config = desk.write(HERE_NOT, (UNICAST, "203.0.113.11"), MANAGED, more=BGP)
    packages = f"{sysconfig.get_path('purelib')}:{ROOT}"
    done = desk.caller.run(
        *("env", "PATH=/usr/bin:/bin:/usr/sbin:/sbin", f"PYTHONPATH={packages}"),
        *on_a_host(str(python), "-P", "-m", "edge.cli", "node", "run", "--config", str(config)),
    )
    where, remedy = "$.bgp: cannot start exabgp", f"no such program in {python.parent}"
    desk.assert_refused(done, UNREACHABLE, where, remedy, stdout="127.0.0.1/8\n203.0.113.11/32\n::1/128\n")


def test_no_bird(desk: Desk) -> None:
    without = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", WITHOUT_BIRD, bird.executable())
    done = desk.caller.run(*without, sys.executable, "-P", "-m", "edge.cli", "lab", "run", "overload")
    desk.assert_refused(done, UNREACHABLE, "bird", "not found; install the Debian package bird2")
