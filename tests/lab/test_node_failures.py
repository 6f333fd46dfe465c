"""What becomes of a node's routes when a part of it dies, hangs or is told to leave.

Seen from the router's kernel, with real BGP in between; the stories themselves are in `inside_node`. Times are
printed (`pytest -rP`); limits are those of the failure matrix.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.needs("bird", "ip")

WHOEVER_RUNS_THIS = pytest.mark.parametrize(
    "caller", ["root" if os.geteuid() == 0 else "user"], indirect=True, scope="module"
)

SERVICE = ["198.51.100.1/32", "2001:db8:a::1/128"]
SERVED_SOCKETS = 8  # on each service and each unicast address one for each slot of a worker
FILES = ["keys.toml", "ledger.json", "starts.json", "t1-e1.md5"]

WITHDRAWN_S = 0.1
KILLED_S = 0.25
HUNG_S = 3.0
DATA_PLANE_DEAD_S = 4.0
SPEAKER_BACK_S = 5.0
CALL_RESUMED_S = 3.0
STARTED_S = 10.0
GRACE_S = 1.0

PLAY = """
import json, sys
from edge.lab.enclosure import run_inside
from edge.lab.residue import residue
value, traces = run_inside(f"inside_node:{sys.argv[1]}", {"log_dir": sys.argv[2]})
print(json.dumps([value, residue(traces).total]))
"""


def play(caller: Any, story: str) -> Any:
    """What a story of `inside_node` found out, in a lab of its own that leaves nothing behind."""
    log_dir = caller.home / story
    done = caller.run(sys.executable, "-P", "-c", PLAY, story, str(log_dir), timeout=100)
    logs = [path.read_text() for path in log_dir.glob("*.node.log")]
    sys.stdout.write("\n".join([done.stderr, *logs]))
    assert done.returncode == 0, done.stderr
    found, left = json.loads(done.stdout.splitlines()[-1])
    for name, value in found.items():
        sys.stdout.write(f"{name} = {value}\n")
    assert left == 0
    return found


def test_a_daemon_that_dies_or_hangs_and_a_worker_that_hangs(caller: Any) -> None:
    found = play(caller, "daemon")
    assert found["running"] == 4  # supervisor, worker, ExaBGP, its bridge
    assert found["killed_gone"] < KILLED_S
    assert found["killed_cleared"] < 2.0
    assert found["killed_left"] == SERVICE
    # Addresses and admin socket of the dead one are in nobody's way.
    assert found["restarted_back"] < STARTED_S
    assert found["worker_gone"] < DATA_PLANE_DEAD_S
    state, problem, neighbors = found["worker_status"]
    assert state == "fenced"
    assert problem == "198.51.100.1:443: no answer within 0.75 s over UDP"
    assert set(neighbors.values()) == {"up"}  # BGP was alive all the time
    assert found["worker_back"] < STARTED_S
    assert found["hung_gone"] < HUNG_S
    assert found["hung_back"] < SPEAKER_BACK_S
    # At the end its successor takes off lo what the dead one had put there.
    assert found["exit"] == 0
    assert found["left"] == []


@WHOEVER_RUNS_THIS
def test_a_speaker_and_a_worker_that_are_killed_come_back(caller: Any) -> None:
    found = play(caller, "parts")
    assert found["speaker_gone"] < KILLED_S
    assert found["speaker_back"] < SPEAKER_BACK_S
    assert found["speaker_replaced"]
    assert found["call_resumed"] < CALL_RESUMED_S
    assert found["worker_replaced"]
    assert found["route_kept"]
    assert found["answered"] == ["e1", "e1"]
    assert found["endings"] == {"before": "hung_up", "behind": "hung_up"}


@WHOEVER_RUNS_THIS
def test_an_operator_takes_a_node_out_and_puts_it_back_and_stops_it(caller: Any) -> None:
    found = play(caller, "operator")
    assert statistics.median(found["drained_gone"]) < WITHDRAWN_S
    assert max(found["undrained_back"]) < 1.0  # the data plane has proved itself all the while
    # A call that was up through all of it has not lost a frame and has never left.
    assert found["answered"] == "e1"
    assert found["call"]["ending"] == "hung_up"
    (leg,) = found["call"]["legs"]
    assert leg["migrated"]
    (session,) = found["call"]["sessions"]
    assert session["sent"]["frames"] > 50
    assert session["sent"] == session["heard_by_edge"]
    assert session["said_by_edge"] == session["received"]

    # Nobody is routed to a node that is held, so it need not wait before it leaves.
    assert found["held_exit"] == 0
    assert found["held_took"] < GRACE_S
    assert found["held_status"] == ["held", False, "a new disk"]
    assert found["held_kept"]
    assert found["released_back"] < 1.0

    assert found["serving"] == [SERVICE, SERVED_SOCKETS]
    assert found["stopped_gone"] < KILLED_S
    assert found["sockets_when_gone"] == SERVED_SOCKETS
    assert GRACE_S < found["stopped_took"] < GRACE_S + 4.0
    assert found["stopped_exit"] == 0
    assert found["changes"] == len(SERVICE)  # nothing came back during the grace
    assert found["left"] == [[], 0, [], FILES]
