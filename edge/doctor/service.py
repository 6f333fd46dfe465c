"""What the running node says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import edge
from edge.doctor.finding import Finding, fail, ok, warn
from edge.runtime.documents import Peer
from edge.runtime.operation import way_on
from edge.statuspage.facts import Status


def check_node(status: Status | None, problem: str) -> Iterator[Finding]:
    """``status`` is that of ``GET /status``, None without an answer; ``problem``: why there is none."""
    check = "node"
    if status is None:
        yield fail(check, problem, "look why: systemctl status edge; journalctl -u edge -n 50")
        return
    state, reason = status.state, status.reason
    if state == "announced":
        yield ok(check, "it is announced")
    elif state == "fenced":
        yield fail(check, f"fenced: {reason}", "edgectl explain says what it waits for")
    else:
        yield warn(
            check, f"{state}: {reason}", "if that is not meant: edgectl explain says what would change it"
        )
    for one in status.problems:
        yield fail("shared files", one, "put the file right; the node looks every second")
    config = status.config
    if config and config.changed_on_disk:
        found = f"{config.file} is another than the one the node runs with (hash {config.hash})"
        yield warn(
            "configuration",
            found,
            "restart the node to take it over, one after the other: edgectl config apply",
        )
    elif config:
        yield ok("configuration", f"{config.file}, hash {config.hash}")
    operation = status.operation or {}
    if operation.get("interrupted"):
        yield warn(
            "operation",
            operation.get("advice", "it was interrupted"),
            way_on(str(operation.get("kind"))),
        )


def check_versions(status: Status, here: str = edge.__version__) -> Iterator[Finding]:
    """``here``: of the code that looks, which is the one that a restart would run."""
    check, supervisor = "version", status.version
    workers = {worker.version for worker in status.workers} - {""}
    if supervisor != here:
        yield warn(
            check, f"the node runs {supervisor}, and {here} is installed", "systemctl restart edge, drained"
        )
    elif workers - {here}:
        found = f"workers run {', '.join(sorted(workers))}, and {here} is installed"
        yield warn(check, found, "edgectl node reload; calls go on")
    else:
        yield ok(check, f"{here}, installed and running")


def check_peers(peers: Sequence[Peer]) -> Iterator[Finding]:
    check = "BGP sessions"
    down = [peer for peer in peers if peer.state != "up"]
    for peer in down:
        why = f", went down last for: {peer.last_reason}" if peer.last_reason else ", and has never been up"
        all_down = len(down) == len(peers)
        remedy = (
            f"is {peer.address} reached (ping), its AS {peer.asn}, does its side have this neighbor, "
            "the same MD5 key and TTL security?"
        )
        yield (fail if all_down else warn)(check, f"{peer.address} ({peer.role}) is down{why}", remedy)
    if peers and not down:
        yield ok(check, f"{len(peers)} of {len(peers)} up")
