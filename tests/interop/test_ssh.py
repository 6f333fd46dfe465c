"""The way to a node over a real ssh: what goes through it, and every way in which it can fail."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_files import write_fleet
from interop.ssh_rig import Site, site, ssh_processes
from waiting import until

from edge.cli import main
from edge.errors import DeadlineError, EdgeError, UnreachableError
from edge.fleet.reach import each
from edge.fleet.ssh import PROGRAM_VARIABLE, SshTransport

pytestmark = pytest.mark.needs("sshd")

TIMEOUT_S = 30.0
"""For what is to succeed: two shared cores make a handshake slow now and then."""


@pytest.fixture(scope="module")
def there() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="edge-ssh-") as directory, site(Path(directory)) as there:
        yield there


@pytest.fixture(autouse=True)
def scratch(there: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where temporary files are made. Neither a process nor a file is left, however a test ends."""
    with tempfile.TemporaryDirectory(prefix="edge tmp-") as scratch:
        monkeypatch.setattr(tempfile, "tempdir", scratch)
        monkeypatch.setenv("TMPDIR", scratch)
        monkeypatch.setenv(PROGRAM_VARIABLE, f"ssh -F {there.config}")
        yield scratch
        assert os.listdir(scratch) == []
        assert ssh_processes(there.config) == []


@pytest.fixture
def fleet(there: Site) -> str:
    """Of ams-1 that is there, fra-1 that says nothing, and lon-1 that does not let us in."""
    hosts = {"ams-1": "node", "fra-1": "silent", "lon-1": "denied"}
    nodes = {name: f'ssh = "{host}"\nsocket = "{there.socket}"' for name, host in hosts.items()}
    return str(write_fleet(there.directory, nodes, access='transport = "ssh"'))


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "edge.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def through(
    there: Site, host: str, use: Callable[[SshTransport], Awaitable[Any]], socket: Path | None = None
) -> Any:
    async def main() -> Any:
        transport = SshTransport(host, socket or there.socket)
        try:
            return await use(transport)
        finally:
            await transport.close()

    return asyncio.run(main())


async def status(transport: SshTransport) -> Any:
    return (await transport.request("GET", "/status", timeout_s=TIMEOUT_S)).checked()


@pytest.mark.parametrize("host", ["node", "jumped"])
def test_a_node_answers_through_it(there: Site, host: str) -> None:
    assert through(there, host, status)["node"] == "unit"


def test_many_questions_share_one_connection(there: Site) -> None:
    async def ask(transport: SshTransport) -> Any:
        answers = await asyncio.gather(*(status(transport) for _ in range(8)))
        return answers, len(ssh_processes(there.config))

    answers, connections = through(there, "node", ask)
    assert [answer["node"] for answer in answers] == ["unit"] * 8
    assert connections == 1


def test_an_error_of_the_node_is_the_nodes_own(there: Site) -> None:
    async def ask(transport: SshTransport) -> Any:
        answer = await transport.request("POST", "/withdraw", {"until": "noon"}, timeout_s=TIMEOUT_S)
        return answer.checked()

    with pytest.raises(EdgeError, match="request body: Expected `float") as caught:
        through(there, "node", ask)
    assert caught.value.exit_code == 2


def test_programs_run_with_exactly_these_arguments(there: Site) -> None:
    arguments = ["two words", "$HOME", "'", '"', "*", ";", "", "é"]

    async def run(transport: SshTransport) -> Any:
        asked = await status(transport)
        done = await transport.run(
            [
                "python3",
                "-c",
                "import sys; print(sys.argv[1:]); print(sys.stdin.read()); sys.exit(3)",
                *arguments,
            ],
            stdin="überall".encode(),
            timeout_s=TIMEOUT_S,
        )
        return asked, done, len(ssh_processes(there.config))

    _, done, connections = through(there, "node", run)
    assert done.exit_code == 3
    assert done.stdout.decode() == f"{arguments}\nüberall\n"
    assert connections == 1


def test_more_goes_in_and_out_than_a_pipe_holds(there: Site) -> None:
    wheel = os.urandom(3_000_000)

    async def run(transport: SshTransport) -> Any:
        return await transport.run(["cat"], stdin=wheel, timeout_s=TIMEOUT_S)

    assert through(there, "node", run).stdout == wheel


def test_a_program_that_hangs_is_left_at_its_deadline(there: Site) -> None:
    async def run(transport: SshTransport) -> Any:
        await status(transport)
        return await transport.run(["sleep", "20"], timeout_s=0.5)

    with pytest.raises(DeadlineError, match=r"ssh node: no answer to sleep within 0\.5 s"):
        through(there, "node", run)


