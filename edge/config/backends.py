"""The backends that a configuration names: installed, and with settings that they understand."""

from __future__ import annotations

import msgspec

from edge.backend.base import load_backend
from edge.config.load import explained
from edge.config.schema import NodeConfig
from edge.errors import ConfigError, UsageError


def backend_names(config: NodeConfig) -> list[str]:
    """All that a caller may get, the one that needs no choosing first."""
    return list(dict.fromkeys((config.voice.backend, *config.voice.backends)))


def check_backends(config: NodeConfig) -> None:
    """Load each, which says what it lacks, and have it read its table. Raises `ConfigError`.

    A backend class with settings names their struct as ``Settings``.
    """
    for name in backend_names(config):
        try:
            kind = getattr(load_backend(name), "Settings", None)
        except UsageError as error:
            where = "backend" if name == config.voice.backend else "backends"
            raise ConfigError(f"$.voice.{where}", str(error)) from error
        table = config.backends.get(name, {})
        if kind is None and table:
            raise ConfigError(f"$.backends.{name}", "this backend has no settings; remove the table")
        if kind is not None:
            _check(name, table, kind)


def _check(name: str, table: dict[str, object], kind: type[msgspec.Struct]) -> None:
    try:
        msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        problem = explained(error, kind)
        where = f"$.backends.{name}" + problem.where.removeprefix("$")
        raise ConfigError(where, problem.problem) from error
    except UsageError as error:  # what the struct itself finds wrong
        raise ConfigError(f"$.backends.{name}", str(error)) from error
