"""What is remembered of a conversation, and what fits into a handle."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge.backend.memory import MAX_BYTES, Memory, Turn


def test_another_backend_knows_what_was_said() -> None:
    memory = Memory()
    memory.note("user", "Tell me a story.")
    memory.note("assistant", "Once there was a wall.", 1)
    memory.note("user", "")
    assert [*Memory(memory.handle()).turns] == [
        Turn("user", "Tell me a story."),
        Turn("assistant", "Once there was a wall.", 1),
    ]


def test_what_was_not_heard_is_not_remembered() -> None:
    memory = Memory()
    memory.note("assistant", "abcdefghij", 1)
    memory.note("assistant", "abcdefghij", 2)
    memory.cut(1, 0.3)
    assert [turn.text for turn in memory.turns] == ["abc", "abcdefghij"]


def test_nothing_said_is_no_handle() -> None:
    assert Memory().handle() == b""
    assert not Memory(b"").turns


@given(st.lists(st.text(max_size=3000), max_size=8))
def test_a_handle_fits_and_holds_the_latest(texts: list[str]) -> None:
    memory = Memory()
    for text in texts:
        memory.note("user", text)
    handle = memory.handle()
    assert len(handle) <= MAX_BYTES
    said = [text for text in texts if text]
    kept = [turn.text for turn in msgspec.msgpack.decode(handle, type=list[Turn])] if handle else []
    assert bool(kept) == bool(said)
    assert all(was.endswith(now) for was, now in zip(reversed(said), reversed(kept), strict=False))
