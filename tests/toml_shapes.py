"""Documents written as TOML in all the ways there are, with the line on which each key came to stand."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]

# What could mislead somebody who looks for keys: brackets, signs and quotes of all kinds, in keys and in strings.
_TRICKY = st.text(st.sampled_from("ab1-_.[]{}=#\"'\\, \té€"), max_size=8)
_LONG = st.text(st.sampled_from("ab[]=#\"'\\\n "), max_size=12)
_SCALARS = st.one_of(
    _TRICKY,
    _LONG,
    st.integers(-(2**31), 2**31),
    st.booleans(),
    st.floats(allow_nan=False, width=32),
    st.datetimes(),
    st.dates(),
    st.times(),
)
_KEYS = st.one_of(st.from_regex(r"[a-z][a-z0-9_-]{0,4}", fullmatch=True), _TRICKY)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(_KEYS, inner, max_size=3),
        st.lists(st.dictionaries(_KEYS, inner, max_size=3), min_size=1, max_size=3),
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(_KEYS, _VALUES, max_size=4)


@dataclass
class Shape:
    """``document`` as ``text``, and where in it everything is."""

    document: dict[str, Any]
    text: str
    lines: dict[Path, int]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    document = draw(DOCUMENTS)
    scribe = _Scribe(draw)
    scribe.table((), document)
    text = scribe.text
    return Shape(document, text.replace("\n", "\r\n") if draw(st.booleans()) else text, scribe.lines)


@dataclass
class _Scribe:
    draw: st.DrawFn
    text: str = ""
    lines: dict[Path, int] = field(default_factory=dict)

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def either(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def table(self, path: Path, table: dict[str, Any]) -> None:
        """Pairs first: after a header nothing else can be said of this table."""
        later = []
        for key, value in table.items():
            if (isinstance(value, dict) or _is_tables(value)) and self.either("here", "later") == "later":
                later.append((key, value))
            else:
                self.pair(path, [key], value)
        for key, value in later:
            self.headed((*path, key), value)

    def pair(self, table: Path, keys: list[str], value: Any) -> None:
        """Perhaps with a dotted key, one line for each value inside."""
        if isinstance(value, dict) and value and self.either("dotted", "inline") == "dotted":
            for key, inner in value.items():
                self.pair(table, [*keys, key], inner)
            return
        self.gap()
        path = table
        for key in keys:
            path = (*path, key)
            self.lines.setdefault(path, self.line)
        blank = self.either("", " ")
        self.text += f"{blank}.{blank}".join(map(self.key, keys)) + self.either("=", " = ", "\t=")
        self.value(path, value)
        self.text += self.either("\n", " # [not] = 'a key'\n", "\t\n")

    def headed(self, path: Path, value: Any) -> None:
        if isinstance(value, list):
            for number, element in enumerate(value):
                self.header(path, "[[{}]]")
                self.lines.setdefault(path, self.line - 1)
                self.lines[*path, number] = self.line - 1
                self.table((*path, number), element)
            return
        self.header(path, "[{}]")
        self.lines[path] = self.line - 1
        self.table(path, value)

    def header(self, path: Path, form: str) -> None:
        self.gap()
        blank = self.either("", " ")
        name = f"{blank}.{blank}".join(self.key(part) for part in path if isinstance(part, str))
        self.text += form.format(f"{blank}{name}{blank}") + self.either("\n", " # = [[x]]\n")

    def gap(self) -> None:
        self.text += self.either("", "", "\n", "# [a.b] = \"'''\n", "  ")

    def value(self, path: Path, value: Any) -> None:
        match value:
            case dict():
                self.text += "{" + self.either("", " ")
                for number, (key, inner) in enumerate(value.items()):
                    self.text += ", " * (number > 0)
                    here = (*path, key)
                    self.lines[here] = self.line
                    self.text += self.key(key) + "="
                    self.value(here, inner)
                self.text += self.either("", " ") + "}"
            case list():
                self.text += "[" + self.space()
                for number, inner in enumerate(value):
                    self.lines[*path, number] = self.line
                    self.value((*path, number), inner)
                    last = number == len(value) - 1
                    self.text += self.space() + (self.either("", ",") if last else ",") + self.space()
                self.text += "]"
            case str():
                self.text += self.string(value)
            case bool():
                self.text += str(value).lower()
            case datetime.datetime():
                self.text += value.isoformat(sep=self.either("T", " "))
            case datetime.date() | datetime.time():
                self.text += value.isoformat()
            case _:
                self.text += repr(value)

    def space(self) -> str:
        return self.either("", "", " ", "\n", " # ] , }\n  ")

    def key(self, key: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9_-]+", key) and self.either("bare", "quoted") == "bare":
            return key
        if "'" not in key and self.either("literal", "basic") == "literal":
            return f"'{key}'"
        return json.dumps(key, ensure_ascii=self.draw(st.booleans()))

    def string(self, text: str) -> str:
        forms = ["basic", "long"]
        if "'" not in text and "\n" not in text:
            forms.append("literal")
        if "'''" not in text and not text.endswith("'"):
            forms.append("long literal")
        match self.either(*forms):
            case "basic":
                return json.dumps(text)
            case "literal":
                return f"'{text}'"
            case "long literal":
                return f"'''\n{text}'''"
            case _:
                escaped = text.replace("\\", "\\\\").replace('"""', '""\\"')
                escaped = escaped[:-1] + '\\"' if escaped.endswith('"') else escaped
                return f'"""\n{escaped}"""'


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(element, dict) for element in value)
