"""Everybody who runs a lab in these tests, in turn."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from who import CALLERS, NOBODY, Caller


@pytest.fixture(scope="module", params=list(CALLERS))
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Everybody in turn; skipped with the reason and the remedy where the machine does not let them."""
    # Not pytest's own directory, which it closes to everybody else again and again.
    with tempfile.TemporaryDirectory(prefix="anycast-edge-test-") as home:
        if request.param == "nobody":
            os.chown(home, NOBODY, NOBODY)
        caller = Caller(CALLERS[request.param], Path(home))
        examined = caller.edgectl("lab", "doctor")
        if examined.returncode != 0:
            pytest.skip(f"no lab for {request.param}: {examined.stdout}{examined.stderr}")
        yield caller
