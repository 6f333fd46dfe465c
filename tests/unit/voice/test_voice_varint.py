"""Varints against the examples of RFC 9000 and against themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.voice import varint

# RFC 9000 appendix A.1; the last is the RFC's example of a value written longer than it needs.
EXAMPLES = [
    ("c2197c5eff14e88c", 151_288_809_941_952_652),
    ("9d7f3e7d", 494_878_333),
    ("7bbd", 15_293),
    ("25", 37),
    ("4025", 37),
]


@pytest.mark.parametrize("encoded,value", EXAMPLES)
def test_examples_of_the_rfc(encoded: str, value: int) -> None:
    data = bytes.fromhex(encoded)
    assert varint.decode(data) == (value, len(data))


@pytest.mark.parametrize("encoded,value", EXAMPLES[:-1])
def test_the_shortest_form_is_written(encoded: str, value: int) -> None:
    assert varint.encode(value) == bytes.fromhex(encoded)


@given(st.lists(st.integers(0, varint.MAX_VARINT), max_size=8))
def test_round_trip(values: list[int]) -> None:
    data = varint.encode(*values)
    offset, decoded = 0, []
    while read := varint.decode(data, offset):
        value, offset = read
        decoded.append(value)
    assert (decoded, offset) == (values, len(data))


@given(st.integers(0, varint.MAX_VARINT))
def test_incomplete_is_none_whatever_is_missing(value: int) -> None:
    data = varint.encode(value)
    assert [varint.decode(data[:length]) for length in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("value", [-1, varint.MAX_VARINT + 1])
def test_what_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        varint.encode(value)
