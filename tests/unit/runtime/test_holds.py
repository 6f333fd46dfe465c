"""An operator's hold, kept in a file that may be whole, absent, or spoiled."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from edge.errors import EdgeError
from edge.runtime.holds import Hold, HoldFile

NOON = 1_790_000_000.0
HOLD = Hold("a new disk", since=NOON, kind="announce", who="alice", until=NOON + 1800)


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


def test_it_is_on_the_disk_with_its_name_before_anybody_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power failure brings a node back into service that was told to be out of it."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def note_fsync(descriptor: int) -> None:
        steps.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def note_rename(self: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "rename", note_rename)
    HoldFile(path).write(HOLD)
    HoldFile(path).clear()
    folder = path.parent.name
    assert steps == ["fsync hold.new", "rename", f"fsync {folder}", f"fsync {folder}"]


def test_no_file_is_no_hold(path: Path) -> None:
    assert HoldFile(path).read() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"reason": "x"}',
        b'{"reason": "x", "since": "today"}',
        b'{"reason": "x", "since": 1.0, "kind": "neither"}',
        b'{"reason": "x", "since": 1.0, "until": 1e300}',
    ],
)
def test_a_damaged_file_holds_and_says_so(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    hold = HoldFile(path).read()
    assert hold is not None
    assert hold.kind == "withdraw"
    assert hold.at(NOON) == hold
    assert hold.reason.startswith(f"{path} is damaged (")
    assert "'edgectl announce' removes it" in hold.reason
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


def test_a_file_from_before_there_were_kinds_keeps_the_node_out(path: Path) -> None:
    path.write_bytes(b'{"reason":"a new disk","since":1700000000.5}')
    assert HoldFile(path).read() == Hold("a new disk", 1700000000.5, "withdraw", who="", until=None)


def test_a_hold_is_over_at_its_end_and_not_before() -> None:
    assert HOLD.at(NOON) == HOLD
    assert HOLD.at(NOON + 1799.9) == HOLD
    assert HOLD.at(NOON + 1800) is None
    assert HOLD.at(NOON + 1e7) is None


def test_one_without_end_has_none_whatever_the_clock_says() -> None:
    endless = msgspec.structs.replace(HOLD, until=None)
    assert endless.at(0.0) == endless
    assert endless.at(NOON * 1.5) == endless


def test_a_clock_set_back_never_leaves_more_than_was_ordered() -> None:
    """A board without a battery starts in 1970; a hold of half an hour must not last for decades."""
    hold = HOLD.at(100.0)
    assert hold is not None
    assert (hold.since, hold.until) == (100.0, 1900.0)
    assert hold.at(1899.0) == hold
    assert hold.at(1900.0) is None
    assert hold.at(NOON + 1) is None  # the clock was corrected meanwhile
