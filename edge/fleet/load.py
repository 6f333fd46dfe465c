"""From the operator's fleet file to a `Fleet`; every mistake is one line with the file, the line and the key.

    fleet.toml -> tables -> (terraform's nodes join) -> Document -> a node.toml for each node -> NodeConfig -> Fleet

What is wrong with a node's configuration is told where the fleet file says so: in its own table, its site's, the defaults.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.config.load import decoded, read_tables, read_text
from edge.config.schema import NodeConfig
from edge.config.values import Name
from edge.errors import ConfigError
from edge.fleet.checks import Finding, check_document, check_nodes, check_tables
from edge.fleet.derive import md5_origins, node_tables, secrets_of, socket_of
from edge.fleet.merge import Merged
from edge.fleet.model import Fleet, Node
from edge.fleet.places import KeyPath, nearest, places, spelled, unspelled
from edge.fleet.problems import Problem
from edge.fleet.schema import Access, Document, FleetTable, Monitoring, NodeEntry, NodeTables, Secrets, Site
from edge.fleet.terraform import Joined, join, read_nodes, their_path

_LAYER: Final = "terraform"
_TOML_PLACE = re.compile(r" \(at line (?P<line>\d+), column \d+\)")


def load_fleet(path: Path, *, terraform: Path | None = None) -> Fleet:
    """Read and check. Raises `ConfigError` that names file, line and key; `UnreachableError` without permission.

    ``terraform``: where more nodes come from (`edge.fleet.terraform`), instead of where the file says.
    """
    fleet, problems = read_fleet(path, terraform=terraform)
    wrong = [problem for problem in problems if not problem.note]
    if fleet is None or wrong:
        raise wrong[0].error(others=len(wrong) - 1)
    return fleet


def read_fleet(path: Path, *, terraform: Path | None = None) -> tuple[Fleet | None, list[Problem]]:
    """The fleet, if it is one, and everything that is wrong with the file or worth a note, by line.

    Raises as `load_fleet` does where there is nothing to read.
    """
    text = read_text(path, remedy="check the path, or make one with 'edgectl fleet init'")
    return parse_fleet(text, path, terraform=terraform)


def is_fleet(text: str) -> bool:
    """Whether ``text`` is to be the operator's file, and not the members file that nodes have: that has no such table."""
    try:
        return "fleet" in tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False


def parse_fleet(
    text: str, path: Path, *, terraform: Path | None = None
) -> tuple[Fleet | None, list[Problem]]:
    """`read_fleet` for a ``text`` that is to be at ``path``."""
    return _Reading(path, text, terraform).fleet()


