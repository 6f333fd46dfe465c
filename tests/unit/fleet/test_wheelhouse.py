"""What is sent as a release, and what is refused before anybody is drained for it."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.fleet.wheelhouse import Wheelhouse

HASHED = "anycast-edge==0.2.0 --hash=sha256:00\n"


def house(directory: Path, lock: str | None = HASHED, version: str = "0.2.0") -> Wheelhouse:
    (directory / f"anycast_edge-{version}-py3-none-any.whl").write_bytes(b"wheel")
    (directory / "notes.md").write_text("of the builder")
    if lock is not None:
        (directory / "requirements.txt").write_text(lock)
    return Wheelhouse(directory, "0.2.0")


def test_wheels_and_the_lock_file_and_nothing_else(tmp_path: Path) -> None:
    wheelhouse = house(tmp_path)
    wheelhouse.check()
    with tarfile.open(fileobj=io.BytesIO(wheelhouse.archive())) as archive:
        assert archive.getnames() == ["requirements.txt", "anycast_edge-0.2.0-py3-none-any.whl"]


def test_wheels_that_are_links_are_sent_as_what_they_lead_to(tmp_path: Path) -> None:
    """`edge-release` takes no link, and says so only when the first node is drained."""
    wheelhouse = house(tmp_path)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/one").write_bytes(b"wheel")
    (tmp_path / "other-1-py3-none-any.whl").symlink_to("cache/one")
    with tarfile.open(fileobj=io.BytesIO(wheelhouse.archive())) as archive:
        assert all(member.isreg() for member in archive)


def test_a_wheel_that_has_gone_meanwhile_is_an_error_like_others(tmp_path: Path) -> None:
    wheelhouse = house(tmp_path)
    (tmp_path / "other-1-py3-none-any.whl").symlink_to("gone")
    with pytest.raises(UsageError, match=r"other-1-py3-none-any\.whl: cannot be read: No such file"):
        wheelhouse.archive()


def test_it_is_the_same_each_time(tmp_path: Path) -> None:
    wheelhouse = house(tmp_path)
    first = wheelhouse.archive()
    for path in tmp_path.iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert wheelhouse.archive() == first


def test_without_a_lock_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"requirements\.txt: No such file"):
        house(tmp_path, None).check()


def test_without_hashes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no hashes"):
        house(tmp_path, "anycast-edge==0.2.0\n").check()


def test_another_version(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no wheel of anycast_edge 0\.2\.0 \(there is 0\.1\.9\)"):
        house(tmp_path, version="0.1.9").check()
