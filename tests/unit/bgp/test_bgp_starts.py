"""Starts in a row: who crashes again and again waits longer each time, and nobody else waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgp.clocks import Clocks
from bgp.starts import DELAYS_S, STABLE_S, Start, StartLog
from bgp.state_file import StateFileError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "starts.json"


def at(boottime_s: float) -> Clocks:
    return Clocks(boot_id="one", boottime_s=boottime_s, wallclock_s=1.79e9 + boottime_s)


def waits(path: Path, moments: list[float]) -> list[float]:
    return [StartLog(path).begin(at(moment)).wait_s for moment in moments]


def test_crashes_in_a_row_wait_longer_and_longer(path: Path) -> None:
    assert waits(path, [0.0, 1.0, 2.0, 40.0, 350.0, 2200.0, 4100.0]) == [0, 0, 30, 300, 1800, 1800, 1800]


def test_the_life_that_makes_good_begins_with_the_announcement(path: Path) -> None:
    assert StartLog(path).begin(at(0.0)) == Start(wait_s=0, stable_after_s=600)
    assert StartLog(path).begin(at(1.0)) == Start(wait_s=0, stable_after_s=600)
    assert StartLog(path).begin(at(2.0)) == Start(wait_s=30, stable_after_s=630)


@pytest.mark.parametrize("end", [StartLog.stable, StartLog.clean_stop])
def test_a_stable_life_or_an_orderly_stop_makes_good(path: Path, end: object) -> None:
    assert waits(path, [0.0, 1.0, 40.0]) == [0, 0, 30]
    end(StartLog(path), at(1000.0))  # type: ignore[operator]
    assert waits(path, [1001.0, 1002.0, 1003.0]) == [0, 0, 30]


def test_who_was_away_for_the_longest_wait_has_waited(path: Path) -> None:
    assert waits(path, [0.0, 0.0, 1.0]) == [0, 0, 30]
    # It may have lived until then.
    death = 1.0 + 30 + STABLE_S
    again = death + DELAYS_S[-1] - 1
    assert waits(path, [again]) == [300]
    death = again + 300 + STABLE_S
    assert waits(path, [death + DELAYS_S[-1]]) == [0]


def test_a_lab_is_quicker(path: Path) -> None:
    lab = StartLog(path, delays_s=(0.0, 0.5, 5.0), stable_s=10.0)
    assert [lab.begin(at(moment)).wait_s for moment in (0.0, 1.0, 2.0, 3.0)] == [0, 0.5, 5, 5]
    assert lab.begin(at(4.0)) == Start(wait_s=5, stable_after_s=15)
    assert lab.begin(at(4.0 + 15 + 5)).wait_s == 0


@pytest.mark.parametrize("damaged", [b"", b"[]", b'{"version": 2}', b"\xff"])
def test_a_damaged_log_counts_as_one_start(path: Path, damaged: bytes) -> None:
    path.write_bytes(damaged)
    start = StartLog(path).begin(at(0.0))
    assert start.wait_s == 30
    assert "kept as starts.json.corrupt-1" in start.problem
    assert waits(path, [1.0]) == [300]


def test_a_log_that_cannot_be_written_counts_as_one_start_too(path: Path) -> None:
    path.with_name("starts.json.new").mkdir()
    for _ in range(2):
        start = StartLog(path).begin(at(0.0))
        assert (start.wait_s, start.stable_after_s) == (30, 630)
        assert "cannot be written: Is a directory" in start.problem
    with pytest.raises(StateFileError):
        StartLog(path).stable(at(700.0))
