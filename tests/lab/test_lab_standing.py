"""Labs in the background: the commands, two at a time, and that nothing is left of them."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("bird")

SUFFIX = f"{os.getpid()}"  # tests of several people may run at the same time
ONE, TWO = f"one-{SUFFIX}", f"two-{SUFFIX}"

# Prints how long each of ten datagrams took to come back from HOST, in milliseconds.
PING = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
for _ in range(10):
    sent = time.monotonic()
    s.sendto(b"x" * 1200, (sys.argv[1], 7))
    s.recv(2048)
    print((time.monotonic() - sent) * 1000)
"""

# Echoes datagrams, and says how many bytes, with which sum, came by TCP.
ECHO = """
import socket, threading, zlib
def datagrams(s):
    while True:
        data, peer = s.recvfrom(2048)
        s.sendto(data, peer)
def streams(s):
    while True:
        c, _ = s.accept()
        size = crc = 0
        while data := c.recv(65536):
            size, crc = size + len(data), zlib.crc32(data, crc)
        c.sendall(b"%d %d" % (size, crc))
        c.close()
for kind, serve in ((socket.SOCK_DGRAM, datagrams), (socket.SOCK_STREAM, streams)):
    s = socket.socket(socket.AF_INET6, kind)
    s.bind(("::", 7))
    if kind == socket.SOCK_STREAM:
        s.listen()
    threading.Thread(target=serve, args=[s]).start()
print("ready", flush=True)
"""

SEND = """
import socket, sys, zlib
data = bytes(range(256)) * 4000
s = socket.create_connection((sys.argv[1], 7), 10)
s.sendall(data)
s.shutdown(socket.SHUT_WR)
print(s.recv(64).decode() == "%d %d" % (len(data), zlib.crc32(data)))
"""


@pytest.fixture(scope="module")
def one(caller: Any) -> Iterator[Any]:
    """A caller with a lab that is up."""
    done = caller.edgectl("lab", "up", "--name", ONE)
    assert done.returncode == 0, done.stderr
    yield caller
    done = caller.edgectl("lab", "down", "--name", ONE)
    assert done.returncode == 0, done.stderr


def on(node: str, *command: str, name: str = ONE) -> tuple[str, ...]:
    """The arguments of ``edgectl lab exec``."""
    return "lab", "exec", "--name", name, node, *command


def python(node: str, program: str, *arguments: str, name: str = ONE) -> tuple[str, ...]:
    return on(node, sys.executable, "-S", "-c", program, *arguments, name=name)


def status(caller: Any, name: str = ONE) -> Any:
    done = caller.edgectl("lab", "status", "--name", name, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def echo(one: Any) -> Iterator[None]:
    """A server on e1, started from outside like anybody's."""
    command = one.command(sys.executable, "-P", "-m", "edge.cli", *python("e1", ECHO))
    with subprocess.Popen(command, env=one.environment, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield
        server.terminate()


def test_status_shows_the_network(one: Any) -> None:
    found = status(one)
    assert (found["apiVersion"], found["kind"], found["name"]) == ("edge/v1", "LabStatus", ONE)
    assert {
        "name": "e1",
        "role": "edge",
        "asn": 64600,
        "v4": "203.0.113.11",
        "v6": "2001:db8:21::2",
    } in found["nodes"]
    # Transit systems with each other, reflectors with each other; in both families, seen from both ends.
    between = [session["state"] for session in found["sessions"] if session["name"][0] in "tr"]
    assert between == ["Established"] * 8
    assert {"rr1", "rr2"} <= {session["router"] for session in found["sessions"]}
    assert all(process["returncode"] is None for process in found["processes"])
    assert len(found["links"]) == 16
    assert all(way["packets"] >= way["dropped"] == 0 for way in found["links"])
    table = one.edgectl("lab", "status", "--name", ONE).stdout
    assert "Established" in table
    assert "2001:db8:23::2" in table


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("address", ["203.0.113.11", "2001:db8:21::2"])
def test_round_trip_is_the_sum_of_the_links(one: Any, address: str) -> None:
    done = one.edgectl(*python("c1", PING, address))
    assert done.returncode == 0, done.stderr
    # 2 x (10 + 5) ms, each link with 1 ms of jitter; the machine may be busy, but never early.
    assert 26 <= statistics.median(map(float, done.stdout.split())) <= 45


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("address", ["203.0.113.11", "2001:db8:21::2"])
def test_streams_arrive_whole_across_both_transit_systems(one: Any, address: str) -> None:
    done = one.edgectl(*python("c2", SEND, address))
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


@pytest.mark.parametrize(
    "command, code",
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 128 + signal.SIGKILL),
        (["no-such-command"], 127),
    ],
)
def test_exec_passes_the_exit_code_on(one: Any, command: list[str], code: int) -> None:
    assert one.edgectl(*on("e1", *command)).returncode == code


