"""Every scenario, one after the other, any number of times: what passed how often, and how near each check came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import EdgeError
from edge.lab.report import SIGN, Check, LabReport

Play = Callable[[str, Path], LabReport]


@dataclass(slots=True)
class Tally:
    """What became of one scenario in all rounds. ``checks`` has the value that came nearest to its limit, or worse."""

    passed: int = 0
    played: int = 0
    problems: list[str] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)

    def count(self, report: LabReport) -> None:
        self.played += 1
        self.passed += report.passed
        for check in report.checks:
            known = self.checks.get(check.name)
            if known is None or _room(check) < _room(known):
                self.checks[check.name] = check
        self.problems += [
            f"round {self.played}: {check.name} {_value(check)}, has to be {SIGN[check.rule]} {check.limit:g} {check.unit}"
            for check in report.checks
            if not check.passed
        ]

    def count_failure(self, error: EdgeError) -> None:
        self.played += 1
        self.problems.append(f"round {self.played}: {error}")


def play_series(
    names: Iterable[str], times: int, out: Path, play: Play, tell: Callable[[str], None]
) -> dict[str, Tally]:
    """``play`` each of ``names`` ``times`` times. One that fails does not keep the others from being played.

    The reports of a round are in a directory of ``out`` each; with one round, in ``out`` itself.
    """
    names = tuple(names)
    tallies = {name: Tally() for name in names}
    for round_ in range(1, times + 1):
        for name in names:
            place = out / name if times == 1 else out / f"round-{round_}" / name
            tally = tallies[name]
            before = tally.passed
            try:
                tally.count(play(name, place))
            except EdgeError as error:
                tally.count_failure(error)
            verdict = "PASS" if tally.passed > before else "FAIL"
            tell(f"lab {name}: {verdict}" + (f" (round {round_} of {times})" if times > 1 else ""))
    return tallies


def summary(tallies: Mapping[str, Tally]) -> list[Sequence[str]]:
    """Rows for a table: how often each passed, and below it what came nearest to failing."""
    rows: list[Sequence[str]] = [("scenario", "passed", "check", "worst", "limit")]
    for name, tally in tallies.items():
        head = (name, f"{tally.passed} of {tally.played}")
        for check in sorted(tally.checks.values(), key=_room):
            limit = f"{SIGN[check.rule]} {check.limit:g} {check.unit}"
            rows.append((*head, check.name, _value(check), limit))
            head = ("", "")
        if head[0]:
            rows.append((*head, "", "", ""))
    return rows


def _room(check: Check) -> float:
    """How far a check is from its limit, as a part of it; less than nothing where it fails."""
    if check.value is None:
        return float("-inf")
    if not check.passed:
        return -abs(check.value - check.limit)
    if check.rule == "equals":
        return float("inf")
    return abs(check.limit - check.value) / max(abs(check.limit), abs(check.value), 1e-9)


def _value(check: Check) -> str:
    return "not measured" if check.value is None else f"{check.value:g}"
