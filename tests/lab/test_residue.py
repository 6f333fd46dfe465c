"""What is said to be left of a lab."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.lab.residue import Traces, residue, traces_of

NETWORK = Path("/proc/self/ns/net").stat().st_ino
NOBODYS = 1
"""No namespace has that number."""


@pytest.fixture
def process() -> Iterator[int]:
    """One that lives where we do, which some lab may have left behind."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as one:
        yield one.pid


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.lab.residue._SETTLE_S", 0.0)


def test_who_lives_in_a_namespace_of_the_lab_is_left_of_it(process: int) -> None:
    left = residue(traces_of(frozenset({NETWORK})))
    assert {process, os.getpid()} <= set(left.processes)
    assert left.namespaces == (NETWORK,)


def test_who_had_nothing_of_it_while_it_was_there_is_of_the_lab_beside(process: int) -> None:
    """The kernel gives the number of a namespace that has gone to the next one."""
    strangers = traces_of(frozenset({NOBODYS})).strangers
    assert process in {pid for pid, _ in strangers}
    before = traces_of(frozenset({NETWORK}))
    assert residue(Traces(frozenset({NETWORK}), before.ended_at, strangers)).total == 0


def test_who_came_later_is_not_of_it() -> None:
    traces = traces_of(frozenset({NETWORK}))
    time.sleep(0.05)  # when a process started is told in hundredths of a second, rounded down
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as late:
        assert late.pid not in residue(traces).processes