def test_exec_passes_streams_and_options_on(one: Any) -> None:
    done = one.edgectl(*on("c1", "tr", "-d", "x"), stdin="lxab")
    assert (done.stdout, done.stderr, done.returncode) == ("lab", "", 0)


def test_exec_is_on_the_node_and_in_the_callers_directory(one: Any) -> None:
    done = one.edgectl(*on("e2", "sh", "-c", "ls /sys/class/net /proc/sys/net/ipv4/conf; pwd; id -u"))
    assert "t2" in done.stdout.split()
    assert done.stdout.split()[-2:] == [str(one.home), "0"]


def test_wrong_names_are_one_line(one: Any) -> None:
    nowhere = one.edgectl(*on("e9", "true"))
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (2, 1)
    assert "no node 'e9'" in nowhere.stderr
    absent = one.edgectl(*on("e1", "true", name=f"absent-{SUFFIX}"))
    assert (absent.returncode, absent.stderr.count("\n")) == (5, 1)
    assert f"up: {ONE}" in absent.stderr
    strange = one.edgectl("lab", "up", "--name", "../lab")
    assert (strange.returncode, strange.stderr.count("\n")) == (2, 1)


def test_a_second_lab_of_the_same_name_is_refused(one: Any) -> None:
    done = one.edgectl("lab", "up", "--name", ONE)
    assert (done.returncode, done.stderr.count("\n")) == (6, 1)
    assert status(one)["name"] == ONE


def test_two_labs_do_not_touch_each_other(one: Any) -> None:
    assert one.edgectl("lab", "up", "--name", TWO).returncode == 0
    try:
        one.edgectl(*on("e1", "ip", "link", "set", "t1", "down", name=TWO))
        for name, state in ((ONE, "up"), (TWO, "down")):
            flags = one.edgectl(*on("e1", "cat", "/proc/net/route", name=name)).stdout
            assert ("00000000" in flags.split()) == (state == "up")
        seen = {
            name: one.edgectl(*on("e1", "sh", "-c", "ls -d /proc/[0-9]*", name=name)) for name in (ONE, TWO)
        }
        assert all("/proc/1\n" in done.stdout for done in seen.values())
    finally:
        assert one.edgectl("lab", "down", "--name", TWO).returncode == 0
    assert status(one)["name"] == ONE


def traces(caller: Any) -> set[str]:
    """What a lab of this caller could leave on this machine: files in temporary places, processes by their namespaces.

    Others have labs at the same time; a process is this caller's if it has their home. It is named with its number
    and when it started, because others take the numbers of namespaces and processes that have gone. One in our own
    namespaces belongs to no lab.
    """
    found = {str(path) for path in Path("/tmp").glob(f"anycast-edge-[0-9]*/*-{SUFFIX}")}
    ours = {os.readlink(link) for link in Path("/proc/self/ns").iterdir()}
    home = f"HOME={caller.home}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if home not in (process / "environ").read_bytes().split(b"\0"):
                continue
            started = (process / "stat").read_text().rpartition(")")[2].split()[19]
            namespaces = {os.readlink(link) for link in (process / "ns").iterdir()} - ours
        except OSError:  # ended meanwhile, or another user's
            continue
        found |= {f"{process} of {started} in {namespace}" for namespace in namespaces}
    return found


def test_down_leaves_nothing_and_may_be_said_twice(caller: Any) -> None:
    name = f"brief-{SUFFIX}"
    before = traces(caller)
    assert caller.edgectl("lab", "up", "--name", name).returncode == 0
    made = traces(caller) - before
    assert len({trace for trace in made if name in trace}) == 1
    assert len(made) >= 10
    assert caller.edgectl("lab", "down", "--name", name).returncode == 0
    assert traces(caller) & made == set()
    again = caller.edgectl("lab", "down", "--name", name)
    assert (again.returncode, again.stderr) == (0, f"lab {name}: was not up\n")


def test_down_says_what_somebody_still_holds(caller: Any) -> None:
    name = f"held-{SUFFIX}"
    assert caller.edgectl("lab", "up", "--name", name).returncode == 0
    find = f"from edge.lab.standing import running; print(running({name!r}).pid)"
    pid = caller.run(sys.executable, "-P", "-c", find).stdout.strip()
    hold = f"exec 9</proc/{pid}/ns/net; echo held; read line"
    command = caller.command("sh", "-c", hold)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = caller.edgectl("lab", "down", "--name", name)
        assert done.returncode == 1
        assert "0 processes, 1 namespaces, 0 files" in done.stderr
        holder.communicate(b"\n")