@pytest.mark.parametrize(
    "host,says",
    [
        (
            "changed",
            r"ssh changed: its host key is not the one that is known; compare .*ssh-keygen -R changed$",
        ),
        ("stranger", r"ssh stranger: its host key is not known; compare it once by hand: ssh stranger$"),
        ("denied", r"ssh denied: permission denied; see which keys it is offered: ssh -v denied$"),
        ("closed", r"ssh closed: connection refused$"),
    ],
)
def test_who_cannot_be_reached_is_told_in_one_line(there: Site, host: str, says: str) -> None:
    with pytest.raises(UnreachableError, match=says):
        through(there, host, status)


def test_a_name_that_nobody_knows(there: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRAM_VARIABLE, f"ssh -F {there.config} -o HostName=no-such-host.invalid")
    with pytest.raises(UnreachableError, match=r"ssh node: its name is not known$"):
        through(there, "node", status)


def test_without_ssh(there: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRAM_VARIABLE, "no-such-ssh")
    with pytest.raises(UnreachableError, match=r"no-such-ssh: No such file .*install OpenSSH's client"):
        through(there, "node", status)


def test_a_machine_that_says_nothing(there: Site) -> None:
    async def ask(transport: SshTransport) -> Any:
        return await transport.request("GET", "/status", timeout_s=0.5)

    with pytest.raises(DeadlineError, match=r"ssh silent: no answer to /status within 0\.5 s"):
        through(there, "silent", ask)


def test_a_node_that_hangs(there: Site) -> None:
    async def ask(transport: SshTransport) -> Any:
        await status(transport)
        os.kill(there.node.pid, signal.SIGSTOP)
        try:
            return await transport.request("GET", "/status", timeout_s=0.5)
        finally:
            os.kill(there.node.pid, signal.SIGCONT)

    with pytest.raises(DeadlineError, match=r"ssh node: no answer to /status within 0\.5 s"):
        through(there, "node", ask)


def test_a_node_that_does_not_run(there: Site) -> None:
    with pytest.raises(UnreachableError, match=r"node: no node is running there \(.*/none.sock is missing\)"):
        through(there, "node", status, there.directory / "none.sock")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every socket")
def test_a_socket_that_is_not_for_us(there: Site) -> None:
    there.socket.chmod(0o000)
    try:
        with pytest.raises(
            UnreachableError, match=r"may not use .*admin\.sock there; make this user a member"
        ):
            through(there, "node", status)
    finally:
        there.socket.chmod(0o660)


def test_a_connection_that_is_lost_is_made_again(there: Site) -> None:
    async def ask(transport: SshTransport) -> Any:
        await status(transport)
        (pid,) = ssh_processes(there.config)
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(TIMEOUT_S):
            while pid in ssh_processes(there.config):  # noqa: ASYNC110 - a process of others tells nobody
                await asyncio.sleep(0.01)
        return await status(transport)

    assert through(there, "node", ask)["node"] == "unit"


def test_one_that_hangs_does_not_hold_up_the_others(there: Site) -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name
            self.transport = SshTransport(name, there.socket)

    async def main() -> Any:
        nodes = [Named("node"), Named("silent"), Named("denied")]
        try:
            return await each(nodes, lambda node: status(node.transport), timeout_s=8.0)
        finally:
            for node in nodes:
                await node.transport.close()

    outcomes = asyncio.run(main())
    assert outcomes["node"].value["node"] == "unit"
    assert isinstance(outcomes["silent"].error, DeadlineError)
    assert isinstance(outcomes["denied"].error, UnreachableError)


def test_a_fleet_of_which_some_cannot_be_reached(fleet: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--fleet", fleet, "--timeout", "8", "-o", "json"]) == 3
    out, err = capsys.readouterr()
    good, late, denied = json.loads(out)["nodes"]
    assert (good["error"], good["status"]["node"]) == (None, "unit")
    assert (late["error"]["exit_code"], denied["error"]["exit_code"]) == (4, 5)
    assert err.startswith("edgectl: error: 2 of 3 nodes failed: fra-1: ")
    assert "lon-1: ssh denied: permission denied" in err
    assert err.count("\n") == 1


def test_a_command_for_one_node_goes_there(fleet: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--fleet", fleet, "ams-1"]) == 0
    assert capsys.readouterr().out.startswith("unit has been ")
    assert main(["explain", "--fleet", fleet, "lon-1"]) == 5
    assert main(["explain", "--fleet", fleet, "--timeout", "0.5", "fra-1"]) == 4


def test_ctrl_c_ends_all_of_it(there: Site, fleet: str) -> None:
    """Which the fixture sees: no ssh and no directory is left."""
    process = started("status", "--fleet", fleet, "--timeout", "60")
    until(lambda: len(ssh_processes(there.config)) > 0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_a_command_that_is_killed_leaves_no_connection(there: Site, fleet: str, scratch: str) -> None:
    process = started("top", "--fleet", fleet, "ams-1")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("voice: 1 node at 1 site")
    assert len(ssh_processes(there.config)) == 1
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    until(lambda: ssh_processes(there.config) == [])
    for left in Path(scratch).iterdir():  # it could not be removed, and nobody else may look into it
        assert left.stat().st_mode & 0o077 == 0
        shutil.rmtree(left)
