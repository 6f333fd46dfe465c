"""Tables of ``node.toml`` from several places, laid over each other; and where each key of the result came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from edge.fleet.places import KeyPath


@dataclass(slots=True)
class Merged:
    """``origins``: for each path of ``document`` that of the fleet file which says so."""

    document: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)

    def lay(self, tables: Mapping[str, Any], origin: KeyPath) -> None:
        """Lay ``tables``, which stand at ``origin``, over what is there: tables merge, everything else is replaced."""
        self._lay(self.document, tables, (), origin)

    def put(self, path: KeyPath, value: Any, origin: KeyPath) -> None:
        """Set one key. The last part of ``path`` is a key of a table; tables on the way are made. A list is that of ``origin``."""
        *outer, key = path
        table: Any = self.document
        for length, part in enumerate(outer, 1):
            if isinstance(table, dict) and part not in table:
                table[part] = {}
                self.origins[path[:length]] = origin
            table = table[part]
        self._forget(path)
        table[key] = value
        self._remember(path, value, origin)

    def drop(self, key: str) -> None:
        """Take a table out."""
        self.document.pop(key, None)
        self._forget((key,))

    def get(self, *path: str | int) -> Any:
        """What is at ``path``, or None."""
        value: Any = self.document
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def origin(self, path: KeyPath) -> KeyPath:
        """Of ``path`` or, where that is not there, of the innermost table around it that is."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return ()

    def _lay(self, below: dict[str, Any], above: Mapping[str, Any], path: KeyPath, origin: KeyPath) -> None:
        for key, value in above.items():
            here, there = (*path, key), (*origin, key)
            if isinstance(value, dict) and isinstance(below.get(key), dict):
                self.origins[here] = there
                self._lay(below[key], value, here, there)
            else:
                self._forget(here)
                below[key] = deepcopy(value)
                for inner in _paths(value):
                    self.origins[*here, *inner] = (*there, *inner)

    def _forget(self, path: KeyPath) -> None:
        for known in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[known]

    def _remember(self, path: KeyPath, value: Any, origin: KeyPath) -> None:
        for inner in _paths(value):
            self.origins[*path, *inner] = (*origin, *inner)


def _paths(value: Any) -> Iterator[KeyPath]:
    """Of everything in ``value``, which itself is ()."""
    yield ()
    if isinstance(value, dict):
        inside: Iterator[tuple[str | int, Any]] = iter(value.items())
    elif isinstance(value, list):
        inside = iter(enumerate(value))
    else:
        return
    for key, element in inside:
        for inner in _paths(element):
            yield (key, *inner)
