"""The files that a node lives on: the certificate and its key, the key ring, and who may read what is secret."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509

from edge.config import NodeConfig, key_file, load_credentials, load_keys, load_members, load_token_keys
from edge.doctor.finding import Finding, fail, ok, warn
from edge.errors import ConfigError, EdgeError, UnreachableError
from edge.runtime.admin_tls import TlsFiles
from edge.spans import span

RENEW: Final = timedelta(days=10)
"""A certificate that has less to live should have been renewed by now."""
ROTATE: Final = timedelta(days=366)
ROOM_WARN: Final = 200 << 20
ROOM_FAIL: Final = 1 << 20
"""Bytes that are left. A node keeps little, and cannot keep a hold or a drain on a full disk."""
TOLD: Final = 4  # names

_AS_ROOT: Final = "run edgectl doctor as root, to have this looked at"


def check_certificate(config: NodeConfig, now: datetime) -> Iterator[Finding]:
    """Can it be served, for how long, and is it for the names by which the node is called?"""
    check, path = "certificate", config.tls.certificate
    try:
        load_credentials(config, now)
    except UnreachableError as error:
        yield warn(check, f"not looked at: {error}", _AS_ROOT)
    except EdgeError as error:
        yield fail(check, str(error), "put a chain and its key in their places, then: edgectl node reload")
        return
    try:
        leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError):
        return  # has been told above
    yield _life(check, path, leaf, now, "renew it, then: edgectl node reload")
    missing = _not_covered(config, leaf)
    if missing:
        yield warn(
            "certificate names",
            f"callers are sent to {' and '.join(missing)}, which it is not for; they will not stay",
            "have it made for that name, or set unicast.name to one that it has",
        )
    else:
        yield ok("certificate names", "it is for where callers are sent")


def check_admin_certificate(config: NodeConfig, now: datetime) -> Iterator[Finding]:
    """The one that the admin routes have over HTTPS, where they are."""
    check, admin = "admin certificate", config.admin
    if admin.listen is None or admin.ca is None or admin.certificate is None or admin.private_key is None:
        return  # a configuration with one of them has all
    try:
        leaf = x509.load_pem_x509_certificates(admin.certificate.read_bytes())[0]
        TlsFiles(admin.ca, admin.certificate, admin.private_key).context()
    except PermissionError as error:
        yield warn(check, f"not looked at: {error.filename}: {error.strerror}", _AS_ROOT)
    except (OSError, ValueError) as error:
        yield fail(check, f"{admin.certificate}: {error}", "put a chain there, leaf first, in PEM")
    except ConfigError as error:
        if isinstance(error.__cause__, PermissionError):
            yield warn(check, f"not looked at: {error}", _AS_ROOT)
        else:
            yield fail(check, str(error), "put the three files right; the node would not start with them")
    else:
        yield _life(check, admin.certificate, leaf, now, "renew it; the node takes it over within a second")


def _life(check: str, path: Path, leaf: x509.Certificate, now: datetime, remedy: str) -> Finding:
    """How long it is good, and for what."""
    left = leaf.not_valid_after_utc - now
    if left.total_seconds() <= 0:
        return fail(check, f"{path}: ended {span(-left.total_seconds())} ago", remedy)
    if left < RENEW:
        return warn(check, f"{path}: ends in {span(left.total_seconds())}", remedy)
    return ok(check, f"{path}: good for {left.days} d, for {_told(_names(leaf))}")


def _told(names: list[str]) -> str:
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return (", ".join(names[:TOLD]) or "no name at all") + more


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _not_covered(config: NodeConfig, leaf: x509.Certificate) -> list[str]:
    """Who is moved by QUIC keeps the name it has called; who calls anew is told the unicast name, or the address."""
    names = _names(leaf)
    if config.unicast.name is not None:
        return [] if any(_matches(config.unicast.name, name) for name in names) else [config.unicast.name]
    return [str(address) for address in config.unicast.addresses if str(ip_address(address)) not in names]


def _matches(host: str, name: str) -> bool:
    """RFC 6125, section 6.4.3: a star stands for one label, the first."""
    host, name = host.lower(), name.lower()
    return host == name or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def check_key_ring(config: NodeConfig, now: datetime, in_use: int | None) -> Iterator[Finding]:
    """``in_use``: the version that the running node has, None if none runs."""
    check, path = "key ring", key_file(config)
    try:
        ring = load_keys(config, make=False)
    except UnreachableError as error:
        yield warn(check, f"not looked at: {error}", _AS_ROOT)
        return
    except EdgeError as error:
        if config.keys.file is None and not path.exists():
            yield ok(check, f"{path}: none yet; the node makes its own at its first start")
        else:
            yield fail(
                check,
                str(error),
                "put the fleet's ring there (edgectl keys show FILE tells whether it is one)",
            )
        return
    age = now - ring.issuing.created
    if in_use is not None and in_use != ring.version:
        found = f"{path}: version {ring.version}, and the node still has {in_use}"
        yield warn(check, found, "see 'problems' in its status; it takes a ring over within a second")
    elif age > ROTATE:
        yield warn(check, f"{path}: its keys are {age.days} d old", "edgectl keys rotate")
    else:
        yield ok(check, f"{path}: version {ring.version}, its keys are {span(age.total_seconds())} old")
    if config.keys.file is None and config.fleet.file is not None:
        yield fail(check, "a node of a fleet, with a ring of its own", "set keys.file to the fleet's ring")


def check_other_files(config: NodeConfig) -> Iterator[Finding]:
    """What else is read at the start."""
    for check, look in (("members file", load_members), ("token keys", load_token_keys)):
        try:
            look(config)
        except UnreachableError as error:
            yield warn(check, f"not looked at: {error}", _AS_ROOT)
        except EdgeError as error:
            yield fail(check, str(error), "put the file right; the node would not start with it")


def check_state(
    config: NodeConfig, look: Callable[[Path], os.statvfs_result] = os.statvfs
) -> Iterator[Finding]:
    """Is there room where the node keeps its holds, its drain and its key? ``look`` is asked for the file system."""
    check, path = "state", config.state.directory
    there = next((one for one in (path, *path.parents) if one.is_dir()), path)
    system = look(there)
    free = system.f_bavail * system.f_frsize
    if system.f_flag & os.ST_RDONLY:
        yield fail(
            check,
            f"{path}: its file system is read-only",
            "look at the disk (journalctl -k), then: mount -o remount,rw",
        )
    elif free < ROOM_FAIL or (system.f_files and not system.f_favail):
        yield fail(
            check, f"{path}: the disk is full", "make room: journalctl --vacuum-size=200M; du -xh / | sort -h"
        )
    elif free < ROOM_WARN:
        yield warn(
            check,
            f"{path}: {free >> 20} MiB are left",
            "make room: journalctl --vacuum-size=200M; du -xh / | sort -h",
        )
    else:
        yield ok(check, f"{path}: {free >> 20} MiB are left")


def secret_files(config: NodeConfig) -> dict[str, Path]:
    """By what they are: everything that is nobody's business but the node's."""
    files = {"tls.private_key": config.tls.private_key, "keys.file": key_file(config)}
    if config.auth.keys_file is not None:
        files["auth.keys_file"] = config.auth.keys_file
    if config.admin.private_key is not None:
        files["admin.private_key"] = config.admin.private_key
    for index, neighbor in enumerate(config.bgp.neighbors if config.bgp else ()):
        if neighbor.md5_file:
            files[f"bgp.neighbors[{index}].md5_file"] = Path(neighbor.md5_file)
    for name, table in config.backends.items():
        for key, value in table.items():
            if key.endswith("_file") and isinstance(value, str):
                files[f"backends.{name}.{key}"] = Path(value)
    return files


def check_secrets(config: NodeConfig) -> Iterator[Finding]:
    """Whether others on this machine can read them; what they hold is not looked at."""
    check, good = "secret files", 0
    for key, path in secret_files(config).items():
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            if key != "keys.file" or config.keys.file is not None:
                yield fail(check, f"{key}: {path} is not there", "put it there")
            continue
        except OSError as error:
            yield warn(check, f"{key}: {path}: not looked at: {error.strerror}", _AS_ROOT)
            continue
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            yield fail(check, f"{key}: everybody on this machine can read {path}", f"chmod o= {path}")
        else:
            good += 1
    if good:
        yield ok(check, f"{good} that others cannot read")
