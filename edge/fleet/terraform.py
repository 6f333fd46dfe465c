"""Nodes that Terraform has made: its output ``edge_nodes``, whose schema is terraform/contract/edge_nodes.schema.json.

They join those of the fleet file. Of a node that both know, what the fleet file says holds, and Terraform fills the rest.
What Terraform says of BGP is weaker than anything that the fleet file says, its defaults included.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.errors import ConfigError, DeadlineError, EdgeError, UnreachableError
from edge.fleet.places import KeyPath, spelled
from edge.fleet.schema import NodeTables

OUTPUT: Final = "edge_nodes"
PROGRAMS: Final = ("terraform", "tofu")
_RUN_TIMEOUT_S: Final = 120.0
_FRAMES: Final = dict.fromkeys(map(ord, "╷│╵"), " ")
"""That Terraform draws around what it says."""

# What a key of a node.toml is called in the output.
_THEIR_NAMES: Final[Mapping[str, str]] = {
    "neighbors": "peers",
    "peer_as": "as",
    "md5_file": "md5_secret_ref",
}


class Peer(msgspec.Struct, frozen=True):
    """``md5_secret_ref``: the name under which the fleet file has the session's password; None for none."""

    address: str
    asn: int = msgspec.field(name="as")
    md5_secret_ref: str | None = None


class Bgp(msgspec.Struct, frozen=True):
    local_as: int
    peers: tuple[Peer, ...]
    router_id: str | None = None


class TerraformNode(msgspec.Struct, frozen=True):
    """One node. Keys that are not ours are left alone."""

    name: str
    site: str
    server_id: str
    unicast_v4: str | None = None
    unicast_v6: str | None = None
    ssh_host: str | None = None
    ssh_user: str | None = None
    bgp: Bgp | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """``tables``: the fleet file's with the nodes in it. ``origins``: which of their paths came from ``source``, and whence.

    ``layers``: what ``source`` says of a node's own configuration, by its name.
    """

    source: str
    tables: dict[str, Any]
    origins: dict[KeyPath, str] = field(default_factory=dict)
    layers: dict[str, NodeTables] = field(default_factory=dict)


def read_nodes(source: Path) -> dict[str, TerraformNode]:
    """``source`` is a folder that Terraform has been applied in, or a file with what ``terraform output -json`` printed.

    Raises `ConfigError` for what is no such output, `UnreachableError` where Terraform or the file is missing.
    """
    return parse_nodes(_output(source) if source.is_dir() else _content(source), str(source))


def parse_nodes(text: str | bytes, source: str) -> dict[str, TerraformNode]:
    """The output alone, or all outputs of which it is one."""
    try:
        value = msgspec.json.decode(text)
        if isinstance(value, dict) and isinstance(value.get(OUTPUT), dict) and "value" in value[OUTPUT]:
            value = value[OUTPUT]["value"]
        nodes = msgspec.convert(value, dict[str, TerraformNode])
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        raise ConfigError(source, f"is no output {OUTPUT}: {problem} ({where.strip('`') or '$'})") from error
    except msgspec.DecodeError as error:
        raise ConfigError(source, f"is not JSON; make it with: terraform output -json {OUTPUT}") from error
    for key, node in nodes.items():
        if key != node.name:
            raise ConfigError(
                f"{source}: $.{key}.name", f"{node.name!r} is not its key in the output, {key!r}"
            )
    return nodes


def join(tables: Mapping[str, Any], nodes: Mapping[str, TerraformNode], source: str) -> Joined:
    """``tables`` of the fleet file and the ``nodes`` of ``source``, by name; those that only Terraform knows come last."""
    joined = Joined(source, deepcopy(dict(tables)))
    entries = joined.tables.setdefault("nodes", [])
    if not isinstance(entries, list):
        return joined  # which the fleet file's reader complains about
    known = {
        entry["name"]: index
        for index, entry in enumerate(entries)
        if isinstance(entry, dict) and isinstance(entry.get("name"), str)
    }
    for name, node in nodes.items():
        if name not in known:
            known[name] = len(entries)
            entries.append({})
            joined.origins["nodes", known[name]] = spelled((name,))
        _fill(joined, known[name], node)
        if node.bgp is not None:
            joined.layers[name] = {"bgp": _bgp(node.bgp)}
        elif not _has_neighbors(joined.tables, entries[known[name]]):
            _offer(joined, ("nodes", known[name], "announce"), False, spelled((name, "bgp")))
    return joined


def their_path(path: KeyPath) -> str:
    """Where in the output that stands which is at ``path`` of a node's layer; the node's name comes first."""
    return spelled(tuple(_THEIR_NAMES.get(part, part) if isinstance(part, str) else part for part in path))


def _fill(joined: Joined, index: int, node: TerraformNode) -> None:
    addresses = [address for address in (node.unicast_v4, node.unicast_v6) if address]
    offered: dict[str, tuple[Any, str]] = {
        "name": (node.name, "name"),
        "site": (node.site, "site"),
        "server_id": (node.server_id, "server_id"),
        "addresses": (addresses, "unicast_v4"),
        "ssh": (node.ssh_host, "ssh_host"),
        "user": (node.ssh_user, "ssh_user"),
    }
    for key, (value, theirs) in offered.items():
        if value is not None:
            _offer(joined, ("nodes", index, key), value, spelled((node.name, theirs)))


def _offer(joined: Joined, path: KeyPath, value: Any, where: str) -> None:
    """Set it where the fleet file says nothing."""
    _, index, key = path
    entry = joined.tables["nodes"][index]
    if key not in entry:
        entry[key] = value
        joined.origins[path] = where


def _bgp(bgp: Bgp) -> dict[str, Any]:
    neighbors = [
        {
            "address": peer.address,
            "peer_as": peer.asn,
            **({} if peer.md5_secret_ref is None else {"md5_file": peer.md5_secret_ref}),
        }
        for peer in bgp.peers
    ]
    router_id = {} if bgp.router_id is None else {"router_id": bgp.router_id}
    return {"local_as": bgp.local_as, "neighbors": neighbors, **router_id}


def _has_neighbors(tables: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether the fleet file names any for this node."""
    site = _at(_at(tables, "sites"), str(entry.get("site")))
    layers = (_at(tables, "defaults"), _at(site, "defaults"), _at(entry, "config"))
    return any("neighbors" in _at(layer, "bgp") for layer in layers)


def _at(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The table there, or an empty one; what is no table is left for the reader to complain about."""
    inner = table.get(key)
    return inner if isinstance(inner, dict) else {}


def _content(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise UnreachableError(
            f"{source}: {error.strerror or error}; make it with: terraform output -json {OUTPUT}"
        ) from error


def _output(folder: Path) -> bytes:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise UnreachableError(
            f"{folder}: needs terraform (or tofu) on the PATH; or name a file with: terraform output -json {OUTPUT}"
        )
    command = [program, f"-chdir={folder}", "output", "-json", "-no-color", OUTPUT]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_RUN_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(f"{folder}: {program} has not answered in {_RUN_TIMEOUT_S:g} s") from error
    except OSError as error:
        raise UnreachableError(f"{folder}: {program} cannot be run: {error.strerror or error}") from error
    if done.returncode != 0:
        said = (
            " ".join(done.stderr.decode("utf-8", "replace").translate(_FRAMES).split())
            or f"exit code {done.returncode}"
        )
        raise EdgeError(f"{folder}: terraform output {OUTPUT}: {said}; has it been applied?")
    return done.stdout
