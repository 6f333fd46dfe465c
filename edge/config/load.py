"""From the text of a configuration file to a `NodeConfig`; every mistake is one line that names its key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from edge.config.checks import check, problems
from edge.config.schema import NodeConfig
from edge.config.values import decoder_hook
from edge.errors import ConfigError, UnreachableError

Struct = TypeVar("Struct", bound=msgspec.Struct)

_FIELD = re.compile(r"`(?P<name>[^`]*)`")
_MEANT = re.compile(r"unknown key; did you mean '(?P<name>\w+)'")
_KEY_FIRST = re.compile(r"(?P<key>(?P<name>\w+)(?:\[\d+\])?)(?P<colon>: )?")


def load_config(path: Path) -> NodeConfig:
    """Read and check a configuration file. Raises `ConfigError`, and `UnreachableError` without permission."""
    return parsed(read_text(path), path)


def read_text(path: Path, *, remedy: str = "check the path") -> str:
    """What the file holds. Raises as `load_config` does; ``remedy`` is what to do where there is none."""
    try:
        return path.read_text()
    except PermissionError as error:
        raise UnreachableError(
            f"{path}: no permission; let this user read it, or run as its owner"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(str(path), f"cannot be read: {reason}; {remedy}") from error


def parsed(text: str, path: Path) -> NodeConfig:
    """What ``text`` means, which the file at ``path`` holds. Raises `ConfigError`."""
    try:
        return parse_config(text, path.absolute().parent)
    except msgspec.DecodeError as error:
        raise ConfigError(str(path), f"is not TOML: {error}") from error


def parse_config(text: str, directory: Path) -> NodeConfig:
    """Parse and check; relative paths in it start at ``directory``.

    Raises `ConfigError`, and msgspec.DecodeError for what is not even TOML.
    """
    try:
        config = msgspec.toml.decode(text, type=NodeConfig, dec_hook=decoder_hook(directory))
    except msgspec.ValidationError as error:
        raise explained(error) from error
    config = _completed(config, msgspec.toml.decode(text), directory)
    check(config)
    return config


def read_tables(tables: Mapping[str, Any], directory: Path) -> tuple[NodeConfig | None, list[ConfigError]]:
    """What `parse_config` makes of a file that is read already, or all that is wrong with it at once."""
    config, errors = decoded(tables, NodeConfig, directory)
    if config is None:
        return None, errors
    if not errors:
        config = _completed(config, tables, directory)
    found = [error for error in problems(config) if not _follows(error, errors)]
    return (None if errors or found else config), [*errors, *found]


def decoded(
    tables: Mapping[str, Any], kind: type[Struct], directory: Path
) -> tuple[Struct | None, list[ConfigError]]:
    """``tables`` as a ``kind``, and everything that is wrong with them: that is taken out, for the rest to be read.

    None if what is left is none.
    """
    left: dict[str, Any] = deepcopy(dict(tables))
    errors: list[ConfigError] = []
    renamed: list[ConfigError] = []
    while True:
        try:
            value = msgspec.convert(left, kind, dec_hook=decoder_hook(directory))
        except msgspec.ValidationError as error:
            problem = explained(error, kind)
            if not _follows(problem, [*errors, *renamed]):
                errors.append(problem)
            meant = _MEANT.search(problem.problem)
            if meant is not None:
                table, _, _ = problem.where.rpartition(".")
                renamed.append(ConfigError(f"{table}.{meant['name']}", problem.problem))
            if not _take_out(left, problem.where, meant and meant["name"]):
                return None, errors
        else:
            return value, errors


def _follows(error: ConfigError, known: list[ConfigError]) -> bool:
    """Whether ``error`` is so because of what was taken out: its path leads to that of a ``known`` one, or from there."""
    return any(
        long == short or long.startswith((f"{short}.", f"{short}["))
        for short, long in (sorted((error.where, other.where), key=len) for other in known)
    )


def _take_out(tables: dict[str, Any], where: str, meant: str | None) -> bool:
    """The innermost key at ``where`` that is there; false if there is none. What is under it may be ``meant`` for another."""
    parts = [name or int(index) for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", where)]
    for length in range(len(parts), 0, -1):
        table: Any = tables
        *outer, key = parts[:length]
        try:
            for part in outer:
                table = table[part]
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(table, dict) and key in table:
            value = table.pop(key)
            if meant is not None:
                table.setdefault(meant, value)
            return True
    return False


def _completed(config: NodeConfig, tables: Mapping[str, Any], directory: Path) -> NodeConfig:
    config = _with_absolute_files(_with_absolute_md5_files(config, directory), directory)
    return _with_capacity_of_all_workers(config, tables)


def _with_absolute_md5_files(config: NodeConfig, directory: Path) -> NodeConfig:
    if config.bgp is None:
        return config
    neighbors = tuple(
        msgspec.structs.replace(neighbor, md5_file=neighbor.md5_file and str(directory / neighbor.md5_file))
        for neighbor in config.bgp.neighbors
    )
    return msgspec.structs.replace(config, bgp=msgspec.structs.replace(config.bgp, neighbors=neighbors))


def _with_absolute_files(config: NodeConfig, directory: Path) -> NodeConfig:
    """Of the backends' tables, which are the backends' own to read: by agreement a file's key ends in ``_file``."""
    backends = {
        name: {
            key: str(directory / value) if key.endswith("_file") and isinstance(value, str) else value
            for key, value in table.items()
        }
        for name, table in config.backends.items()
    }
    return msgspec.structs.replace(config, backends=backends)


def _with_capacity_of_all_workers(config: NodeConfig, tables: Mapping[str, Any]) -> NodeConfig:
    """The defaults are one worker's."""
    overload = config.overload
    given = tables.get("overload", {}).get("capacity", {})
    capacity = overload.capacity.of_workers(config.workers.count, given=given)
    return msgspec.structs.replace(config, overload=msgspec.structs.replace(overload, capacity=capacity))


def explained(error: msgspec.ValidationError, kind: type[msgspec.Struct] = NodeConfig) -> ConfigError:
    """What msgspec says about a file of ``kind``, in an operator's words and with the path down to the key."""
    problem, _, path = _one_line(str(error)).partition(" - at `$")
    where = "$" + path.removesuffix("`")
    known = _keys_at(where, kind)
    name = _FIELD.search(problem)
    if problem.startswith("Object contains unknown field") and name:
        return ConfigError(f"{where}.{name['name']}", _unknown(name["name"], known))
    if problem.startswith("Object missing required field") and name:
        return ConfigError(f"{where}.{name['name']}", "is missing; it has no default")
    # A struct's own check knows no path; by agreement its message starts with the key it is about.
    key = _KEY_FIRST.match(problem)
    if key and key["name"] in known:
        where = f"{where}.{key['key']}"
        problem = problem[key.end() :] if key["colon"] else problem
    return ConfigError(where, problem.replace("`", "").replace("Expected", "expected"))


def _one_line(text: str) -> str:
    """A quoted key or value of the file may hold line breaks; an error never does."""
    return " ".join(text.split())


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    advice = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}"
    return f"unknown key; {advice}"


def _keys_at(path: str, kind: Any) -> list[str]:
    """The keys that may stand at ``path``, which leads from ``kind`` to a table or to a value in one."""
    for name in re.findall(r"\.(\w+)", path):
        types = {field.name: field.type for field in msgspec.structs.fields(kind)}
        kind = next(_structs_in(types[name]), None)
        if kind is None:
            return []
    return [field.name for field in msgspec.structs.fields(kind)]


def _structs_in(annotation: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for inner in get_args(annotation):
        yield from _structs_in(inner)
