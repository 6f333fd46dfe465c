"""A browser at a client site calls an edge from the page that it serves; run inside a lab by `test_browser_in_lab`.

The same module runs the browser, in the site's namespace, when it is called as a program.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from inside_lab import part

from edge.lab import firewall
from edge.lab.lab import Lab
from edge.lab.nodes import SERVICE_NAME, start_fleet
from edge.lab.topologies import default_topology
from edge.runtime.admin_client import admin_request

SITE, ROUTER, EDGE = "c1", "t1", "e1"
PATIENCE_ROUTED_S = 30.0
PATIENCE_CALL_S = 120.0
TESTS = Path(__file__).resolve().parents[1]


def calls(argument: Any, tell: Callable[[Any], None]) -> Any:
    """By which carrier two calls go: one as the network is, one behind a firewall that lets no UDP pass.

    What the page shows of each, and what the node has counted of both: carrier, frames heard, frames said.
    """
    logs = Path(argument["log_dir"])
    open_, blocked = logs / "open", logs / "blocked"
    for profile in (open_, blocked):
        profile.mkdir(parents=True)
    return asyncio.run(_calls(logs, open_, blocked))


async def _calls(logs: Path, open_: Path, blocked: Path) -> Any:
    async with Lab(part(default_topology(), SITE, ROUTER, EDGE), logs) as lab, lab.watch(ROUTER) as watcher:
        began = time.monotonic()
        fleet = await start_fleet(lab)
        for prefix in lab.anycast_prefixes:
            await watcher.wait(
                prefix, lambda change: EDGE in change.neighbours, since=began, timeout=PATIENCE_ROUTED_S
            )
        shown = [await _call(lab, fleet.certificate, open_)]
        await firewall.block_udp(lab, SITE)
        shown.append(await _call(lab, fleet.certificate, blocked))
        counted: Any = (await admin_request(fleet.sockets[EDGE], "GET", "/calls")).checked()
        lab.check()
        return [
            shown,
            sorted((one["carrier"], one["heard"]["frames"], one["said"]["frames"]) for one in counted),
        ]


async def _call(lab: Lab, certificate: Path, directory: Path) -> str:
    options = [
        f"--host-resolver-rules=MAP {SERVICE_NAME} {lab.topology.service_v4.ip}",
        f"--ignore-certificate-errors-spki-list={_pin(certificate)}",
    ]
    url = f"https://{SERVICE_NAME}/#backend=demo"
    path = os.pathsep.join(map(str, (TESTS, TESTS / "lab")))
    done = await lab.exec(
        SITE,
        [sys.executable, "-P", "-m", "inside_browser", url, str(directory), json.dumps(options)],
        env={**os.environ, "PYTHONPATH": path},
        timeout=PATIENCE_CALL_S,
    )
    sys.stderr.write(done.stderr.decode())
    assert done.returncode == 0
    return done.stdout.decode()


def _pin(certificate: Path) -> str:
    """The page comes from a node with a certificate of its own making: the browser is told to trust its key."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return base64.b64encode(digest.finalize()).decode()


if __name__ == "__main__":
    from interop.page_calls import ask  # not to be found inside the lab's own process

    url, directory, options = sys.argv[1:]
    sys.stdout.write(asyncio.run(ask(url, Path(directory), json.loads(options))))
