"""A bed as a test has it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

from bed import messages, outside
from bed.controller import ROOT
from bed.plan import CLIENT, CONTROLLER, ROUTER, node
from bed.router import CONTROL

from edge.errors import EdgeError
from edge.lab.birdc import Birdc
from edge.lab.rib import RibRoute

Completed = subprocess.CompletedProcess[str]
_COMMAND_S: Final = 120.0


class Bed:
    """One that is up. Everything at a place blocks, and gives up after ``timeout`` seconds."""

    def __init__(self, name: str, phases: dict[str, float]) -> None:
        self.name = name
        self.phases = phases
        """How long it took to come up, in seconds, by what was done."""
        self.home = outside.home(name)
        """The operator's: the same path inside and outside."""
        self.logs = outside.logs(name)

    def run(
        self, place: str, *argv: str, stdin: str = "", timeout: float = _COMMAND_S, check: bool = False
    ) -> Completed:
        """Run a command at a place, in this checkout where it is one of this machine's; with ``check`` it must succeed."""
        done = outside.run(self.name, place, argv, input=stdin, timeout=timeout, cwd=ROOT)
        assert not check or done.returncode == 0, f"{argv} at {place}: {done.stdout}{done.stderr}"
        return done

    def ssh(self, name: str, command: str, *options: str, **how: float | bool | str) -> Completed:
        """Run a shell's command on a node, as an operator does it; ``options`` are ssh's."""
        return self.run(CONTROLLER, "ssh", "-o", "BatchMode=yes", *options, node(name).mgmt, command, **how)

    def edgectl(self, *argv: str, place: str = CONTROLLER, **how: float | bool | str) -> Completed:
        """This checkout's, at the controller or the client."""
        return self.run(place, "edgectl", *argv, **how)

    def reaches(self, url: str, *options: str, place: str = CLIENT, timeout_s: float = 5) -> bool:
        """Whether a URL answers to somebody at ``place``; ``options`` are curl's."""
        limit = [
            "--silent",
            "--show-error",
            "--fail",
            "--output",
            "/dev/null",
            "--max-time",
            f"{timeout_s:g}",
        ]
        return self.run(place, "curl", *limit, *options, url).returncode == 0

    def sessions(self) -> dict[str, str]:
        """The router's BGP sessions: states by name."""
        return {one.name: one.state for one in asyncio.run(self._router().sessions())}

    def routes(self, prefix: IPv4Network | IPv6Network) -> tuple[RibRoute, ...]:
        """What the router knows about a prefix."""
        return asyncio.run(self._router().routes(prefix))

    def next_hops(self, prefix: IPv4Network | IPv6Network) -> set[str]:
        """Where the router's kernel sends it."""
        family = f"-{prefix.version}"
        shown = self.run(ROUTER, "ip", family, "-json", "route", "show", str(prefix), check=True).stdout
        hops = [hop for route in json.loads(shown) for hop in route.get("nexthops", [route])]
        return {hop.get("gateway") or hop["via"]["host"] for hop in hops}

    def boots(self, name: str) -> int:
        """How often a node has booted."""
        return outside.ask(self.name, messages.Ask()).boots[name]

    @contextlib.contextmanager
    def reboots(self, name: str, *, timeout_s: float = 120.0) -> Iterator[None]:
        """What is done in the block makes the node boot; when it ends it has."""
        boots = self.boots(name) + 1
        yield
        outside.ask(self.name, messages.Await(name, boots, timeout_s))

    def power(self, name: str, *, on: bool) -> None:
        """Switch a node on, or off as if its power failed."""
        outside.ask(self.name, messages.Power(name, on))

    def plug(self, place: str, *, connected: bool) -> None:
        """Put a place's cable in, or pull it."""
        outside.ask(self.name, messages.Plug(place, connected))

    def spawn(self, place: str, name: str, *argv: str, **env: str) -> Path:
        """Start a daemon that ends with the bed, anew if it runs; its log."""
        outside.ask(self.name, messages.Spawn(place, name, list(argv), env))
        return self.logs / f"{name}.log"

    def stop(self, name: str) -> None:
        """Stop such a daemon."""
        outside.ask(self.name, messages.Stop(name))

    def _router(self) -> Birdc:
        pid = outside.running(self.name).pid
        return Birdc(Path(f"/proc/{pid}/root", *CONTROL.parts[1:]))


@contextlib.contextmanager
def bed(name: str | None = None) -> Iterator[Bed]:
    """A bed of its own for the length of the block. EdgeError if it does not come up, or if something of it is left."""
    name = name or f"test-{os.getpid()}"
    try:
        phases = dict(line.split() for line in _bed(name, "up").splitlines())
        yield Bed(name, {phase: float(seconds) for phase, seconds in phases.items()})
    finally:
        _bed(name, "down")


def _bed(name: str, verb: str) -> str:
    """As by hand: what outlives it is no child of ours."""
    done = subprocess.run(
        outside.command(name, verb), env=outside.environment(), capture_output=True, text=True
    )
    if done.returncode != 0:
        raise EdgeError(done.stderr.strip())
    return done.stdout
