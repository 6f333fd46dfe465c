"""What the program on the node says, as errors of ours."""

from __future__ import annotations

import asyncio

import pytest

from edge.errors import DeadlineError, EdgeError, RefusedError
from edge.fleet.release_tool import ReleaseTool
from edge.fleet.sighting import Releases
from edge.fleet.transport import Completed
from edge.runtime.admin_client import Answer


class Program:
    """Answers with what it was given, and notes how it was called."""

    def __init__(self, exit_code: int, stdout: bytes = b"", stderr: bytes = b"") -> None:
        self._completed = Completed(exit_code, stdout, stderr)
        self.argv: list[str] = []

    async def request(
        self, method: str, target: str, body: object = None, *, timeout_s: float, lease: str | None = None
    ) -> Answer:
        raise NotImplementedError

    async def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        self.argv = argv
        return self._completed

    async def close(self) -> None: ...


def test_what_is_installed() -> None:
    program = Program(0, b'{"changed": false, "current": "0.2.0", "previous": null, "releases": ["0.2.0"]}\n')
    found = asyncio.run(ReleaseTool(program).list())
    assert found == Releases(current="0.2.0", previous=None, releases=("0.2.0",))
    assert program.argv[:2] == ["sudo", "-n"]
    assert program.argv[-1] == "list"


@pytest.mark.parametrize(
    "code, kind", [(1, EdgeError), (4, DeadlineError), (6, RefusedError), (77, EdgeError)]
)
def test_its_last_line_and_its_exit_code(code: int, kind: type[EdgeError]) -> None:
    program = Program(code, b"", b"sudo: unable to resolve host\nedge-release: 0.2.0: is not installed\n")
    with pytest.raises(kind, match=r"^0\.2\.0: is not installed$"):
        asyncio.run(ReleaseTool(program).use("0.2.0"))


def test_a_file_is_checked_by_the_release_that_will_read_it() -> None:
    program = Program(0, b'{"changed": true, "path": "/etc/edge/node.toml", "hash": "0", "diff": ["+a"]}')
    found = asyncio.run(ReleaseTool(program).put("config", "a", release="0.2.0", dry_run=True))
    assert (found.changed, found.diff) == (True, ("+a",))
    assert program.argv[3:] == ["--dry-run", "config", "--release", "0.2.0"]


def test_room_is_unknown_where_there_is_no_such_program() -> None:
    assert asyncio.run(ReleaseTool(Program(1)).free_bytes()) is None
    assert asyncio.run(ReleaseTool(Program(0, b"  Avail\n123456\n")).free_bytes()) == 123456
