"""The scenario `overload` as a stranger runs it, and its faults: each must fail, by the check that names it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import wave
from pathlib import Path
from typing import Any

import pytest

from edge.lab.faults import FAULTS

CHECKS = {
    "calls_lost",
    "frames_missing",
    "frames_altered",
    "frames_counted",
    "migrated_ratio",
    "migration_ms",
    "withdrawn",
    "withdraw_to_fib_ms",
    "new_calls_elsewhere",
    "reannounced",
    "residue",
}


async def _play(caller: Any, out: Path, *options: str) -> tuple[int, str, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *caller.command(sys.executable, "-P", "-m", "edge.cli", "lab", "run", "overload"),
        *("--out", str(out), *options),
        env=caller.environment,
        cwd=caller.home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode is not None, stderr
    return process.returncode, stdout.decode(), json.loads((out / "report.json").read_text())


def _failed(report: dict[str, Any]) -> set[str]:
    return {check["name"] for check in report["checks"] if not check["passed"]}


@pytest.mark.needs("bird")
@pytest.mark.timeout(200)
def test_the_story_holds_for_whoever_tells_it(caller: Any) -> None:
    """As root and as an ordinary user: everything is measured, everything passes, nothing is left."""
    out = caller.home / "story"
    code, stdout, report = asyncio.run(_play(caller, out))
    assert (code, stdout.splitlines()[-1]) == (0, "lab overload: PASS")
    assert _failed(report) == set()
    assert {check["name"] for check in report["checks"]} == CHECKS
    assert (report["apiVersion"], report["kind"], report["scenario"]) == ("edge/v1", "LabReport", "overload")
    kinds = {entry["kind"] for entry in report["timeline"]}
    assert kinds == {"sample", "event"}
    page = (out / "report.html").read_text()
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "")  # nothing is fetched from anywhere
    with wave.open(str(out / "caller.wav")) as heard:
        assert heard.getnframes() / heard.getframerate() > 20.0


# Whom a fault belongs to makes no difference to it, so only whoever runs the tests has to try.
WHOEVER_WE_ARE = ["root" if os.geteuid() == 0 else "user"]


@pytest.mark.needs("bird")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("caller", WHOEVER_WE_ARE, indirect=True)
def test_each_fault_fails_its_check(caller: Any) -> None:
    """What was broken on purpose is found, by its check, while the labs run side by side."""

    async def play_all() -> dict[str, tuple[int, str, dict[str, Any]]]:
        plays = {
            name: asyncio.create_task(_play(caller, caller.home / name, "--fault", name)) for name in FAULTS
        }
        return {name: await play for name, play in plays.items()}

    for name, (code, stdout, report) in asyncio.run(play_all()).items():
        assert (code, stdout.splitlines()[-1]) == (1, "lab overload: FAIL"), name
        assert FAULTS[name].check in _failed(report), name


def test_a_fault_nobody_knows_is_refused(caller: Any) -> None:
    done = caller.edgectl("lab", "run", "overload", "--fault", "gremlins")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "edgectl: error: no fault 'gremlins' in scenario overload; there is " + ", ".join(FAULTS)
    ]


def test_a_report_that_cannot_be_written_is_said_before_anything_is_built(caller: Any) -> None:
    done = caller.edgectl("lab", "run", "overload", "--out", "/proc/nowhere")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("edgectl: error: /proc/nowhere: cannot be written: ")
