"""Which process of a node is which part, by command lines of a node as they were in a lab."""

from __future__ import annotations

import pytest

from edge.lab.strikes import _MARKS, Part

PYTHON, BGP, RUN = "/opt/edge/.venv/bin/python", "/opt/edge/bgp", "/run/lab/e1"
ENDS = f"-s {RUN}/{{0}}/bird.ctl -P {RUN}/{{0}}/bird.pid "
BIRD = f"/usr/sbin/bird -f -c {RUN}/{{0}}/bird.conf {ENDS}"
KEPT = f"{PYTHON} -I -S {BGP}/keeper.py 2 {BGP}/leash.py {BIRD}"

COMMANDS = {
    f"{PYTHON} -P -m edge.cli node run --config /tmp/logs/e1.toml ": Part.SUPERVISOR,
    f"{PYTHON} -P -m edge.runtime.worker 12 20 ": Part.WORKER,
    f"{PYTHON}3 /opt/edge/.venv/bin/exabgp server {RUN}/speaker/exabgp.conf ": Part.SPEAKER,
    f"{PYTHON} -I -S {BGP}/bridge.py {RUN}/speaker/bridge.sock 2 ": Part.BRIDGE,
    BIRD.format("speaker"): Part.SPEAKER,
    KEPT.format("speaker"): Part.BRIDGE,
    BIRD.format("bfd"): Part.BFD,
    KEPT.format("bfd"): None,
    "sleep 60 ": None,
    "": None,  # a process that has ended and is not yet collected
}


@pytest.mark.parametrize("command, part", COMMANDS.items())
def test_a_process_is_one_part_at_most(command: str, part: Part | None) -> None:
    assert [known for known, mark in _MARKS.items() if mark.search(command)] == ([part] if part else [])
