"""Lines of keys: right for TOML of any shape."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from toml_shapes import Shape, shapes

from edge.fleet.places import nearest, places, spelled, unspelled


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of everything inside ``value``."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*path, key)
        yield from paths(inner, (*path, key))


@settings(max_examples=150, deadline=None)
@given(shapes())
def test_every_key_is_found_on_its_line(shape: Shape) -> None:
    document = tomllib.loads(shape.text)
    assert document == shape.document
    assert places(shape.text) == shape.lines
    assert set(shape.lines) == set(paths(document))


@pytest.mark.parametrize(
    "text,path,line",
    [
        ('a = """\n[b]\n"""\nb = 1', ("b",), 4),
        ("a = '''it''s'''\nb = 1", ("b",), 2),
        ('a = """one\\\n  two "" """\nb = 1', ("b",), 3),
        ('a = "x\\"]"\nb = 1', ("b",), 2),
        ('a = """x"""""\nb = 1', ("b",), 2),
        ("a = 1979-05-27 07:32:00\nb = 1", ("b",), 2),
        ("[[n]]\n[n.x]\nk = 1\n[[n]]\n[n.x]\nk = 2", ("n", 1, "x", "k"), 6),
        ("[[n]]\n[[n.m]]\n[[n.m]]\nk = 1", ("n", 0, "m", 1, "k"), 4),
        ("[a.b]\nk = 1\n[a]\nc = 2", ("a",), 3),
        ("\"a.b\".'c' = 1", ("a.b", "c"), 1),
        ('"\\u0061" = 1', ("a",), 1),
    ],
)
def test_shapes_that_mislead(text: str, path: tuple[Any, ...], line: int) -> None:
    tomllib.loads(text)
    assert places(text)[path] == line


def test_what_is_not_there_is_where_it_would_be() -> None:
    lines = places("[[nodes]]\nname = 'a'\n[[nodes]]\nname = 'b'\n")
    assert nearest(lines, ("nodes", 1, "server_id")) == 3
    assert nearest(lines, ("sites",)) is None


def test_paths_are_spelled_and_read_back() -> None:
    path = ("nodes", 1, "config", "bgp", "neighbors", 0, "peer_as")
    assert spelled(path) == "$.nodes[1].config.bgp.neighbors[0].peer_as"
    assert unspelled(spelled(path)) == path
    assert spelled(("sites", "a.b\n")) == '$.sites."a.b\\n"'
