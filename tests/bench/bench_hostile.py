"""Neighbours of hostile callers: how much later well-behaved callers hear their echo while one attacks.

Method. A node as in tests/lab/test_hostile_callers.py (a supervisor and one worker, echo backend, loopback), callers in
this process, and the attacker in a process of its own, for an attack must cost the worker and not the clock by which it
is measured. `CALLERS` neighbours say a frame every 20 ms and note when it comes back. Each attack (`ATTACKS`) goes on
for `WINDOW_S`, cut off and begun again from a new address as often as it takes, between two windows without one:
`quiet`. The ratio is the 99th percentile under attack to that of the quiet windows of the same round, so that whatever
else the machine does meets both; a figure is the median over `ROUNDS` rounds.

A row has been delivered if every frame of every neighbour came back unaltered and none was cut off. The attacker shares
two cores with everybody else, so some of what it moves is not the worker's to mend: `a sink` sends the same packets as
fast to a socket that nobody reads, and shows how much that is.
"""

import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

from hostile_callers import (  # noqa: E402
    CUT,
    HOST,
    SERVER_NAME,
    Hostile,
    Neighbour,
    Node,
    floods_handshakes,
    running_node,
)

from edge.lab.certificates import write_certificate  # noqa: E402
from edge.overload.limits import Limits  # noqa: E402

CALLERS = 8
WINDOW_S = 3.0
SETTLE_S = 0.5
ROUNDS = 3
GROUP = "neighbours of hostile callers, p99"
SINK, HANDSHAKES = "a sink", "floods handshakes"
SINK_BURST, SINK_PAUSE_S = 200, 0.01
ATTACKS = (
    SINK,
    HANDSHAKES,
    "floods packets",
    "floods audio datagrams",
    "floods reports",
    "floods events",
    "dumps without end",
    "opens every stream",
    "reads nothing",
)


def run() -> list[dict[str, Any]]:
    return asyncio.run(measure())


async def measure() -> list[dict[str, Any]]:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ATTACKS}
    troubles: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-hostile-") as folder:
        certificate, key = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        write_certificate(certificate, key, [SERVER_NAME], [IPv4Address(HOST)])
        for _ in range(ROUNDS):
            for name in ATTACKS:
                async with running_node(
                    certificate.read_bytes(), key.read_bytes(), Limits(per_address=32)
                ) as node:
                    pair, trouble = await one(node, name)
                found[name].append(pair)
                if trouble:
                    troubles[name] = trouble
    quiet = statistics.median(quiet for pairs in found.values() for quiet, _ in pairs)
    rows = [row("quiet", quiet, "", None, delivered=True)]
    for name, pairs in found.items():
        ratio = statistics.median(attacked / quiet for quiet, attacked in pairs)
        note = troubles.get(name) or f"{ratio:.2f}x of the quiet windows around it"
        under = statistics.median(attacked for _, attacked in pairs)
        rows.append(row(name, under, note, "quiet", delivered=name not in troubles))
    return rows


def row(name: str, value_s: float, note: str, relative_to: str | None, *, delivered: bool) -> dict[str, Any]:
    return {
        "group": GROUP,
        "name": name,
        "value": value_s * 1000,
        "unit": "ms",
        "delivered": delivered,
        "relative_to": relative_to,
        "note": note,
    }


async def one(node: Node, name: str) -> tuple[tuple[float, float], str]:
    """The 99th percentile without the attack and with it, and what went wrong."""
    neighbours = [await Neighbour.come(node, number) for number in range(CALLERS)]
    await asyncio.sleep(1.0)
    quiet = await listen(neighbours)
    with attacker(node, name):
        attacked = await listen(neighbours)
    quiet += await listen(neighbours)
    for neighbour in neighbours:
        await neighbour.leave()
    whole = all(neighbour.is_whole for neighbour in neighbours)
    return (p99(quiet), p99(attacked)), "" if whole else "a neighbour lost frames"


async def listen(neighbours: list[Neighbour]) -> list[float]:
    """The round trips of a window."""
    await asyncio.sleep(SETTLE_S)
    for neighbour in neighbours:
        neighbour.round_trips_s.clear()
    await asyncio.sleep(WINDOW_S)
    return [taken for neighbour in neighbours for taken in neighbour.round_trips_s]


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


@contextlib.contextmanager
def attacker(node: Node, name: str) -> Any:
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps([node.port, name])], stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


# --- the attacker's process ------------------------------------------------------------------------------


async def attack(port: int, name: str) -> None:
    node: Any = Node(port, supervisor=None)  # type: ignore[arg-type]
    if name == SINK:
        await fill_sink()
    for number in count():
        source = f"127.0.{1 + number // 200}.{1 + number % 200}"
        if name == HANDSHAKES:
            await floods_handshakes(node, "127.0.0.20", 10)
            continue
        act, *_ = CUT[name]
        caller = await Hostile.come(node, source, stingy=name == "reads nothing")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(act(caller), 5)
        caller.leave()


async def fill_sink() -> None:
    """As many packets as those that flood the node, and nobody who reads them."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source,
    ):
        sink.bind((HOST, 0))
        while True:
            for _ in range(SINK_BURST):
                source.sendto(bytes(60), sink.getsockname())
            await asyncio.sleep(SINK_PAUSE_S)


if __name__ == "__main__":
    asyncio.run(attack(*json.loads(sys.argv[1])))
