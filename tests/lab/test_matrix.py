"""The failure matrix as a stranger plays it: with both speakers, and with what each row must fail without."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from who import CALLERS

from edge.lab.scenarios.matrix import ROWS
from edge.lab.scenarios.matrix_faults import LACKS

pytestmark = pytest.mark.needs("bird", "bgpd")

LEAST_PRIVILEGED = pytest.mark.parametrize("caller", [list(CALLERS)[-1]], indirect=True, scope="module")

SPEAKERS_ROWS = (
    "withdraw",
    "unplugged_bfd",
    "speaker_killed",
    "daemon_hung",
    "daemon_killed",
    "bridge_killed",
    "speaker_hung",
    "drain_last",
)
"""Those in which it matters who speaks BGP."""

SOUND = "drain_last"
"""A row that no fault has anything to do with."""


async def play(caller: Any, out: Path, *options: str) -> tuple[int, str, dict[str, bool]]:
    """Exit code, last line, and what became of each check."""
    process = await asyncio.create_subprocess_exec(
        *caller.command(sys.executable, "-P", "-m", "edge.cli", "lab", "run", "matrix"),
        *("--out", str(out), *options),
        env=caller.environment,
        cwd=caller.home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    sys.stdout.write(stderr.decode())
    assert process.returncode is not None
    checks = json.loads((out / "report.json").read_text())["checks"]
    return process.returncode, stdout.decode().strip(), {check["name"]: check["passed"] for check in checks}


@LEAST_PRIVILEGED
@pytest.mark.timeout(300)
def test_every_row_keeps_its_deadline(caller: Any) -> None:
    out = caller.home / "matrix"
    code, last, passed = asyncio.run(play(caller, out))
    assert (code, last) == (0, "lab matrix: PASS")
    assert passed == dict.fromkeys([*(row.name for row in ROWS), "residue"], True)
    page = (out / "report.html").read_text()
    assert all(f"<title>{row.name}</title>" in page for row in ROWS)


@LEAST_PRIVILEGED
@pytest.mark.timeout(200)
def test_so_does_the_other_speaker(caller: Any) -> None:
    options = ("--speaker", "bird", "--only", ",".join(SPEAKERS_ROWS))
    code, last, passed = asyncio.run(play(caller, caller.home / "bird", *options))
    assert (code, last) == (0, "lab matrix: PASS")
    assert passed == dict.fromkeys([*SPEAKERS_ROWS, "residue"], True)


@LEAST_PRIVILEGED
@pytest.mark.long
@pytest.mark.timeout(200)
@pytest.mark.parametrize("fault", LACKS)
def test_what_is_missing_fails_its_rows_and_no_other(caller: Any, fault: str) -> None:
    rows = LACKS[fault].rows
    options = ("--fault", fault, "--only", ",".join((*rows, SOUND)))
    code, last, passed = asyncio.run(play(caller, caller.home / fault, *options))
    assert (code, last) == (1, "lab matrix: FAIL")
    assert passed == dict.fromkeys(rows, False) | {SOUND: True, "residue": True}


@LEAST_PRIVILEGED
@pytest.mark.parametrize(
    "command, problem",
    [
        (["matrix", "--only", "gremlins"], "no row 'gremlins' in scenario matrix; there is withdraw, "),
        (["overload", "--only", "withdraw"], "no row 'withdraw' in scenario overload; there is none"),
        (["overload", "--speaker", "bird"], "no speaker 'bird' in scenario overload; there is exabgp"),
    ],
)
def test_what_a_scenario_does_not_have_is_refused(caller: Any, command: list[str], problem: str) -> None:
    done = caller.edgectl("lab", "run", *command)
    assert done.returncode == 2
    assert done.stderr.startswith(f"edgectl: error: {problem}")
