"""A document as TOML that people read: tables in a given order, keys by the alphabet, and a word on where each comes from.

The same document gives the same text, however it was put together.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge.fleet.places import KeyPath

Comment = Callable[[KeyPath], str]
"""What stands behind the key at a path; "" for nothing."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_COLUMN, _WIDTH = 48, 100


def written(
    document: Mapping[str, Any], *, order: Sequence[str] = (), comment: Comment = lambda _: ""
) -> str:
    """``document`` as TOML. Tables that ``order`` names come first, in that order. Raises TypeError for what TOML has not."""
    ranks = {key: rank for rank, key in enumerate(order)}
    keys = sorted(document, key=lambda key: (ranks.get(key, len(ranks)), key))
    return "\n".join(_blocks({key: document[key] for key in keys}, (), comment))


def quoted(text: str) -> str:
    """``text`` as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def commented(text: str) -> str:
    """``text`` as it may stand in a comment: it ends where its line does."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _blocks(table: Mapping[str, Any], path: KeyPath, comment: Comment) -> list[str]:
    """The lines of ``table`` in blocks: its own keys, then one for each table in it."""
    own = [
        _line(f"{_key(key)} = {_value(value)}", comment((*path, key)))
        for key, value in table.items()
        if not _is_table(value) and not _is_tables(value)
    ]
    blocks = ["".join(own)] if own else []
    for key, value in table.items():
        here = (*path, key)
        if _is_table(value):
            inner = _blocks(_sorted(value), here, comment)
            blocks += _under(f"[{_dotted(here)}]\n", inner, has_keys=_has_keys(value) or not value)
        elif _is_tables(value):
            for number, element in enumerate(value):
                inner = _blocks(_sorted(element), (*here, number), comment)
                blocks += _under(f"[[{_dotted(here)}]]\n", inner, has_keys=_has_keys(element), needed=True)
    return blocks


def _under(head: str, inner: list[str], *, has_keys: bool, needed: bool = False) -> list[str]:
    """``head`` and the keys below it are one block. A table of tables alone needs no head."""
    if has_keys and inner:
        return [head + inner[0], *inner[1:]]
    return [head, *inner] if needed or has_keys else inner


def _line(text: str, comment: str) -> str:
    if not comment:
        return f"{text}\n"
    comment = commented(comment)
    if "\n" in text:
        first, _, rest = text.partition("\n")
        return f"{first:<{_COLUMN}}# {comment}\n{rest}\n"
    return f"{text:<{_COLUMN - 1}} # {comment}\n"


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return quoted(value)
        case int():
            return str(value)
        case float():
            return repr(value)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case list() | tuple():
            parts = [_value(element) for element in value]
            short = f"[{', '.join(parts)}]"
            return (
                short if len(short) <= _WIDTH else "".join(["[\n", *(f"  {part},\n" for part in parts), "]"])
            )
        case dict():
            pairs = [f"{_key(key)} = {_value(inner)}" for key, inner in _sorted(value).items()]
            return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
        case _:
            raise TypeError(f"{type(value).__name__} is nothing that TOML has")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else quoted(key)


def _dotted(path: KeyPath) -> str:
    return ".".join(_key(part) for part in path if isinstance(part, str))


def _sorted(table: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(table.items()))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(element, dict) for element in value)


def _has_keys(table: Mapping[str, Any]) -> bool:
    return any(not _is_table(value) and not _is_tables(value) for value in table.values())
