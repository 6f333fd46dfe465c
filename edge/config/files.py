"""The files that a configuration names: the certificate with its key, and the node's secret keys.

A fleet gives its nodes the same secret keys by file. A node that is told of none makes its own, once, in its
state directory: it then keeps its connection IDs, resets and tokens over a restart, and shares them with nobody.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509

from edge.auth import TokenKeys
from edge.config.schema import NodeConfig
from edge.errors import ConfigError, EdgeError, UnreachableError, UsageError
from edge.quic import Identity

CID_KEY_BYTES = 16
RESET_KEY_BYTES = 32
RETRY_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM: the certificate chain, leaf first, and its key; ``expires_at`` is the leaf's end, with time zone."""

    certificate: bytes
    private_key: bytes = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Keys:
    """``cid`` encrypts connection IDs; where their profile does not encrypt, it shuffles their nonces."""

    cid: bytes = field(repr=False)
    reset: bytes = field(repr=False)
    retry: bytes = field(repr=False)


def load_credentials(config: NodeConfig, now: datetime) -> Credentials:
    """Read the certificate and its key, and see that they can be served at ``now`` (with time zone).

    Raises `ConfigError`, or `UnreachableError` where permission is missing.
    """
    path = config.tls.certificate
    certificate = _read("$.tls.certificate", path)
    private_key = _read("$.tls.private_key", config.tls.private_key)
    try:
        leaf = x509.load_pem_x509_certificates(certificate)[0]
    except ValueError as error:
        raise ConfigError("$.tls.certificate", f"{path}: no PEM certificate in it") from error
    if now >= leaf.not_valid_after_utc:
        ended = leaf.not_valid_after_utc
        raise ConfigError("$.tls.certificate", f"{path}: expired on {ended:%Y-%m-%d %H:%M} UTC; renew it")
    if now < leaf.not_valid_before_utc:
        begins = leaf.not_valid_before_utc
        raise ConfigError(
            "$.tls.certificate",
            f"{path}: not valid before {begins:%Y-%m-%d %H:%M} UTC; check this host's clock",
        )
    try:
        Identity.from_pem(certificate, private_key)
    except UsageError as error:
        problem = str(error).removeprefix("private key: ")
        raise ConfigError("$.tls.private_key", f"{config.tls.private_key}: {problem}") from error
    return Credentials(certificate, private_key, leaf.not_valid_after_utc)


def load_token_keys(config: NodeConfig) -> str:
    """The key set that tokens are checked with, "" where none is asked for. Raises as `load_credentials` does."""
    path = config.auth.keys_file
    if config.auth.mode == "none" or path is None:
        return ""
    keys = _read("$.auth.keys_file", path).decode("utf-8", "replace")
    try:
        TokenKeys(keys)
    except UsageError as error:
        raise ConfigError("$.auth.keys_file", f"{path}: {error}") from error
    return keys


def load_keys(config: NodeConfig) -> Keys:
    """Read the node's secret keys, making the state directory and those keys that no file is named for.

    Raises `ConfigError`, or `UnreachableError` where permission is missing.
    """
    directory = config.state.directory
    _make_directory(directory)
    return Keys(
        _key("$.cid.key_file", config.cid.key_file, directory / "cid.key", CID_KEY_BYTES),
        _key("$.quic.reset_key_file", config.quic.reset_key_file, directory / "reset.key", RESET_KEY_BYTES),
        _key("$.quic.retry_key_file", config.quic.retry_key_file, directory / "retry.key", RETRY_KEY_BYTES),
    )


def _key(where: str, named: Path | None, own: Path, length: int) -> bytes:
    if named is None and not own.exists():
        _make_key(own, length)
    path = own if named is None else named
    text = _read(where, path).decode("ascii", "replace").strip()
    if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * length}}}", text):
        raise ConfigError(
            where, f"{path}: not a key of {length} bytes in hex; make one with 'openssl rand -hex {length}'"
        )
    return bytes.fromhex(text)


def _make_directory(path: Path) -> None:
    """Nobody else may look into it. A speaker that runs as its own user has to pass through to its folder."""
    try:
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
    except PermissionError as error:
        raise _unusable("$.state.directory", path, error) from error
    except OSError as error:
        raise ConfigError(
            "$.state.directory", f"{path}: cannot be made: {error.strerror}; choose another directory"
        ) from error


def _make_key(path: Path, length: int) -> None:
    """Write a new key, readable by nobody else; half a key is never there."""
    fresh = path.with_suffix(".new")
    try:
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(secrets.token_hex(length) + "\n")
        fresh.rename(path)
    except OSError as error:
        raise _unusable("$.state.directory", path, error) from error


def _read(where: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unusable(where, path, error) from error


def _unusable(where: str, path: Path, error: OSError) -> EdgeError:
    if isinstance(error, PermissionError):
        return UnreachableError(f"{where}: {path}: no permission; let this user have it, or run as its owner")
    return ConfigError(where, f"{path}: {error.strerror or error}; put the file there or correct the path")
