"""The role `monitoring` on a booted machine: Debian's Prometheus and Alertmanager watch the fleet from one of its nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from operator_desk import Desk, Played
from test_fleet import NAMES, PROGRAMS
from waiting import until

from edge.monitoring.export import RULES, packaged

pytestmark = [pytest.mark.needs(*PROGRAMS), pytest.mark.timeout(1800)]

WATCHER = "nyc-1"
SCRAPED_S = 120.0
"""Targets are scraped every 10 s, from a moment on that Prometheus chooses within that."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """The machine where they run, and the first play that had them there."""

    desk: Desk
    first: Played

    def play(self, phase: str, *options: str, exit_code: int = 0) -> Played:
        return play(self.desk, phase, *options, exit_code=exit_code)

    def ask(self, port: int, path: str) -> Any:
        """What Prometheus (9090) or Alertmanager (9093) answers there."""
        asked = self.desk.bed.run(
            WATCHER, "curl", "--silent", "--fail", f"http://127.0.0.1:{port}/api/{path}", check=True
        )
        return json.loads(asked.stdout)

    def targets(self) -> dict[tuple[str, str], str]:
        """The health of each, by its job and node."""
        active = self.ask(9090, "v1/targets")["data"]["activeTargets"]
        return {(one["labels"]["job"], one["labels"].get("node", "")): one["health"] for one in active}

    def rules(self) -> set[str]:
        groups = self.ask(9090, "v1/rules")["data"]["groups"]
        return {rule["name"] for group in groups for rule in group["rules"]}

    def processes(self) -> list[str]:
        told = [
            self.desk.bed.run(WATCHER, "systemctl", "show", "--property=MainPID", name, check=True).stdout
            for name in ("prometheus", "prometheus-alertmanager")
        ]
        assert "MainPID=0\n" not in told
        return told


def play(desk: Desk, phase: str, *options: str, exit_code: int = 0) -> Played:
    told = json.dumps({"edgectl": ["edgectl", "--fleet", str(desk.fleet_file)]})
    group = ("-i", str(desk.bed.home / "watchers.ini"))
    return desk.play("monitoring.yml", phase, *group, "-e", told, *options, exit_code=exit_code)


@pytest.fixture(scope="module")
def watcher(fleet: Desk) -> Iterator[Watcher]:
    (fleet.bed.home / "watchers.ini").write_text(f"[monitoring]\n{WATCHER}\n")
    try:
        yield Watcher(fleet, play(fleet, "monitoring.yml"))
    finally:
        purge = "DEBIAN_FRONTEND=noninteractive apt-get -qq --yes purge prometheus prometheus-alertmanager"
        script = (
            f"{purge} >/tmp/purge.log 2>&1; rm -rf /etc/prometheus /etc/edge-dashboards /var/lib/prometheus"
        )
        fleet.bed.run(WATCHER, "sh", "-c", script)


def own_rules() -> set[str]:
    groups = yaml.safe_load(packaged(RULES))["groups"]
    return {rule.get("record") or rule["alert"] for group in groups for rule in group["rules"]}


def test_every_node_is_scraped_and_every_rule_is_there(watcher: Watcher) -> None:
    up = {("edge", name): "up" for name in NAMES} | {("prometheus", ""): "up"}
    until(lambda: watcher.targets() == up, "every target is up", SCRAPED_S)
    assert watcher.rules() == own_rules()
    dashboards = watcher.desk.bed.run(WATCHER, "ls", "/etc/edge-dashboards", check=True).stdout.split()
    assert len(dashboards) == 4


def test_alerts_come_to_alertmanager(watcher: Watcher) -> None:
    """`EdgeWatchdog` always fires."""
    until(
        lambda: "EdgeWatchdog" in {one["labels"]["alertname"] for one in watcher.ask(9093, "v2/alerts")},
        "Alertmanager has been told",
        SCRAPED_S,
    )


def test_a_second_run_changes_nothing(watcher: Watcher) -> None:
    assert watcher.first.changed()[WATCHER] > 0
    processes = watcher.processes()
    again = watcher.play("monitoring.yml again")
    assert again.changed() == {WATCHER: 0}, again.said
    assert watcher.processes() == processes


def test_rules_are_replaced_while_it_runs_and_only_by_good_ones(watcher: Watcher, tmp_path: Path) -> None:
    processes = watcher.processes()
    (tmp_path / "own.yml").write_text('groups: [{name: own, rules: [{record: "own:up", expr: "sum(up)"}]}]\n')
    own = ("-e", f"monitoring_rules={tmp_path}")
    watcher.play("monitoring.yml own rules", *own)
    until(lambda: watcher.rules() == {"own:up"}, "Prometheus has read other rules")
    (tmp_path / "own.yml").write_text('groups: [{name: own, rules: [{record: "own:up", expr: "sum("}]}]\n')
    refused = watcher.play("monitoring.yml bad rules", *own, exit_code=2)
    assert "failed to validate" in refused.words
    assert watcher.rules() == {"own:up"}
    watcher.play("monitoring.yml our rules")
    until(lambda: watcher.rules() == own_rules(), "Prometheus has read ours again")
    assert watcher.processes() == processes
