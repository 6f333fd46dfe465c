"""What takes long is made once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bed import cache


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_BED_CACHE", str(tmp_path / "cache"))
    return tmp_path


def make(directory: Path) -> None:
    """Slow enough for two to meet in it, if nothing keeps them apart."""
    count = directory.parents[1] / "made"
    count.write_text(count.read_text() + "x" if count.exists() else "x")
    time.sleep(0.2)
    (directory / "whole").touch()


def ask(_: int) -> bool:
    return (cache.made("thing", make) / "whole").exists()


def test_several_who_ask_at_once_get_what_one_of_them_made(directory: Path) -> None:
    # A lock is of the file as each has opened it: threads are kept apart as processes are.
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(ask, range(3))) == [True] * 3
    assert (directory / "made").read_text() == "x"


def test_what_a_failed_maker_left_is_not_taken_for_the_thing(directory: Path) -> None:
    def fail(unfinished: Path) -> None:
        (unfinished / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.made("thing", fail)
    assert not (directory / "cache" / "thing").exists()
    made = cache.made("thing", make)
    assert [path.name for path in made.iterdir()] == ["whole"]


def test_a_key_tells_parts_apart() -> None:
    """Else two lists of packages would be one image."""
    assert cache.key("ab", "c") != cache.key("a", "bc") != cache.key("abc")
