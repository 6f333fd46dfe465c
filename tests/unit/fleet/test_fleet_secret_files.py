"""The operator's secret files: there, closed to others, and such that a node can use them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from edge.config.key_file import write_ring
from edge.fleet import load_fleet
from edge.fleet.secret_files import secret_problems
from edge.keys import KeyRing

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def _pair() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM), key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


@pytest.fixture
def place(tmp_path: Path, base: str) -> Path:
    """With every file as it is to be."""
    (tmp_path / "fleet.toml").write_text(base)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    certificate, key = _pair()
    for name, content in (("chain.pem", certificate), ("key.pem", key), ("bgp-md5.key", b"x")):
        (secrets / name).write_bytes(content)
        (secrets / name).chmod(0o640)
    write_ring(secrets / "ring.toml", KeyRing.new(bytes(32), NOW))
    return tmp_path


def problems_of(place: Path, now: datetime = NOW) -> list[str]:
    problems = secret_problems(load_fleet(place / "fleet.toml"), now)
    return [str(problem).removeprefix(f"{place}/") for problem in problems]


def test_nothing_is_wrong_with_good_files(place: Path) -> None:
    assert problems_of(place) == []


def test_missing_files_are_told_at_their_lines(place: Path) -> None:
    for file in (place / "secrets").iterdir():
        file.unlink()
    found = problems_of(place)
    assert [line.partition(": ")[0] for line in found] == [f"fleet.toml:{line}" for line in (6, 7, 8, 9)]
    assert "make it with 'edgectl keys new'" in found[0]


@pytest.mark.parametrize("name", ["key.pem", "ring.toml", "bgp-md5.key"])
def test_what_others_may_read_is_no_secret(place: Path, name: str) -> None:
    file = place / "secrets" / name
    file.chmod(0o644)
    (found,) = problems_of(place)
    assert f"everybody on this machine may read it; run 'chmod o= {file}'" in found
    assert "PRIVATE" not in found


def test_a_certificate_may_be_read_by_all(place: Path) -> None:
    (place / "secrets" / "chain.pem").chmod(0o644)
    assert problems_of(place) == []


@pytest.mark.parametrize(
    "name,where,says",
    [
        ("ring.toml", "fleet.toml:6: $.secrets.key_ring", "issue"),
        ("chain.pem", "fleet.toml:7: $.secrets.certificate", "no PEM certificate in it"),
        ("key.pem", "fleet.toml:8: $.secrets.private_key", ""),
        ("bgp-md5.key", "fleet.toml:9: $.secrets.bgp_md5", "is empty"),
    ],
)
def test_a_file_that_holds_something_else(place: Path, name: str, where: str, says: str) -> None:
    content = {"ring.toml": b"version = 1\n", "bgp-md5.key": b""}.get(name, b"not PEM")
    (place / "secrets" / name).write_bytes(content)
    (found,) = problems_of(place)
    assert found.startswith(where)
    assert says in found


def test_a_key_of_another_certificate(place: Path) -> None:
    (place / "secrets" / "key.pem").write_bytes(_pair()[1])
    (found,) = problems_of(place)
    assert found.startswith("fleet.toml:8: $.secrets.private_key")


def test_a_certificate_that_has_ended(place: Path) -> None:
    (found,) = problems_of(place, NOW + timedelta(days=31))
    assert found.startswith("fleet.toml:7: $.secrets.certificate")
    assert "expired" in found


def test_what_is_in_a_vault_is_not_looked_into(place: Path) -> None:
    for name in ("key.pem", "ring.toml"):
        file = place / "secrets" / name
        file.write_text("$ANSIBLE_VAULT;1.1;AES256\n61\n")
        file.chmod(0o644)  # as in a checkout
    assert problems_of(place) == []


def test_a_nodes_own_file_is_told_at_the_node(place: Path) -> None:
    text = (place / "fleet.toml").read_text() + '[nodes.secrets]\ncertificate = "fra.pem"\n'
    (place / "fleet.toml").write_text(text)
    (found,) = problems_of(place)
    assert found.startswith(f"fleet.toml:{text.count(chr(10))}: $.nodes[2].secrets.certificate: ")
