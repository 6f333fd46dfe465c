"""Certificates and keys: the usual mistakes, each told in one line before anything listens."""

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from sim.world import make_identity

from edge.errors import UsageError
from edge.quic import Identity

IDENTITY, CERTIFICATE = make_identity()


def pem(key: object, encryption: KeySerializationEncryption | None = None) -> bytes:
    data: bytes = key.private_bytes(  # type: ignore[attr-defined]
        Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()
    )
    return data


def test_a_chain_is_read_leaf_first() -> None:
    authority = make_identity("authority")[1]
    identity = Identity.from_pem(CERTIFICATE + authority, pem(IDENTITY.key))
    assert identity.certificate == IDENTITY.certificate
    assert [len(identity.chain), identity.key.public_key()] == [1, IDENTITY.key.public_key()]


@pytest.mark.parametrize(
    "certificate, key, complaint",
    [
        (b"", pem(IDENTITY.key), "certificate: not a PEM"),
        (b"-----BEGIN CERTIFICATE-----\nnonsense\n", pem(IDENTITY.key), "certificate: not a PEM"),
        (CERTIFICATE, b"", "private key: not an unencrypted PEM key"),
        (CERTIFICATE, CERTIFICATE, "private key: not an unencrypted PEM key"),
        (CERTIFICATE, pem(IDENTITY.key, BestAvailableEncryption(b"x")), "private key: not an unencrypted"),
        (CERTIFICATE, pem(ed25519.Ed25519PrivateKey.generate()), "does not belong"),
        (CERTIFICATE, pem(rsa.generate_private_key(65537, 2048)), "does not belong"),
        (CERTIFICATE, pem(ec.generate_private_key(ec.SECP384R1())), "does not belong"),
        (CERTIFICATE, pem(ec.generate_private_key(ec.SECP521R1())), "must be RSA, ECDSA on P-256"),
        (CERTIFICATE, pem(dsa.generate_private_key(1024)), "must be RSA, ECDSA on P-256"),
    ],
    ids=[
        "no certificate",
        "broken certificate",
        "no key",
        "certificate for key",
        "encrypted key",
        "other key",
        "other kind of key",
        "other curve",
        "curve TLS here cannot use",
        "DSA",
    ],
)
def test_a_mistake_is_named(certificate: bytes, key: bytes, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Identity.from_pem(certificate, key)


def test_secrets_do_not_show_in_a_log() -> None:
    assert "private_key" not in repr(IDENTITY)
    assert "key=" not in repr(IDENTITY)
