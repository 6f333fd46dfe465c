"""`edge-release` on a node: the program that the Ansible role puts there, and that alone handles releases and files."""

from __future__ import annotations

from typing import Final, Literal, TypeVar

import msgspec

from edge.errors import DeadlineError, EdgeError, RefusedError, UnreachableError, UsageError
from edge.fleet.sighting import Releases
from edge.fleet.transport import Completed, Transport

PROGRAM: Final = ("sudo", "-n", "/usr/local/sbin/edge-release")
PLACE: Final = "/opt/edge"
INSTALL_S: Final = 600.0
"""Sending some ten megabytes, and pip on a machine that may be small."""
RESTART_S: Final = 660.0
"""`edge-release` itself gives up before."""
QUICK_S: Final = 90.0

Kind = TypeVar("Kind")

_ERRORS: Final = {
    kind.exit_code: kind for kind in (UsageError, DeadlineError, UnreachableError, RefusedError)
}


class Put(msgspec.Struct, frozen=True):
    """A file was put in place, or with a dry run would have been."""

    changed: bool
    hash: str
    diff: tuple[str, ...] = ()


class ReleaseTool:
    """All of it may be done twice. Raises `EdgeError` as `Transport` does, and by what the program says."""

    def __init__(self, way: Transport) -> None:
        self._way = way

    async def list(self) -> Releases:
        return _understood(await self._run(("list",), timeout_s=QUICK_S), Releases)

    async def install(self, version: str, archive: bytes) -> None:
        await self._run(("install", version), stdin=archive, timeout_s=INSTALL_S)

    async def use(self, version: str) -> None:
        await self._run(("use", version), timeout_s=QUICK_S)

    async def restart(self) -> None:
        await self._run(("restart",), timeout_s=RESTART_S)

    async def put(
        self, what: Literal["config", "members"], text: str, *, release: str = "", dry_run: bool = False
    ) -> Put:
        """node.toml or members.toml, checked by ``release``, which is the current one if it is not given."""
        argv = (*(("--dry-run",) if dry_run else ()), what, *(("--release", release) if release else ()))
        return _understood(await self._run(argv, stdin=text.encode(), timeout_s=QUICK_S), Put)

    async def free_bytes(self) -> int | None:
        """Of the file system that releases lie on; None where that cannot be told."""
        done = await self._way.run(["df", "--output=avail", "-B1", PLACE], timeout_s=QUICK_S)
        last = done.stdout.split()[-1:]
        return int(last[0]) if done.exit_code == 0 and last and last[0].isdigit() else None

    async def _run(self, argv: tuple[str, ...], *, stdin: bytes = b"", timeout_s: float) -> bytes:
        done = await self._way.run([*PROGRAM, *argv], stdin=stdin, timeout_s=timeout_s)
        if done.exit_code != 0:
            raise _error(done)
        return done.stdout


def _understood(answer: bytes, kind: type[Kind]) -> Kind:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise EdgeError(
            f"edge-release answers what is not understood: {error}; bring the node's up to date with the playbook site.yml"
        ) from error


def _error(done: Completed) -> EdgeError:
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    line = said[-1].removeprefix("edge-release: ") if said else f"edge-release ended with {done.exit_code}"
    return _ERRORS.get(done.exit_code, EdgeError)(line)
