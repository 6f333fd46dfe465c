"""Rules, alerts and examples as Prometheus and Alertmanager themselves read them."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rule_cases import CASES, Case, Fired

from edge.monitoring.export import DEFAULT_RUNBOOKS, EXAMPLES, RULES, export_rules
from edge.monitoring.rules import ALERTS
from edge.runtime.metrics import NodeMetrics

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("rules")
    export_rules(directory)
    return directory


def run(*command: str, cwd: Path, stdin: bytes = b"") -> tuple[int, str]:
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.needs("promtool")
def test_prometheus_reads_the_rules(exported: Path) -> None:
    code, said = run("promtool", "check", "rules", RULES, cwd=exported)
    assert code == 0, said


@pytest.mark.needs("promtool", "amtool")
def test_the_examples_are_read_by_what_they_are_for(exported: Path) -> None:
    prometheus, alertmanager = EXAMPLES
    code, said = run("promtool", "check", "config", "--syntax-only", prometheus, cwd=exported)
    assert code == 0, said
    code, said = run("amtool", "check-config", alertmanager, cwd=exported)
    assert code == 0, said


@pytest.mark.needs("amtool")
@pytest.mark.parametrize(
    "severity, receiver", [("critical", "on-call"), ("warning", "working-day"), ("none", "dead-man")]
)
def test_an_alert_comes_to_whom_its_severity_means(exported: Path, severity: str, receiver: str) -> None:
    assert severity in {alert.severity for alert in ALERTS}
    command = ("amtool", "config", "routes", "test", f"--config.file={EXAMPLES[1]}")
    code, said = run(*command, "alertname=EdgeAny", f"severity={severity}", "site=ams", cwd=exported)
    assert (code, said.splitlines()[0]) == (0, receiver)


@pytest.mark.needs("promtool")
@pytest.mark.timeout(600)  # minutes of work on a machine that is busy with other things
@pytest.mark.parametrize("every", sorted({case.every for case in CASES}))
def test_alerts_fire_when_they_must_and_only_then(exported: Path, tmp_path: Path, every: str) -> None:
    """All in one run, for the program takes longer to start than to play a case; what it prints names the case."""
    document = {
        "rule_files": [str(exported / RULES)],
        "evaluation_interval": every,
        "tests": [_played(case) for case in CASES if case.every == every],
    }
    (tmp_path / "cases.yml").write_text(json.dumps(document))  # JSON is YAML
    code, said = run("promtool", "test", "rules", "cases.yml", cwd=tmp_path)
    assert code == 0, said


@pytest.mark.needs("promtool")
def test_a_case_that_does_not_come_true_is_seen(exported: Path, tmp_path: Path) -> None:
    """What fires is expected not to, and the other way round: a check of the check above."""
    wrong = [replace(case, fires=()) for case in CASES if case.fires][:1]
    wrong += [
        replace(case, fires=(Fired("warning", "", {"node": "ams-1"}),))
        for case in CASES
        if case.alert == "EdgeNodeDown"
    ][-1:]
    document = {"rule_files": [str(exported / RULES)], "tests": [_played(case) for case in wrong]}
    (tmp_path / "cases.yml").write_text(json.dumps(document))
    code, said = run("promtool", "test", "rules", "cases.yml", cwd=tmp_path)
    assert code == 1
    assert said.count("exp:[") == 2, said


def _played(case: Case) -> dict[str, Any]:
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    expected = [_expected(case.alert, fired) for fired in case.fires]
    return {
        "name": f"{case.alert}: {case.what}",
        "interval": case.every,
        "input_series": series,
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}],
    }


def _expected(name: str, fired: Fired) -> dict[str, Any]:
    alert = next(one for one in ALERTS if (one.name, one.severity) == (name, fired.severity))
    labels = fired.labels | {"severity": fired.severity}
    return {
        "exp_labels": labels,
        "exp_annotations": {
            "summary": re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], alert.summary),
            "description": fired.description,
            "runbook_url": DEFAULT_RUNBOOKS.format(page=alert.page),
        },
    }


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_must_not() -> None:
    firing = {(case.alert, fired.severity) for case in CASES for fired in case.fires}
    assert firing == {(alert.name, alert.severity) for alert in ALERTS}
    quiet = {case.alert for case in CASES if not case.fires}
    # It has one task: to fire always.
    assert {alert.name for alert in ALERTS} - quiet == {"EdgeWatchdog"}


@pytest.mark.needs("promtool")
def test_what_a_node_serves_is_named_as_prometheus_wants_it(tmp_path: Path) -> None:
    code, said = run("promtool", "check", "metrics", cwd=tmp_path, stdin=NodeMetrics("1.2.3").render())
    assert (code, said) == (0, "")
