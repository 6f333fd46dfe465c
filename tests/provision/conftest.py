"""A bed for each module of these tests, and who may not have one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from bed import handle

from edge.lab import namespaces


@pytest.fixture(scope="session")
def privileged() -> None:
    """Root's own."""
    if not namespaces.privileged():
        pytest.skip("a bed boots whole machines: run as root")


@pytest.fixture(scope="module")
def bed(privileged: None, request: pytest.FixtureRequest) -> Iterator[handle.Bed]:
    """Up before the module's first test, its nodes as a cloud hands them out; down after the last."""
    failed = request.session.testsfailed
    topic = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    with handle.bed(f"{topic[:8]}-{os.getpid()}") as one:
        yield one
        if request.session.testsfailed > failed:
            for log in sorted(one.logs.iterdir()):
                sys.stderr.write(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}\n")
