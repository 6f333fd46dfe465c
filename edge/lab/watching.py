"""A Prometheus and an Alertmanager on a node of the lab, as an operator would have them: Debian's, and our own files."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from edge.lab.lab import Lab
from edge.lab.nodes import HEALTH_PORT
from edge.lab.parts import Role
from edge.lab.process import Completed, Process
from edge.monitoring.export import EXAMPLES, RULES, export_rules
from edge.monitoring.promql import JOB

PROMETHEUS, ALERTMANAGER = "127.0.0.1:9090", "127.0.0.1:9093"
RECEIVER, RECEIVER_PORT = "receiver", 9099
INTERVAL_S = 1
WAIT_S = 2
"""For every alert, instead of what it says; windows stay as they are."""

# Writes down what Alertmanager sends: a line for each message, with the path that it came to.
_RECEIVER = """
import http.server, json, sys
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        print(json.dumps({"to": self.path, "message": json.loads(body)}), flush=True)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
"""


@dataclass(frozen=True, slots=True)
class Watching:
    """``node`` is where they run."""

    lab: Lab
    node: str
    receiver: Process

    async def verify(self) -> Completed:
        """`edgectl rules verify`, on that node."""
        command = [sys.executable, "-P", "-m", "edge.cli", "rules", "verify", f"http://{PROMETHEUS}"]
        return await self.lab.exec(self.node, command, timeout=60.0)

    async def query(self, expression: str) -> str:
        """What promtool prints for it."""
        command = ["promtool", "query", "instant", f"http://{PROMETHEUS}", expression]
        return (await self.lab.exec(self.node, command)).stdout.decode()

    def received(self, alert: str, status: str) -> list[tuple[str, dict[str, dict[str, str]]]]:
        """To whom it was sent, and labels and annotations: those of ``status`` "firing" or "resolved"."""
        return received(self.receiver.log, alert, status)


async def watch(lab: Lab, node: str) -> Watching:
    """Start them on ``node``, where every edge of the lab is scraped each second."""
    edges = lab.topology.names(Role.EDGE)
    targets = [
        {
            "targets": [f"{lab.addresses(edge).v4}:{HEALTH_PORT}"],
            "labels": {"node": edge, "site": lab.topology.uplink(edge).peer.node},
        }
        for edge in edges
    ]
    started = {
        name: await lab.spawn(node, argv, name=name)
        for name, argv in commands(lab.log_dir / "watching", json.dumps(targets)).items()
    }
    return Watching(lab, node, started[RECEIVER])


def commands(directory: Path, targets: str) -> dict[str, list[str]]:
    """Command lines by name, in the order in which to start them; what they read is written into ``directory``.

    ``targets``: the nodes as Prometheus reads them from a file. From the examples that operators get; other intervals, and
    alerts do not wait.
    """
    export_rules(directory)
    rules = directory / RULES
    rules.write_text(re.sub(r"(?m)^( +)for: .*$", rf"\1for: {WAIT_S}s", rules.read_text()))
    _configure(directory, targets)
    return {
        RECEIVER: [sys.executable, "-S", "-u", "-c", _RECEIVER, str(RECEIVER_PORT)],
        "alertmanager": [
            "prometheus-alertmanager",
            f"--config.file={directory / 'alertmanager.yml'}",
            f"--storage.path={directory / 'alerts'}",
            f"--web.listen-address={ALERTMANAGER}",
            "--cluster.listen-address=",
        ],
        "prometheus": [
            "prometheus",
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'series'}",
            f"--web.listen-address={PROMETHEUS}",
        ],
    }


def received(log: Path, alert: str, status: str) -> list[tuple[str, dict[str, dict[str, str]]]]:
    """From the receiver's log: to whom it was sent, and labels and annotations: those of ``status`` "firing" or "resolved"."""
    messages = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [
        (one["to"], sent)
        for one in messages
        for sent in one["message"]["alerts"]
        if (sent["labels"]["alertname"], sent["status"]) == (alert, status)
    ]


def _configure(directory: Path, targets: str) -> None:
    prometheus, alertmanager = ((directory / name).read_text() for name in EXAMPLES)
    (directory / "targets.json").write_text(targets)
    prometheus = re.sub(r"_interval: \w+", f"_interval: {INTERVAL_S}s", prometheus)
    prometheus = re.sub(r"/\S+\.json", str(directory / "targets.json"), prometheus)
    assert f"job_name: {JOB}" in prometheus
    (directory / "prometheus.yml").write_text(prometheus)
    alertmanager = re.sub(r"http://[\d.:]+/", f"http://127.0.0.1:{RECEIVER_PORT}/", alertmanager)
    alertmanager = re.sub(r"group_(wait|interval): \w+", rf"group_\1: {INTERVAL_S}s", alertmanager)
    (directory / "alertmanager.yml").write_text(alertmanager)
