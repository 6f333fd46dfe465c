"""What this machine lacks for a lab, and how to mend it.

Looking at settings tells why something does not work; only trying tells that it does. So the examination
tries, in fresh namespaces, and where that failed it looks for the usual reasons.
"""

import asyncio
import enum
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge
from edge.backend.demo import installed
from edge.errors import EdgeError, UnreachableError
from edge.lab import bird, emulator, frr, links, namespaces, programs
from edge.lab.enclosure import run_inside
from edge.lab.scenarios import SCENARIOS
from edge.lab.scenarios.scenario import Scenario

_BIRD_REMEDY = "apt install bird2"
_FRR_REMEDY = "apt install frr"
_NFT_REMEDY = "apt install nftables"
_KERNEL_REMEDY = "boot a kernel of the distribution: apt install linux-image-amd64"
_OLDEST_BIRD = 2


class Verdict(enum.StrEnum):
    """With a ``NOTE`` a lab works, but the reader should know."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``remedy`` is empty if there is nothing to mend."""

    subject: str
    verdict: Verdict
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """A kernel setting known to keep ordinary users from having namespaces."""

    key: str
    value: str
    good: str

    def stands(self) -> bool:
        path = Path("/proc/sys", self.key.replace(".", "/"))
        return path.exists() and path.read_text().strip() == self.value


_OBSTACLES = (
    _Obstacle("kernel.unprivileged_userns_clone", "0", "1"),
    _Obstacle("user.max_user_namespaces", "0", "10000"),
    _Obstacle("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
)


def examine() -> tuple[Finding, ...]:
    """Everything a lab needs on this machine, for the user who asks."""
    return (_python(), _bird(), *_other_birds(), _frr(), _nft(), _demo(), *_kernel())


def _python() -> Finding:
    subject, version = "python", sys.version.split()[0]
    for path in (Path(sys.executable).resolve(), Path(edge.__file__)):
        for part in (path, *path.parents):
            if not part.stat().st_mode & 0o004:
                problem = f"{version}; only some users can read {part}, so others cannot have a lab"
                return Finding(subject, Verdict.NOTE, problem, f"chmod o+rX {part}, or install elsewhere")
    return Finding(subject, Verdict.OK, version)


def _bird() -> Finding:
    try:
        path = bird.executable()
    except UnreachableError:
        return Finding("bird", Verdict.PROBLEM, "not found", _BIRD_REMEDY)
    # "BIRD version 2.0.12", on stderr
    said = subprocess.run(
        [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    version = (said.stderr + said.stdout).split()[-1:]
    if not version or not version[0].split(".")[0].isdigit() or int(version[0].split(".")[0]) < _OLDEST_BIRD:
        return Finding("bird", Verdict.PROBLEM, f"{path} is not BIRD 2", _BIRD_REMEDY)
    return Finding("bird", Verdict.OK, f"{path}, {version[0]}")


def _frr() -> Finding:
    try:
        path = [frr.executable(program) for program in frr.PROGRAMS][-1]
    except UnreachableError:
        stories = _stories(lambda scenario: scenario.needs_frr)
        without = f"not found; needed by routers that run FRR, as in the scenarios {stories}"
        return Finding("frr", Verdict.NOTE, without, _FRR_REMEDY)
    # "bgpd version 8.4.4", and the licence
    said = subprocess.run(
        [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Finding("frr", Verdict.OK, f"{path}, {said.stdout.partition('version ')[2].partition(chr(10))[0]}")


def _nft() -> Finding:
    try:
        return Finding("nft", Verdict.OK, programs.find("nft", "nftables"))
    except UnreachableError:
        stories = _stories(lambda scenario: scenario.needs_nft)
        without = f"not found; needed by firewalls and NATs, as in the scenario {stories}"
        return Finding("nft", Verdict.NOTE, without, _NFT_REMEDY)


def _demo() -> Finding:
    subject = "demo backend"
    if lacks := installed.missing():
        stories = _stories(lambda scenario: scenario.needs_demo)
        without = f"{', '.join(lacks)} not found; needed to talk with an edge, as in the scenario {stories}"
        return Finding(subject, Verdict.NOTE, without, "; ".join(dict.fromkeys(lacks.values())))
    return Finding(subject, Verdict.OK, "pocketsphinx, webrtcvad, flite")


def _stories(need: Callable[[Scenario], bool]) -> str:
    return ", ".join(scenario.name for scenario in SCENARIOS.values() if need(scenario))


def _other_birds() -> tuple[Finding, ...]:
    """BIRDs outside of any lab: the Debian package starts one."""
    ours = os.readlink("/proc/self/ns/net")
    pids = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if (
                Path(f"/proc/{pid}/comm").read_text() == "bird\n"
                and os.readlink(f"/proc/{pid}/ns/net") == ours
            ):
                pids.append(pid)
        except OSError:  # ended meanwhile, or another user's
            continue
    if not pids:
        return ()
    detail = f"a BIRD of this machine itself is running (process {', '.join(pids)})"
    return (Finding("system bird", Verdict.NOTE, detail, "if nobody needs it: systemctl disable --now bird"),)


def _kernel() -> tuple[Finding, ...]:
    root = namespaces.privileged()
    subject = "namespaces"
    try:
        results: list[tuple[str, str | None]] = []
        run_inside("edge.lab.doctor:attempt", list(_TRIALS), told=results.append)
    except EdgeError as error:
        standing = [obstacle for obstacle in _OBSTACLES if obstacle.stands()]
        remedy = "; ".join(f"sysctl -w {obstacle.key}={obstacle.good}" for obstacle in standing)
        remedy = remedy or "in a container: start it with --privileged; else try as root"
        return (Finding(subject, Verdict.PROBLEM, str(error), remedy),)
    how = "as root" if root else "as an ordinary user"
    return (
        Finding(subject, Verdict.OK, how),
        *(
            Finding(name, Verdict.PROBLEM, problem, _KERNEL_REMEDY)
            if problem
            else Finding(name, Verdict.OK, "works")
            for name, problem in results
        ),
    )


def attempt(names: list[str], tell: Callable[[Any], None]) -> None:
    """The target for `edge.lab.enclosure`: tells, for each trial, its name and why it failed (or null)."""

    async def attempts() -> None:
        for name in names:
            try:
                await _TRIALS[name]()
                tell((name, None))
            except Exception as error:  # noqa: BLE001 - the reason is the finding
                tell((name, f"{type(error).__name__}: {error}"))

    asyncio.run(attempts())


async def _try_veth() -> None:
    namespaces.create_netns("a")
    namespaces.create_netns("b")
    async with links.netlink("a") as route:
        peer = {"ifname": "v", "net_ns_fd": str(namespaces.NETNS_DIR / "b"), "gso_max_segs": 1}
        await route.link("add", ifname="v", kind="veth", peer=peer)


async def _try_packet_socket() -> None:
    with namespaces.inside("a"):
        emulator.packet_socket("v").close()


async def _try_hash_policy() -> None:
    links.write_sysctls("a", {f"net/{version}/fib_multipath_hash_policy": 1 for version in ("ipv4", "ipv6")})


_TRIALS = {
    "virtual ethernet": _try_veth,
    "packet sockets": _try_packet_socket,
    "multipath by layer 4": _try_hash_policy,
}
