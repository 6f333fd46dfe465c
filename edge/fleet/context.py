"""Which fleet is meant: one that is named on the command line or in the environment, else the context in use.

Contexts are names for fleet files, kept in a file of the user: ``~/.config/edge/contexts.toml``.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from edge.errors import UnreachableError, UsageError
from edge.whole_file import replace_whole

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
Name = Annotated[str, msgspec.Meta(pattern=f"^{_NAME.pattern}$")]


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``fleet`` is an absolute path."""

    fleet: str


class Contexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them, and the one ``current`` that is meant where none is named; empty for none."""

    current: str = ""
    contexts: dict[Name, Context] = {}

    def add(self, name: str, fleet: Path) -> Contexts:
        """The first one is used from then on. Raises `UsageError` for a name that is none."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name for a context; use letters, digits, - and _")
        contexts = {**self.contexts, name: Context(str(fleet.absolute()))}
        return Contexts(self.current or name, contexts)

    def use(self, name: str) -> Contexts:
        """Raises `UsageError` if there is none of that name, as do the others."""
        self.fleet_of(name)
        return Contexts(name, self.contexts)

    def remove(self, name: str) -> Contexts:
        self.fleet_of(name)
        left = {other: context for other, context in self.contexts.items() if other != name}
        return Contexts("" if self.current == name else self.current, left)

    def fleet_of(self, name: str) -> Path:
        try:
            return Path(self.contexts[name].fleet)
        except KeyError:
            known = ", ".join(self.contexts) or "none"
            raise UsageError(
                f"no context {name!r} (there are: {known}); add it with: edgectl context add {name} FLEET"
            ) from None


def contexts_file(environ: Mapping[str, str] = os.environ) -> Path:
    """By the XDG base directory specification."""
    base = environ.get("XDG_CONFIG_HOME", "")
    # The specification has programs pass over what is no absolute path.
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "edge" / "contexts.toml"


def read_contexts(file: Path) -> Contexts:
    """None where there is no file. Raises `UsageError` or `UnreachableError` with the remedy."""
    try:
        return msgspec.convert(tomllib.loads(file.read_text()), Contexts)
    except FileNotFoundError:
        return Contexts()
    except PermissionError as error:
        raise UnreachableError(
            f"{file}: no permission; make it yours, or name the fleet with --fleet"
        ) from error
    except (OSError, ValueError) as error:  # also what is no UTF-8, no TOML, or of another form
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{file}: {reason}; mend it, or remove it and add the contexts anew") from error


def write_contexts(file: Path, contexts: Contexts) -> None:
    """Whole or not at all; for its user's eyes only. Raises `UnreachableError`."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_whole(file, rendered(contexts).encode())
    except OSError as error:
        raise UnreachableError(f"{file}: cannot be written: {error.strerror}; make it yours") from error


def rendered(contexts: Contexts) -> str:
    """As TOML, whose strings are JSON's as far as paths go."""
    parts = [f"current = {_string(contexts.current)}\n"]
    for name, context in sorted(contexts.contexts.items()):
        parts.append(f"[contexts.{name}]\nfleet = {_string(context.fleet)}\n")
    return "\n".join(parts)


def _string(text: str) -> str:
    # TOML forbids a bare DEL, which JSON allows.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


class Word(msgspec.Struct, frozen=True):
    """A fleet file or a context's name, as somebody said it: ``typed`` on the command line, else in the environment."""

    text: str
    typed: bool


def fleet_file(fleet: Word | None, context: Word | None, file: Path) -> Path | None:
    """The fleet file that is meant; ``file`` has the contexts. None if nothing says which.

    What is typed comes before what the environment says, and that before the context in use. Raises `UsageError` for a
    context that there is not, and for two words of equal weight.
    """
    if fleet and context and fleet.typed == context.typed:
        raise UsageError(
            "--fleet and --context (or $EDGECTL_FLEET and $EDGECTL_CONTEXT) both say which fleet; give one"
        )
    if fleet and not (context and context.typed):
        return Path(fleet.text)
    contexts = read_contexts(file)
    if context:
        return contexts.fleet_of(context.text)
    return contexts.fleet_of(contexts.current) if contexts.current else None
