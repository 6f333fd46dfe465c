"""A browser at a client site calls an edge from the page that it serves; run inside labs by `test_browser_in_lab`.

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

from edge.lab import firewall, strikes
from edge.lab.faults import Fault
from edge.lab.lab import Lab
from edge.lab.nodes import SERVICE_NAME, FleetOptions, start_fleet
from edge.lab.process import Process
from edge.lab.scenarios.scenario import Order
from edge.lab.scenarios.stage import PATIENT, Stage, staged
from edge.lab.topologies import default_topology
from edge.runtime.admin_client import admin_request

SITE, ROUTER, EDGE = "c1", "t1", "e1"
OTHER_ROUTER, OTHER_EDGE = "t2", "e2"
SPEAKS, GOES_ON, TOLD = "speaks", "goes-on", "told.json"
"""Files by which a browser and the story around it tell each other how far they are."""
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
    done = await lab.exec(
        SITE,
        _browser("ask", lab, certificate, "#backend=demo", directory),
        env=_environment(),
        timeout=PATIENCE_CALL_S,
    )
    sys.stderr.write(done.stderr.decode())
    assert done.returncode == 0
    return done.stdout.decode()


def pinned(argument: Any, tell: Callable[[Any], None]) -> Any:
    """A page whose firewall keeps it on the anycast address speaks while its node is withdrawn.

    By IP version: what the page says of it, and how many of its packets the node got from the other one.
    """
    return asyncio.run(_pinned(argument, tell))


async def _pinned(argument: Any, tell: Callable[[Any], None]) -> Any:
    fault = Fault(check="", forwarding=argument["forwarding"])
    options = FleetOptions(fault=fault, policy=PATIENT)
    topology = part(default_topology(), SITE, ROUTER, EDGE, OTHER_ROUTER, OTHER_EDGE)
    out = Path(argument["log_dir"], "forwarding" if argument["forwarding"] else "none")
    async with staged(Order(out=str(out)), tell, topology, options) as stage:
        own = [address for edge in (EDGE, OTHER_EDGE) for address in stage.lab.addresses(edge)]
        await firewall.block_udp(stage.lab, SITE, to=own)
        return {version: await _withdrawn_under(stage, version) for version in argument["versions"]}


async def _withdrawn_under(stage: Stage, version: int) -> Any:
    before = await stage.counted("edge_forwarded_packets_total", kind="stray", direction="received")
    page, directory = await _reciting(stage, version)
    began = await stage.order(EDGE, "/withdraw", reason="to see who minds", who="operator", force=True)
    assert await stage.gone(ROUTER, EDGE, began, PATIENCE_ROUTED_S) is not None
    told = await _told(page, directory)
    returns = await stage.order(EDGE, "/announce", reason="the next one", who="operator", hold=True)
    assert await stage.back(ROUTER, EDGE, returns, PATIENCE_ROUTED_S) is not None
    strays = await stage.counted("edge_forwarded_packets_total", kind="stray", direction="received")
    return told | {"strays": strays - before}


def lost(argument: Any, tell: Callable[[Any], None]) -> Any:
    """A page speaks while its node is killed; what it says of that."""
    return asyncio.run(_lost(argument, tell))


async def _lost(argument: Any, tell: Callable[[Any], None]) -> Any:
    topology = part(default_topology(), SITE, ROUTER, EDGE, OTHER_ROUTER, OTHER_EDGE)
    order = Order(out=str(Path(argument["log_dir"], "lost")))
    async with staged(order, tell, topology, FleetOptions(policy=PATIENT)) as stage:
        page, directory = await _reciting(stage, 4)
        began = strikes.destroy(stage.lab, EDGE)
        assert await stage.gone(ROUTER, EDGE, began, PATIENCE_ROUTED_S) is not None
        return await _told(page, directory)


async def _reciting(stage: Stage, version: int) -> tuple[Process, Path]:
    """A page that speaks by now, and where it leaves what it tells."""
    directory = stage.lab.log_dir / f"IPv{version}"
    directory.mkdir()
    argv = _browser("recite", stage.lab, stage.fleet.certificate, "", directory, version)
    page = await stage.lab.spawn(SITE, argv, name=f"browser{version}", finite=True, env=_environment())
    async with asyncio.timeout(PATIENCE_CALL_S):
        while not (directory / SPEAKS).exists():
            assert page.returncode is None, page.log.read_text()
            await asyncio.sleep(0.05)
    return page, directory


async def _told(page: Process, directory: Path) -> Any:
    """What it says when it has spoken on and ended."""
    (directory / GOES_ON).touch()
    async with asyncio.timeout(PATIENCE_CALL_S):
        assert await page.wait() == 0, page.log.read_text()
    return json.loads((directory / TOLD).read_text())


def _browser(
    verb: str, lab: Lab, certificate: Path, choices: str, directory: Path, version: int = 4
) -> list[str]:
    """The command line of this module as a program."""
    service = lab.topology.service_v4.ip if version == 4 else f"[{lab.topology.service_v6.ip}]"
    options = [
        f"--host-resolver-rules=MAP {SERVICE_NAME} {service}",
        f"--ignore-certificate-errors-spki-list={_pin(certificate)}",
    ]
    url = f"https://{SERVICE_NAME}/{choices}"
    return [sys.executable, "-P", "-m", "inside_browser", verb, url, str(directory), json.dumps(options)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS / "lab")))}


def _pin(certificate: Path) -> str:
    """The page comes from a node with a certificate of its own making: the browser is told to trust its key."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return base64.b64encode(digest.finalize()).decode()


async def _recite(url: str, directory: Path, options: list[str]) -> None:
    from interop.page_calls import recite  # not to be found inside the lab's own process

    async def meanwhile(_page: object) -> None:
        (directory / SPEAKS).touch()
        while not (directory / GOES_ON).exists():  # noqa: ASYNC110 - nobody would tell
            await asyncio.sleep(0.05)

    told = await recite(url, directory, options, meanwhile)
    (directory / TOLD).write_text(json.dumps(told))


async def _ask(url: str, directory: Path, options: list[str]) -> None:
    from interop.page_calls import ask

    sys.stdout.write(await ask(url, directory, options))


if __name__ == "__main__":
    verb, url, directory, options = sys.argv[1:]
    asyncio.run({"ask": _ask, "recite": _recite}[verb](url, Path(directory), json.loads(options)))
