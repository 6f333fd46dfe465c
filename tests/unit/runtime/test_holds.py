"""An operator's hold, kept in a file that may be whole, absent, or spoiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import EdgeError
from edge.runtime.holds import Hold, HoldFile

HOLD = Hold("a new disk", since=1_790_000_000.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hold.json"


def test_what_is_written_is_read_by_the_next_process_until_it_is_cleared(path: Path) -> None:
    HoldFile(path).write(HOLD)
    assert HoldFile(path).read() == HOLD
    HoldFile(path).write(Hold("another", since=1.0))
    assert HoldFile(path).read() == Hold("another", since=1.0)
    HoldFile(path).clear()
    assert HoldFile(path).read() is None
    HoldFile(path).clear()


def test_no_file_is_no_hold(path: Path) -> None:
    assert HoldFile(path).read() is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"reason": "x"}', b'{"reason": "x", "since": "today"}'],
)
def test_a_damaged_file_holds_and_says_so(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    hold = HoldFile(path).read()
    assert hold is not None
    assert hold.reason.startswith(f"{path} is damaged (")
    assert "'undrain' removes it" in hold.reason
    HoldFile(path).clear()
    assert HoldFile(path).read() is None


def test_something_else_in_its_place_holds_and_cannot_be_cleared_by_accident(path: Path) -> None:
    (path / "precious").mkdir(parents=True)
    assert HoldFile(path).read() is not None
    with pytest.raises(EdgeError, match="cannot remove the hold"):
        HoldFile(path).clear()
    assert (path / "precious").exists()


def test_a_hold_that_cannot_be_kept_is_refused_and_the_old_one_stays(path: Path) -> None:
    HoldFile(path).write(HOLD)
    path.with_suffix(".new").mkdir()
    with pytest.raises(EdgeError, match="cannot keep the hold: Is a directory"):
        HoldFile(path).write(Hold("another", since=1.0))
    assert HoldFile(path).read() == HOLD


def test_a_write_that_was_cut_short_is_nothing(path: Path) -> None:
    """As if the machine had lost its power in the middle of it."""
    path.with_suffix(".new").write_bytes(b'{"reason": "a ne')
    assert HoldFile(path).read() is None
    HoldFile(path).write(HOLD)
    assert HoldFile(path).read() == HOLD
