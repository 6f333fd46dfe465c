"""edgectl rules and edgectl dashboards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli.root import edgectl
from edge.errors import UnreachableError, UsageError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(edgectl, arguments, catch_exceptions=False, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.stdout


def test_rules_are_written_with_links_to_where_the_runbooks_are(tmp_path: Path) -> None:
    printed = run("rules", "export", str(tmp_path / "new"), "--runbook-base", "https://docs.example/runbooks")
    paths = [Path(line) for line in printed.splitlines()]
    assert set(paths) == {path for path in (tmp_path / "new").rglob("*") if path.is_file()}
    # Whoever has Prometheus read all of the folder has it read rules.
    assert [path.name for path in (tmp_path / "new").glob("*.yml")] == ["edge.rules.yml"]
    assert "https://docs.example/runbooks/site-dark.html" in paths[0].read_text()


def test_dashboards_are_written_as_grafana_reads_them(tmp_path: Path) -> None:
    for line in run("dashboards", "export", str(tmp_path)).splitlines():
        assert json.loads(Path(line).read_text())["uid"] == Path(line).stem


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written to"):
        run("rules", "export", str(tmp_path / "file" / "below"))


def test_verify_names_the_prometheus_that_is_not_there() -> None:
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
        run("rules", "verify", "http://127.0.0.1:1")
