"""Documents as TOML: they read back the same, and the same document is always the same text."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from toml_shapes import DOCUMENTS, Shape, shapes

from edge.fleet.writing import written


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS)
def test_what_is_written_reads_back_the_same(document: dict[str, Any]) -> None:
    assert tomllib.loads(written(document, comment=lambda path: "[[a]] = " * (len(path) % 2))) == document


@settings(deadline=None)
@given(shapes())
def test_the_same_document_is_the_same_text_however_it_was_put_together(shape: Shape) -> None:
    shuffled = dict(reversed(shape.document.items()))
    assert written(shuffled) == written(tomllib.loads(shape.text))


def test_tables_come_in_the_order_asked_for_and_say_where_they_come_from() -> None:
    document = {
        "bgp": {"local_as": 64601, "neighbors": [{"address": "192.0.2.1"}]},
        "node": {"name": "a"},
        "x": 1,
    }
    said = written(
        document, order=["node", "bgp"], comment=lambda path: "here" if path[-1] == "local_as" else ""
    )
    assert said == (
        'x = 1\n\n[node]\nname = "a"\n\n[bgp]\nlocal_as = 64601                                # here\n'
        '\n[[bgp.neighbors]]\naddress = "192.0.2.1"\n'
    )


def test_a_long_list_is_one_element_a_line() -> None:
    texts = ["x" * 30] * 4
    said = written({"list": texts}, comment=lambda _: "why")
    assert said.splitlines()[0].endswith("# why")
    assert said.count("\n") == 6
    assert tomllib.loads(said) == {"list": texts}


def test_what_toml_has_not_is_an_error() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        written({"a": None})


def test_a_comment_ends_with_its_line() -> None:
    """A secret may be called anything, and where a key comes from is told behind it."""
    text = written({"a": [1] * 60, "b": {"c": 1}}, comment=lambda _: 'x\nevil = 1\r\n\x7f["')
    assert tomllib.loads(text) == {"a": [1] * 60, "b": {"c": 1}}
