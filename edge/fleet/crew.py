"""Hands and eyes of an operation: looks at all nodes at once, and does to one what a rollout wants done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from edge.errors import EdgeError, UnreachableError, UsageError
from edge.fleet.actions import (
    Action,
    Admit,
    Check,
    Configure,
    Drain,
    Install,
    PlaceCall,
    Record,
    Restart,
    Undrain,
    Use,
)
from edge.fleet.leases import Leases
from edge.fleet.reach import PARALLEL
from edge.fleet.release_tool import ReleaseTool
from edge.fleet.sighting import NOT_UNDERSTOOD, Observed, Releases, observed, silent
from edge.fleet.transport import Transport

ORDER_S: Final = 15.0

Value = TypeVar("Value")

Call = Callable[[str], Awaitable[None]]
"""Calls a node at its unicast address. Raises `EdgeError` if it is not what it should be."""


@dataclass(frozen=True, slots=True)
class Files:
    """What a node is configured with. ``members`` is empty where the node has no list of the fleet's nodes."""

    node_toml: str
    members: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What putting `Files` in place would change on a node's disk; ``diff`` is of both."""

    node_toml_changed: bool
    members_changed: bool
    diff: tuple[str, ...]


class Crew:
    """``archive`` makes the release that is brought; ``files`` are those of `Configure`, by node."""

    def __init__(
        self,
        ways: Mapping[str, Transport],
        leases: Leases,
        *,
        who: str,
        timeout_s: float,
        parallel: int = PARALLEL,
        archive: Callable[[], bytes] = bytes,
        files: Mapping[str, Files] = {},
        call: Call | None = None,
    ) -> None:
        self.ways = ways
        self.leases = leases
        self._who = who
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(parallel)
        self._archive = archive
        self._files = files
        self._call = call
        self._tools = {name: ReleaseTool(way) for name, way in ways.items()}
        self._releases: dict[str, Releases] = {}
        self._ahead_s: dict[str, float] = {}

    # --- eyes -------------------------------------------------------------------------------------------

    async def look(self) -> dict[str, Observed]:
        """All nodes, as they are now. Raises `UsageError` where another node answers in the place of one."""
        seen = await self._all(self._look)
        return dict(zip(self.ways, seen, strict=True))

    async def _all(self, do: Callable[[str], Awaitable[Value]]) -> list[Value]:
        """Of every node, ``parallel`` at a time: a machine has so many files, and a jump host takes so many at once."""

        async def one(node: str) -> Value:
            async with self._free:
                return await do(node)

        return await asyncio.gather(*map(one, self.ways))

    async def list_releases(self) -> dict[str, EdgeError]:
        """Learn what lies on each machine; why that cannot be told of those of which it cannot. `look` shows the rest."""
        found = await self._all(self._list_releases)
        return {name: problem for name, problem in zip(self.ways, found, strict=True) if problem is not None}

    async def _list_releases(self, node: str) -> EdgeError | None:
        try:
            self._releases[node] = await self._tools[node].list()
        except EdgeError as error:
            return error
        return None

    async def _look(self, node: str) -> Observed:
        releases = self._releases.get(node)
        try:
            status, explanation, routes = await asyncio.gather(
                *(self._get(node, target) for target in ("/status", "/explain", "/bgp/routes"))
            )
        except EdgeError as error:
            return silent(str(error), releases)
        try:
            found = observed(status, explanation, routes, releases)
            self._ahead_s[node] = status.get("time", time.time()) - time.time()
        except NOT_UNDERSTOOD as error:
            return silent(f"its answer is of another version: {error!r}", releases)
        if status.get("node", node) != node:
            # Whatever would be done to the one would be done to the other.
            raise UsageError(
                f"{node}: it is {status['node']} that answers there; correct how {node} is reached (ssh, socket, addresses)"
            )
        return found

    async def _get(self, node: str, target: str) -> Any:
        return (await self.ways[node].request("GET", target, timeout_s=self._timeout_s)).checked()

    async def compare_files(self) -> tuple[dict[str, Difference], dict[str, EdgeError]]:
        """What would change where, and why that cannot be told, or a node's release does not take it."""
        found = dict(zip(self.ways, await self._all(self._compare), strict=True))
        differences = {name: one for name, one in found.items() if isinstance(one, Difference)}
        return differences, {name: one for name, one in found.items() if isinstance(one, EdgeError)}

    async def _compare(self, node: str) -> Difference | EdgeError:
        try:
            return await self._difference(node)
        except EdgeError as error:
            return error

    async def _difference(self, node: str) -> Difference:
        files, tool = self._files[node], self._tools[node]
        config = await tool.put("config", files.node_toml, dry_run=True)
        if not files.members:
            return Difference(config.changed, False, config.diff)
        members = await tool.put("members", files.members, dry_run=True)
        return Difference(config.changed, members.changed, (*members.diff, *config.diff))

    async def free_bytes(self, node: str) -> int | None:
        """What is free for releases; None where that cannot be told."""
        async with self._free:
            return await self._tools[node].free_bytes()

    async def config_of(self, node: str) -> str:
        """The configuration that a node has loaded; empty where it does not answer, or was given none."""
        try:
            async with self._free:
                return await self._config_of(node)
        except EdgeError:
            return ""

    async def _config_of(self, node: str) -> str:
        text = await self._get(node, "/config")
        return text if isinstance(text, str) else ""

    # --- hands ------------------------------------------------------------------------------------------

    async def do(self, action: Action) -> str:
        """Why it did not work, empty if it did."""
        try:
            await self._do(action)
        except EdgeError as error:
            return str(error)
        return ""

    async def _do(self, action: Action) -> None:
        node, tool = action.node, self._tools[action.node]
        match action:
            case Record(operation=operation):
                note = msgspec.to_builtins(operation)
                try:
                    await self._order(node, "/operation", note)
                except UnreachableError:
                    # Said twice it is the same; a connection that was lost is made anew.
                    await self._order(node, "/operation", note)
            case Drain(reason=reason, deadline_s=deadline_s, force=force, until=until):
                # By the node's clock, which need not be ours.
                deadline = time.time() + self._ahead_s.get(node, 0.0) + deadline_s
                order = {"reason": reason, "deadline": deadline, "force": force, "until": until}
                await self._order(node, "/drain", {**order, "who": self._who})
            case Install(version=version):
                await tool.install(version, self._archive())
                await self._learn(node)
            case Check(version=version):
                # Not told is not good: the node is drained, and would not come up.
                if text := await self._config_of(node):
                    await tool.put("config", text, release=version, dry_run=True)
            case Use(version=version):
                await tool.use(version)
                await self._learn(node)
            case Configure():
                files = self._files[node]
                if files.members:
                    await tool.put("members", files.members)
                await tool.put("config", files.node_toml)
            case Restart():
                await tool.restart()
            case Admit(reason=reason):
                await self._order(node, "/withdraw", {"reason": reason, "who": self._who})
            case PlaceCall():
                if self._call is not None:
                    await self._call(node)
            case Undrain():
                await self._order(node, "/undrain", {"who": self._who})

    async def _order(self, node: str, target: str, body: object) -> None:
        lease = await self.leases.token(node)
        answer = await self.ways[node].request("POST", target, body, timeout_s=ORDER_S, lease=lease)
        answer.checked()

    async def _learn(self, node: str) -> None:
        self._releases[node] = await self._tools[node].list()
