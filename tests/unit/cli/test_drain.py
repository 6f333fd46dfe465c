"""Waiting for a drain: what is told on the way, what at its end, and how the command ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.cli import draining, main
from edge.runtime.admin import DrainOrder
from edge.runtime.documents import DrainedCall, DrainReport, DrainStatus

MOVED = DrainedCall(
    call_id="sess_1",
    worker=0,
    fate="moved",
    to="https://203.0.113.6:443",
    node="e2",
    took_ms=312.5,
    frames_missing=0,
)
CLOSED = msgspec.structs.replace(MOVED, call_id="sess_2", fate="closed", took_ms=None, frames_missing=None)
HUNG_UP = msgspec.structs.replace(MOVED, call_id="sess_3", fate="ended", to="", node="", took_ms=None)


@pytest.fixture
def place(tmp_path: Path, serve: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(draining, "POLL_S", 0.01)
    serve(tmp_path / "admin.sock")
    return str(tmp_path / "admin.sock")


def report(phase: str, *calls: DrainedCall) -> DrainReport:
    fates = {fate: sum(call.fate == fate for call in calls) for fate in draining.FATES}
    left = sum(call.fate in ("stays", "asked", "refused") for call in calls)
    status = DrainStatus(phase=phase, since_s=1.0, hand_over=True, deadline_in_s=None, left=left, fates=fates)
    return DrainReport(node="e1", drain=status, calls=calls)


def test_it_tells_every_step_and_then_each_call(
    place: str, node: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = msgspec.structs.replace(MOVED, fate="asked")
    node.reports = [
        report("withdrawing", asked),
        report("settling", asked),
        report("settling", asked),
        report("handing-over", asked, HUNG_UP),
        report("empty", MOVED, HUNG_UP),
    ]
    assert main(["drain", place, "--wait"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "e1 its routes are taken back; 1 call left",
        "e1 waits until the routers send nobody to it any more; 1 call left",
        "e1 lets nobody in, and asks its calls to go on elsewhere; 1 call left, 1 ended",
        "e1 no call is left; 0 calls left, 1 moved, 1 ended",
    ]
    held, up, head, first, second = out.splitlines()
    assert held.startswith("e1 is held, drained by ")
    assert up == "calls that are up: 7"
    assert head.split() == ["CALL", "WHAT", "BECAME", "OF", "IT", "WHERE", "TOOK", "MISSING"]
    assert first.split() == ["sess_1", "moved", "e2", "0.3", "s", "0"]
    assert second.split() == ["sess_3", "hung", "up", "0"]


def test_a_call_that_was_taken_from_its_caller_is_an_exit_code(
    place: str, node: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    node.reports = [report("empty", CLOSED, MOVED)]
    assert main(["drain", place, "--deadline", "20s", "--wait"]) == 3
    out, err = capsys.readouterr()
    assert "e1: 1 of 2 calls did not move: sess_2 closed at the deadline" in err
    assert [line.split()[0] for line in out.splitlines()[-2:]] == ["sess_1", "sess_2"]


def test_scripts_get_one_document(place: str, node: Any, capsys: pytest.CaptureFixture[str]) -> None:
    node.reports = [report("empty", MOVED)]
    assert main(["drain", place, "--wait", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "DrainReport"
    assert document["calls"][0]["frames_missing"] == 0


def test_ctrl_c_leaves_the_drain_and_says_so(
    place: str, node: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(_: float) -> None:
        raise KeyboardInterrupt

    node.reports = [report("settling", MOVED)]
    monkeypatch.setattr(time, "sleep", pressed)
    assert main(["drain", place, "--wait"]) == 130
    assert "the drain goes on" in capsys.readouterr().err
    assert len(node.orders) == 1


def test_a_drain_that_somebody_ended_does_not_wait_for_ever(
    place: str, node: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    node.reports = [report("settling"), report("ended", msgspec.structs.replace(MOVED, fate="stays"))]
    assert main(["drain", place, "--wait"]) == 3
    assert "1 of them are up: sess_1 still up" in capsys.readouterr().err


def test_what_becomes_of_the_calls_is_in_the_order(place: str, node: Any) -> None:
    assert main(["drain", place, "--let-end", "--deadline", "10m"]) == 0
    assert main(["drain", place]) == 0
    first, second = node.orders
    assert isinstance(first, DrainOrder)
    assert not first.hand_over
    assert 590 < first.deadline - time.time() <= 600
    assert (second.hand_over, second.deadline) == (True, None)
