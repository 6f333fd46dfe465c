"""BFD with a router, by a BIRD beside ExaBGP and by BIRD as the speaker: a node unplugged is noticed in no time.

The hold time is 9 s. Limits are those of the failure matrix; times are printed (`pytest -rP`).
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("bird", "ip")

RUN_INSIDE = """
import json, sys
from edge.lab.enclosure import run_inside
value, _ = run_inside("inside_bfd:failures", json.loads(sys.argv[1]))
print(json.dumps(value))
"""

CAP_NET_RAW = 13  # capabilities(7)

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


# Root can run it as somebody else, and should.
USERS = [None, "nobody"] if os.geteuid() == 0 else [None]

OWN = """
import asyncio, json, sys
from pathlib import Path
import msgspec
from bgp.bfd import BfdSideCar
from bgp.conf import BfdConfig, SpeakerConfig

async def main(directory, values):
    config = msgspec.convert(json.loads(values), SpeakerConfig)
    side_car = BfdSideCar(config, BfdConfig(), Path(directory), print)
    await side_car.start()
    print(Path(f"/proc/{side_car.pid}/status").read_text())
    await side_car.stop()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("user", USERS)
def test_it_has_the_one_capability_that_it_needs(user: str | None) -> None:
    """Without CAP_NET_RAW BIRD opens no socket for BFD, and says so in its log only."""
    neighbor = {"address": "192.0.2.1", "local_address": "192.0.2.2", "peer_as": 64501}
    config = {"router_id": "192.0.2.2", "local_as": 64601, "user": user, "neighbors": [neighbor]}
    with tempfile.TemporaryDirectory(prefix="bfd-") as place:
        Path(place).chmod(0o755)
        # A network of its own: nobody else's BFD is in the way.
        apart = ("unshare", "--map-root-user", "--user", "--net") if os.geteuid() else ("unshare", "--net")
        command = [*apart, sys.executable, "-c", OWN, f"{place}/run", json.dumps(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    effective = int(status["CapEff"], 16)
    assert effective & 1 << CAP_NET_RAW
    if user is not None:
        assert status["Uid"].split() == [str(pwd.getpwnam(user).pw_uid)] * 4
        assert effective == 1 << CAP_NET_RAW