def test_a_lab_that_was_killed_is_known_to_be_dead(caller: Any) -> None:
    name = f"killed-{SUFFIX}"
    assert caller.edgectl("lab", "up", "--name", name).returncode == 0
    find = f"from edge.lab.standing import running; print(running({name!r}).pid)"
    caller.run("sh", "-c", f'kill -9 $({sys.executable} -P -c "{find}")')
    assert caller.edgectl("lab", "status", "--name", name).returncode == 5
    assert caller.edgectl("lab", "up", "--name", name).returncode == 0
    assert caller.edgectl("lab", "down", "--name", name).returncode == 0


def test_killing_the_command_leaves_nothing(caller: Any) -> None:
    argument = json.dumps({"log_dir": str(caller.home / "log")})
    program = f"from edge.lab.enclosure import run_inside; run_inside('inside_lab:sleep', {argument})"
    before = traces(caller)
    command = caller.command(sys.executable, "-P", "-c", program)
    with subprocess.Popen(command, env=caller.environment, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        made = traces(caller) - before
        child.kill()
    assert len(made) >= 10
    deadline = time.monotonic() + 5
    while left := made & traces(caller):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_ctrl_c_ends_the_lab_in_order(caller: Any) -> None:
    argument = json.dumps({"log_dir": str(caller.home / "log")})
    program = f"from edge.lab.enclosure import run_inside; run_inside('inside_lab:sleep', {argument})"
    before = traces(caller)
    command = caller.command(sys.executable, "-P", "-c", program)
    with subprocess.Popen(
        command, env=caller.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        made = traces(caller) - before
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=20)
    assert b"KeyboardInterrupt" in stderr
    assert traces(caller) & made == set()
    assert "Shutdown completed" in (caller.home / "log" / "t1.bird.log").read_text()


def test_in_the_background_a_signal_ends_the_lab_in_order_too(caller: Any) -> None:
    """A shell has SIGINT ignored by what it starts there, and that is inherited."""
    argument = json.dumps({"log_dir": str(caller.home / "background")})
    program = (
        "from edge.lab.enclosure import Enclosure\n"
        f"lab = Enclosure('inside_lab:sleep', {argument}); print(lab.pid, flush=True); lab.finish(print)"
    )
    ignoring = ("sh", "-c", 'trap "" INT; exec "$0" "$@"', sys.executable, "-P", "-c", program)
    with subprocess.Popen(
        caller.command(*ignoring), env=caller.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        assert child.stdout.readline() == b"up\n"
        os.kill(pid, signal.SIGTERM)
        _, stderr = child.communicate(timeout=20)
    assert b"the lab was stopped by a signal" in stderr
    assert "Shutdown completed" in (caller.home / "background" / "t1.bird.log").read_text()


def test_an_error_inside_keeps_its_class(caller: Any) -> None:
    done = caller.run(
        sys.executable,
        "-P",
        "-c",
        "from edge.lab.enclosure import run_inside; run_inside('inside_lab:fail', None)",
    )
    assert done.stderr.splitlines()[-1] == "edge.errors.DeadlineError: in vain"
    assert "inside_lab.py" not in done.stderr  # an expected error has no trace from inside


def test_services_run_in_a_standing_lab(caller: Any) -> None:
    name = f"served-{SUFFIX}"
    up = (
        "from edge.lab import standing; from edge.lab.topologies import default_topology; "
        f"standing.up({name!r}, default_topology(), services=['inside_lab:sleeper'])"
    )
    done = caller.run(sys.executable, "-P", "-c", up)
    assert done.returncode == 0, done.stderr
    assert ["e1", "sleeper"] in [
        [process["node"], process["name"]] for process in status(caller, name)["processes"]
    ]
    assert caller.edgectl("lab", "down", "--name", name).returncode == 0


def test_a_topology_that_does_not_fit_is_refused_before_anything_is_built(caller: Any) -> None:
    path = caller.home / "wrong.toml"
    path.write_text('[[nodes]]\nname = "r"\nrole = "router"\nasn = 64501\n\n[[links]]\n')
    done = caller.edgectl("lab", "up", "--name", f"wrong-{SUFFIX}", "--topology", str(path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "$.links[0]" in done.stderr


def test_doctor_finds_a_machine_that_can(caller: Any) -> None:
    done = caller.edgectl("lab", "doctor")
    assert done.returncode == 0
    subjects = [line.split()[:2] for line in done.stdout.splitlines()]
    assert ["ok", "bird"] in subjects
    assert ["ok", "namespaces"] in subjects
    assert not [subject for subject in subjects if subject[0] == "problem"]
