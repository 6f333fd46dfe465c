"""The files themselves: what a site's own Prometheus, Alertmanager and Grafana load."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final

from edge.errors import UsageError
from edge.monitoring.rules import rules_file

DEFAULT_RUNBOOKS: Final = "docs/runbooks/{page}.md"
"""Where they are in a checkout; a link that can be followed from an alert needs an address of yours."""
FILES: Final = files("edge.monitoring") / "files"
RULES: Final = "edge.rules.yml"
EXAMPLES: Final = ("examples/prometheus.yml", "examples/alertmanager.yml")
"""In a folder of their own: many have Prometheus read whatever lies beside the rules."""
DASHBOARDS: Final = ("edge-fleet.json", "edge-node.json", "edge-calls.json", "edge-routing.json")


def export_rules(directory: Path, runbooks: str = DEFAULT_RUNBOOKS) -> tuple[Path, ...]:
    """Write the rules, with links to ``runbooks``, and examples of what reads them. Raises `UsageError`."""
    texts = {RULES: rules_file(runbooks)} | {name: packaged(name) for name in EXAMPLES}
    return tuple(_write(directory, texts))


def export_dashboards(directory: Path) -> tuple[Path, ...]:
    """Write the dashboards as Grafana imports and provisions them. Raises `UsageError`."""
    return tuple(_write(directory, {name: packaged(name) for name in DASHBOARDS}))


def packaged(name: str) -> str:
    """One of the files that come with this package."""
    return (FILES / name).read_text()


def _write(directory: Path, texts: dict[str, str]) -> Iterator[Path]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            yield path
    except OSError as error:
        raise UsageError(
            f"{directory}: cannot be written to: {error.strerror}; choose another folder"
        ) from error
