"""The files that a configuration names: the certificate with its key, and the fleet's key ring.

A node that is told of no ring makes its own, once, in its state directory: it then keeps its connection IDs, resets and
tokens over a restart, and shares them with nobody.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from edge.auth import TokenKeys
from edge.config.fleet_file import FleetFile, check_membership, parse_fleet
from edge.config.key_file import read_ring, write_ring
from edge.config.schema import NodeConfig
from edge.errors import ConfigError, EdgeError, UnreachableError, UsageError
from edge.keys import SECRET_BYTES, KeyRing, KeyRingError
from edge.quic import Identity


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM: the certificate chain, leaf first, and its key; ``expires_at`` is the leaf's end, with time zone."""

    certificate: bytes
    private_key: bytes = field(repr=False)
    expires_at: datetime


def load_credentials(config: NodeConfig, now: datetime) -> Credentials:
    """Read the certificate and its key, and see that they can be served at ``now`` (with time zone).

    Raises `ConfigError`, or `UnreachableError` where permission is missing.
    """
    return read_credentials(config.tls.certificate, config.tls.private_key, now)


def read_credentials(path: Path, key_path: Path, now: datetime) -> Credentials:
    """Of whichever node. Raises as `load_credentials` does, with the keys of a configuration."""
    certificate = _read("$.tls.certificate", path)
    private_key = _read("$.tls.private_key", key_path)
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
        raise ConfigError("$.tls.private_key", f"{key_path}: {problem}") from error
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


def key_file(config: NodeConfig) -> Path:
    """Where the node's key ring is."""
    return config.keys.file or config.state.directory / "keys.toml"


def load_keys(config: NodeConfig, *, make: bool = True) -> KeyRing:
    """Read the key ring; ``make`` the state directory, and a ring in it if the configuration names none.

    Raises `ConfigError`, or `UnreachableError` where permission is missing.
    """
    path = key_file(config)
    if make:
        _make_directory(config.state.directory)
    if make and config.keys.file is None and not path.exists():
        try:
            write_ring(path, KeyRing.new(secrets.token_bytes(SECRET_BYTES), datetime.now(UTC)))
        except OSError as error:
            raise _unusable("$.state.directory", path, error) from error
    try:
        return read_ring(path)
    except OSError as error:
        raise _unusable("$.keys.file", path, error) from error
    except KeyRingError as error:
        raise ConfigError("$.keys.file", str(error)) from error


def load_members(config: NodeConfig) -> FleetFile | None:
    """Read the members file; None if the configuration names none. Raises as `load_keys` does."""
    path = config.fleet.file
    if path is None:
        return None
    fleet = read_members(path)
    try:
        check_membership(fleet, config)
    except ConfigError as error:
        raise ConfigError("$.fleet.file", f"{path}: {error}") from error
    return fleet


def read_members(path: Path) -> FleetFile:
    """Of whichever nodes. Raises as `load_keys` does."""
    text = _read("$.fleet.file", path).decode("utf-8", "replace")
    try:
        return parse_fleet(text)
    except ConfigError as error:
        raise ConfigError("$.fleet.file", f"{path}: {error}") from error


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


def _read(where: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unusable(where, path, error) from error


def _unusable(where: str, path: Path, error: OSError) -> EdgeError:
    if isinstance(error, PermissionError):
        return UnreachableError(f"{where}: {path}: no permission; let this user have it, or run as its owner")
    return ConfigError(where, f"{path}: {error.strerror or error}; put the file there or correct the path")