class _Reading:
    """One file on its way."""

    def __init__(self, path: Path, text: str, terraform: Path | None) -> None:
        self._path, self._text, self._terraform = path, text, terraform
        self._directory = path.absolute().parent
        self._problems: list[Problem] = []
        self._lines: dict[KeyPath, int] = {}
        self._joined: Joined | None = None

    def fleet(self) -> tuple[Fleet | None, list[Problem]]:
        fleet = self._fleet()
        return fleet, sorted(self._problems)

    def _fleet(self) -> Fleet | None:
        try:
            tables = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            place = _TOML_PLACE.search(str(error))
            line = int(place["line"]) if place else self._text.count("\n") + 1
            self._problems.append(
                Problem(str(self._path), line, "$", f"is not TOML: {_TOML_PLACE.sub('', str(error))}")
            )
            return None
        self._lines = places(self._text)
        document = self._document(self._with_terraform(tables))
        if document is None:
            return None
        self._say_all(check_document(document))
        nodes = self._nodes(document)
        if nodes is None:
            return None
        self._say_all(check_nodes(nodes))
        return Fleet(
            file=self._path,
            name=document.fleet.name,
            version=document.fleet.version,
            access=document.access,
            secrets=document.secrets,
            monitoring=document.monitoring,
            sites=document.sites,
            nodes=nodes,
            lines=self._lines,
        )

    def _say_all(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._say(finding.path, finding.what, note=finding.note)

    def _say(self, path: KeyPath, what: str, *, note: bool = False) -> None:
        elsewhere = self._in_terraform(path)
        if elsewhere is not None and self._joined is not None:
            self._problems.append(Problem(self._joined.source, 0, elsewhere, what, note))
            return
        line = nearest(self._lines, path) or 0
        self._problems.append(Problem(str(self._path), line, spelled(path), what, note))

    def _with_terraform(self, tables: dict[str, Any]) -> dict[str, Any]:
        named = self._terraform
        if named is None:
            table = tables.get("fleet")
            written = table.get("terraform") if isinstance(table, dict) else None
            named = self._directory / written if isinstance(written, str) else None
        if named is None:
            return tables
        self._joined = join(tables, read_nodes(named), str(named))
        return self._joined.tables

    def _in_terraform(self, path: KeyPath) -> str | None:
        """Where in Terraform's output that is which stands at ``path``; None if the fleet file says it."""
        if self._joined is None:
            return None
        if path[:1] == (_LAYER,):
            return their_path(path[1:])
        for length in range(len(path), 0, -1):
            if path[:length] in self._joined.origins:
                return self._joined.origins[path[:length]]
            if path[:length] in self._lines:
                return None
        return None

    # -- the file's own tables

    def _document(self, tables: dict[str, Any]) -> Document | None:
        """Read table by table, so that what is wrong in one does not hide what is wrong in another."""
        before = len(self._problems)
        pieces = {
            "fleet": self._table(("fleet",), tables, FleetTable),
            "secrets": self._table(("secrets",), tables, Secrets),
            "access": self._table(("access",), tables, Access, needed=False),
            "monitoring": self._table(("monitoring",), tables, Monitoring, needed=False),
            "sites": self._sites(tables.get("sites")),
            "nodes": self._entries(tables.get("nodes")),
            "defaults": tables.get("defaults", {}),
        }
        for key in tables.keys() - pieces.keys():
            self._say((key,), f"unknown key; known are {', '.join(pieces)}")
        if not isinstance(pieces["defaults"], dict):
            self._say(("defaults",), "expected object, got another type; write [defaults.service] and so on")
        if len(self._problems) > before:
            return None
        return Document(**{key: piece for key, piece in pieces.items() if piece is not None})

    def _table(self, path: KeyPath, tables: dict[str, Any], kind: type[Any], *, needed: bool = True) -> Any:
        (key,) = path
        if key not in tables:
            if needed:
                self._say(path, "is missing; see docs/reference/fleet.toml")
            return None
        return self._piece(path, tables[key], kind)

    def _piece(self, path: KeyPath, value: Any, kind: type[Any]) -> Any:
        if not isinstance(value, dict):
            self._say(path, f"expected a table, got {value!r}")
            return None
        piece, errors = decoded(value, kind, self._directory)
        for error in errors:
            self._say((*path, *unspelled(error.where)), error.problem)
        return piece

    def _sites(self, value: Any) -> dict[str, Site] | None:
        if not isinstance(value, dict):
            self._say(("sites",), "is missing; name each place in the world where nodes are: [sites.ams]")
            return None
        for name in value:
            try:
                Name.parse(name)
            except ValueError as error:
                self._say(("sites", name), str(error))
        return {name: self._piece(("sites", name), site, Site) for name, site in value.items()}

    def _entries(self, value: Any) -> tuple[NodeEntry, ...] | None:
        if not isinstance(value, list) or not value:
            self._say(("nodes",), "there are none; write [[nodes]] for each")
            return None
        return tuple(self._piece(("nodes", index), entry, NodeEntry) for index, entry in enumerate(value))

    # -- the nodes' configurations

    def _nodes(self, document: Document) -> tuple[Node, ...] | None:
        """Raises nothing: what is wrong is said."""
        found = [self._node(document, index, entry) for index, entry in enumerate(document.nodes)]
        self._tell_of_nodes(document, [errors for _, _, errors in found])
        self._say_all(dict.fromkeys(finding for _, merged, _ in found for finding in check_tables(merged)))
        nodes = [node for node, _, _ in found if node is not None]
        return tuple(nodes) if len(nodes) == len(found) else None

    def _node(
        self, document: Document, index: int, entry: NodeEntry
    ) -> tuple[Node | None, Merged, list[tuple[KeyPath, ConfigError]]]:
        layers = list(_layers(document, index, entry))
        if self._joined is not None and entry.name in self._joined.layers:
            layers.insert(0, (self._joined.layers[entry.name], (_LAYER, str(entry.name))))
        merged = node_tables(document, index, layers)
        config, errors = read_tables(merged.document, self._directory)
        located = [
            (merged.origin(unspelled(error.where)) or ("nodes", index), _whole(error, merged))
            for error in errors
        ]
        node = None if config is None else _node(document, entry, config, merged)
        return node, merged, located

    def _tell_of_nodes(self, document: Document, errors: list[list[tuple[KeyPath, ConfigError]]]) -> None:
        """A mistake in the defaults is everybody's, and is told once."""
        told: dict[tuple[KeyPath, str, str], list[str]] = {}
        for entry, found in zip(document.nodes, errors, strict=True):
            for origin, error in found:
                told.setdefault((origin, error.where, error.problem), []).append(str(entry.name))
        for (origin, where, problem), names in told.items():
            self._say(origin, f"{problem} ({where} of {_some(names)})")


def _layers(document: Document, index: int, entry: NodeEntry) -> Iterator[tuple[NodeTables, KeyPath]]:
    """From the weakest to the strongest."""
    yield document.defaults, ("defaults",)
    site = document.sites.get(entry.site)
    if site is not None:
        yield site.defaults, ("sites", str(entry.site), "defaults")
    yield entry.config, ("nodes", index, "config")


def _node(document: Document, entry: NodeEntry, config: NodeConfig, merged: Merged) -> Node:
    return Node(
        name=entry.name,
        site=entry.site,
        server_id=entry.server_id,
        addresses=entry.addresses,
        ssh=entry.ssh or str(entry.addresses[0]),
        user=entry.user or document.access.user,
        socket=Path(socket_of(document, entry)),
        url=entry.url,
        announce=entry.announce and config.bgp is not None,
        secrets=_own_secrets(document, entry, merged),
        config=config,
        merged=merged,
    )


def _own_secrets(document: Document, entry: NodeEntry, merged: Merged) -> Secrets:
    """With the one key for TCP MD5 that its neighbors have."""
    secrets = secrets_of(document, entry)
    named = [str(origin[-1]) for origin in md5_origins(merged)]
    file = secrets.md5_files()[named[0]] if named else secrets.bgp_md5
    return msgspec.structs.replace(secrets, bgp_md5=file, md5={})


def _whole(error: ConfigError, merged: Merged) -> ConfigError:
    """With the key in it that is missing: it is told where the table is."""
    path = unspelled(error.where)
    if path in merged.origins or not path or not error.problem.startswith("is missing"):
        return error
    return ConfigError(error.where, f"{path[-1]} {error.problem}")


def _some(names: list[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
