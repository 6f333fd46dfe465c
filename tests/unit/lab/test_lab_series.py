"""Many rounds of many scenarios: none keeps the others from being played, and the worst of each check is told."""

from __future__ import annotations

from pathlib import Path

from edge.errors import EdgeError
from edge.lab.report import Check, LabReport
from edge.lab.scenarios.series import play_series, summary


def test_one_that_fails_or_breaks_is_counted_and_the_others_are_played(tmp_path: Path) -> None:
    told: list[str] = []
    places: list[Path] = []
    delays = iter([10.0, 300.0, 20.0])

    def play(name: str, place: Path) -> LabReport:
        places.append(place)
        if name == "broken" and place.parent.name == "round-2":
            raise EdgeError("no router")
        value = next(delays) if name == "slow" else 0.0
        return LabReport(name, 0, [Check("lost", 0, 0, "calls"), Check("delay", value, 250, "ms", "at_most")])

    tallies = play_series(("slow", "broken"), 3, tmp_path, play, told.append)
    assert (tallies["slow"].passed, tallies["slow"].played) == (2, 3)
    assert tallies["slow"].problems == ["round 2: delay 300, has to be ≤ 250 ms"]
    assert (tallies["broken"].passed, tallies["broken"].problems) == (2, ["round 2: no router"])
    assert told[2] == "lab slow: FAIL (round 2 of 3)"
    assert told[3] == "lab broken: FAIL (round 2 of 3)"
    assert places[-1] == tmp_path / "round-3" / "broken"
    assert summary(tallies)[1:3] == [
        ("slow", "2 of 3", "delay", "300", "≤ 250 ms"),
        ("", "", "lost", "0", "= 0 calls"),
    ]


def test_what_was_not_measured_is_worse_than_any_value(tmp_path: Path) -> None:
    values = iter([999.0, None])

    def play(name: str, _place: Path) -> LabReport:
        return LabReport(name, 0, [Check("missing", next(values), 0, "frames")])

    tallies = play_series(("one",), 2, tmp_path, play, lambda _: None)
    assert tallies["one"].checks["missing"].value is None


def test_one_round_leaves_its_reports_where_a_single_scenario_does(tmp_path: Path) -> None:
    places: list[Path] = []

    def play(name: str, place: Path) -> LabReport:
        places.append(place)
        return LabReport(name, 0, [Check("lost", 0, 0, "calls")])

    play_series(("one", "two"), 1, tmp_path, play, lambda _: None)
    assert places == [tmp_path / "one", tmp_path / "two"]
