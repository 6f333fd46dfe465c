"""BFD with a router, by a BIRD beside ExaBGP and by BIRD as the speaker: a node unplugged is noticed in no time.

The hold time is 9 s. Limits are those of the failure matrix; times are printed (`pytest -rP`).
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.needs("bird", "ip")

RUN_INSIDE = """
import json, sys
from edge.lab.enclosure import run_inside
value, _ = run_inside("inside_bfd:failures", json.loads(sys.argv[1]))
print(json.dumps(value))
"""

GONE_WHEN_UNPLUGGED_MS = 500
GONE_MS = 250
# 3 x 100 ms of silence, and what the router makes of it.
GONE_WHEN_BFD_IS_GONE_MS = 500


@pytest.mark.parametrize("kind", ["exabgp", "bird"])
def test_what_bfd_notices(caller: Any, kind: str) -> None:
    argument = {"kind": kind, "log_dir": str(caller.home / f"log-{kind}")}
    done = caller.run(sys.executable, "-P", "-c", RUN_INSIDE, json.dumps(argument), timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"{kind}: {found}\n")
    assert found["unplugged_ms"] < GONE_WHEN_UNPLUGGED_MS
    # The death of what speaks BFD takes the routes with it, by design, and it comes back by itself.
    assert found["bfd_killed_ms"] < GONE_WHEN_BFD_IS_GONE_MS
    assert found["is_new"]
    assert found["daemon_killed_ms"] < GONE_MS
    assert not found["left"]
    assert found["downs"] == 4
