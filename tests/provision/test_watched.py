"""Debian's Prometheus and Alertmanager on the controller, with what `edgectl` makes for them, watch the booted fleet."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bed.handle import Bed
from bed.plan import CLIENT, CONTROLLER, SERVICE_NAME
from operator_desk import Desk
from waiting import until

from edge.lab.watching import PROMETHEUS, RECEIVER, commands, received

PROGRAMS = (
    "mmdebstrap",
    "systemd-nspawn",
    "bird",
    "nft",
    "ssh",
    "curl",
    "terraform",
    "ansible-playbook",
    "prometheus",
    "prometheus-alertmanager",
)
pytestmark = [pytest.mark.needs(*PROGRAMS), pytest.mark.timeout(1800)]

SCRAPED_S = 180.0
"""Rates need two scrapes, and their windows something to look back on."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A fleet with those who watch it."""

    desk: Desk
    log: Path
    """Of the receiver of alerts."""

    @property
    def bed(self) -> Bed:
        return self.desk.bed

    def verify(self) -> list[str]:
        """What Prometheus has no answer for."""
        done = self.bed.edgectl("rules", "verify", f"http://{PROMETHEUS}")
        return [] if done.returncode == 0 else (done.stdout or done.stderr).splitlines()

    def query(self, expression: str) -> dict[str, float]:
        """The value of each series, by its label ``node``, or ``site``."""
        asked = ["curl", "--silent", "--fail", "--get", "--data-urlencode", f"query={expression}"]
        told = self.bed.run(CONTROLLER, *asked, f"http://{PROMETHEUS}/api/v1/query").stdout
        series = json.loads(told or '{"data": {"result": []}}')["data"]["result"]
        return {
            one["metric"].get("node") or one["metric"].get("site", ""): float(one["value"][1])
            for one in series
        }


@pytest.fixture(scope="module")
def watched(fleet: Desk) -> Iterator[Watched]:
    targets = fleet.of_fleet("sd").stdout
    logs = {}
    for name, argv in commands(fleet.bed.home / "watching", targets).items():
        logs[name] = fleet.bed.spawn(CONTROLLER, name, *argv)
    watched = Watched(fleet, logs[RECEIVER])
    until(lambda: len(watched.query("up == 1")) == 3, "all nodes are scraped", SCRAPED_S)
    yield watched
    for name in logs:
        fleet.bed.stop(name)


def test_every_expression_of_rules_and_dashboards_is_answered(watched: Watched) -> None:
    """By nodes that serve, once somebody has called each of them."""
    ca = ["--ca", str(watched.desk.vault / "chain.pem")]
    load = ["load", SERVICE_NAME, *ca, "--calls", "30", "--ramp", "6", "--hold", "20"]
    done = watched.bed.edgectl(*load, place=CLIENT)
    assert done.returncode == 0, done.stdout + done.stderr
    missing: list[str] = []

    def answered() -> bool:
        missing[:] = watched.verify()
        return not missing

    with contextlib.suppress(AssertionError):
        until(answered, "everything is answered", SCRAPED_S)
    assert missing == []
    assert watched.query("up") == {"ams-1": 1, "fra-1": 1, "nyc-1": 1}


def test_a_dark_site_is_told_to_who_is_on_call(watched: Watched) -> None:
    """Its cable is pulled; the router gives its routes up, Prometheus cannot scrape it, and Alertmanager tells somebody."""
    watched.bed.plug("ams-1", connected=False)
    until(lambda: told(watched, "firing"), "EdgeSiteDark is told", SCRAPED_S)
    ((to, alert), *_) = received(watched.log, "EdgeSiteDark", "firing")
    assert to == "/on-call"
    assert alert["labels"]["site"] == "ams"
    watched.bed.plug("ams-1", connected=True)
    watched.desk.wait_ready()
    until(lambda: told(watched, "resolved"), "that it is over is told, too", SCRAPED_S)


def told(watched: Watched, status: str) -> bool:
    return bool(received(watched.log, "EdgeSiteDark", status))
