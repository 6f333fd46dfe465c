"""The files that ``[secrets]`` names: are they there, does nobody else read them, and will a node be able to use them?

A file that ansible-vault has encrypted is not looked into.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from edge.config import load_credentials, load_keys, load_token_keys
from edge.config.schema import Keys, NodeConfig, Tls
from edge.errors import ConfigError
from edge.fleet.model import Fleet, Node
from edge.fleet.places import KeyPath, nearest, spelled
from edge.fleet.problems import Problem
from edge.fleet.schema import Secrets

_VAULT: Final = b"$ANSIBLE_VAULT;"
_PUBLIC: Final = frozenset({"certificate"})
_REMEDY: Final = {
    "key_ring": "make it with 'edgectl keys new'",
    "token_keys": "make it with 'edgectl token key'",
}
# What the readers of a node's own files call the keys.
_KEYS: Final = {
    "$.tls.certificate": "certificate",
    "$.tls.private_key": "private_key",
    "$.keys.file": "key_ring",
    "$.auth.keys_file": "token_keys",
}


def secret_problems(fleet: Fleet, now: datetime) -> list[Problem]:
    """``now`` has a time zone: certificates end."""
    found: list[Problem] = []
    done: set[tuple[str, Path]] = set()
    for index, node in enumerate(fleet.nodes):
        for key, what in _wrong(node, done, now):
            own = ("nodes", index, "secrets", key)
            path: KeyPath = own if own in fleet.lines else ("secrets", key)
            found.append(Problem(str(fleet.file), nearest(fleet.lines, path) or 0, spelled(path), what))
    return sorted(found)


def _wrong(node: Node, done: set[tuple[str, Path]], now: datetime) -> Iterator[tuple[str, str]]:
    """Key and problem. What is ``done`` is not told again."""
    named = node.secrets.named()
    fresh = {key for key, path in named.items() if (key, path) not in done}
    done.update(named.items())
    plain: set[str] = set()
    for key, path in named.items():
        what = _not_usable(key, path)
        if what is not None and key in fresh:
            yield key, what
        elif what is None and not _is_vault(path):
            plain.add(key)
    config = _with_files(node.config, node.secrets)
    readers: tuple[tuple[set[str], Callable[[], object]], ...] = (
        ({"certificate", "private_key"}, lambda: load_credentials(config, now)),
        ({"key_ring"}, lambda: load_keys(config, make=False)),
        ({"token_keys"}, lambda: load_token_keys(config)),
    )
    for keys, read in readers:
        if keys <= plain and keys & fresh:
            try:
                read()
            except ConfigError as error:
                yield _KEYS[error.where], error.problem


def _not_usable(key: str, path: Path) -> str | None:
    """What is wrong with the file, as far as that is seen from outside."""
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        return f"{path}: {error.strerror or error}; {_REMEDY.get(key, 'put it there or correct the path')}"
    if empty:
        return f"{path}: is empty"
    if key not in _PUBLIC and mode & stat.S_IRWXO and not _is_vault(path):
        return f"{path}: everybody on this machine may read it; run 'chmod o= {path}'"
    return None


def _is_vault(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_VAULT)) == _VAULT


def _with_files(config: NodeConfig, secrets: Secrets) -> NodeConfig:
    """``config`` with the operator's files in the place of the node's."""
    return msgspec.structs.replace(
        config,
        tls=Tls(secrets.certificate, secrets.private_key),
        keys=Keys(secrets.key_ring),
        auth=msgspec.structs.replace(config.auth, mode="token", keys_file=secrets.token_keys),
    )
