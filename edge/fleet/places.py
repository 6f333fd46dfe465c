"""On which line of a TOML file a key stands.

The text has been read by tomllib before, so it is TOML (1.0): only as much of the grammar is known here as it takes to walk
from key to key. A path is made of keys and of places in arrays: ``("nodes", 1, "server_id")``.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

KeyPath = tuple[str | int, ...]

_BASIC: Final = r'"(?:[^"\\\n]|\\.)*"'
_LITERAL: Final = r"'[^'\n]*'"
_GAP = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KEY = re.compile(rf"[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL}")
_SCALAR = re.compile(
    r'"""(?:[^"\\]|\\(?:.|\n)|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    rf"|{_BASIC}|{_LITERAL}"
    r"|[^\[\]{},#\n\"']+"
)


def places(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of each key, each table and each element of an array in ``text``."""
    return _Walk(text).lines


def nearest(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """The line of ``path`` or, where it is not in the file, of the innermost table around it that is."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def spelled(path: KeyPath) -> str:
    """As messages show it, in one line: ``$.nodes[1].server_id``, and odd keys in quotes."""
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in path)


def unspelled(where: str) -> KeyPath:
    """Back again, but for odd keys: those of our own files are not."""
    parts = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", where.removeprefix("$"))
    return tuple(name or int(index) for name, index in parts)


def _shown(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key)


class _Walk:
    """One pass over the text."""

    def __init__(self, text: str) -> None:
        # As tomllib does, and so that a line ends in one way only.
        self._text = text.replace("\r\n", "\n")
        self._line_ends = [match.start() for match in re.finditer("\n", self._text)]
        self._at = 0
        self._tables: dict[KeyPath, int] = {}
        """How many tables each ``[[array]]`` has so far."""
        self.lines: dict[KeyPath, int] = {}
        self._document()

    def _document(self) -> None:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> KeyPath:
        line, brackets = self._line(), 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        self._skip(_GAP)
        *outer, last = self._dotted()
        self._at += brackets
        path: KeyPath = ()
        for part in outer:
            path = self._inside((*path, part), line)
        path = (*path, last)
        if brackets == 1:
            # Perhaps there already, as the parent of a table before.
            self.lines[path] = line
            return path
        self.lines.setdefault(path, line)
        number = self._tables.get(path, 0)
        self._tables[path] = number + 1
        self.lines[*path, number] = line
        return (*path, number)

    def _inside(self, path: KeyPath, line: int) -> KeyPath:
        """``path``, or the last table of the array that is there."""
        self.lines.setdefault(path, line)
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for part in self._dotted():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._skip(_GAP)
        self._value(path)

    def _dotted(self) -> list[str]:
        """Keys with dots between them, and the blanks behind."""
        parts = [self._key()]
        while self._text.startswith(".", self._at):
            self._at += 1
            self._skip(_GAP)
            parts.append(self._key())
        return parts

    def _key(self) -> str:
        raw = self._skip(_KEY)
        self._skip(_GAP)
        if raw[:1] == "'":
            return raw[1:-1]
        return str(tomllib.loads(f"key = {raw}")["key"]) if raw[:1] == '"' else raw

    def _value(self, path: KeyPath) -> None:
        match self._text[self._at]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        number = 0
        self._skip(_BLANK)
        while not self._text.startswith("]", self._at):
            self.lines[*path, number] = self._line()
            self._value((*path, number))
            number += 1
            self._skip(_BLANK)
            if self._text.startswith(",", self._at):
                self._at += 1
                self._skip(_BLANK)
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        self._skip(_GAP)
        while not self._text.startswith("}", self._at):
            self._pair(path)
            self._skip(_GAP)
            if self._text.startswith(",", self._at):
                self._at += 1
                self._skip(_GAP)
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:  # only for a text that tomllib would not have read
            raise ValueError(f"is not TOML in line {self._line()}")
        self._at = match.end()
        return match[0]

    def _line(self) -> int:
        return bisect_right(self._line_ends, self._at - 1) + 1
