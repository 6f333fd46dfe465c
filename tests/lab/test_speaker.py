"""Both speakers, ExaBGP and BIRD, against a real BIRD over loopback: no privilege, no namespaces, real failures.

Every test is run with each of them, but for those of one alone at the end. What is measured is how long the router goes on believing in a route whose owner died, hung or gave it up. Times
are printed (`pytest -rP`); limits are those of the failure matrix.
"""

import asyncio
import contextlib
import functools
import json
import os
import pwd
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
import waiting

from bgp import leash
from bgp.account import Account
from bgp.bird_speaker import BirdSpeaker
from bgp.child import SpeakerError
from bgp.conf import SpeakerConfig
from bgp.exabgp import _welcome
from bgp.route import Route, parse_prefix
from bgp.speaker import ExaBgpSpeaker, SpeakerEvent, SpeakerLost, SpeakerStarted, SpeakerTiming
from bgp.table import Diverged, Divergence, NeighborChanged

pytestmark = pytest.mark.needs("bird")

ROUTER, EDGE = "127.0.0.10", "127.0.0.11"
ROUTER_AS, EDGE_AS = 64501, 64601
SERVICE_V4, SERVICE_V6 = "192.0.2.1/32", "2001:db8::1/128"
NEVER_AGAIN = "203.0.113.0/24"
NEXT_HOP_V6 = "2001:db8:ffff::b"

SPEAKERS: dict[str, Any] = {"exabgp": ExaBgpSpeaker, "bird": BirdSpeaker}
LOST = {"exabgp": "the bridge hung up", "bird": "bird or its keeper has ended"}

# Root can run the speaker as somebody else, and should.
USERS = [None, "nobody"] if os.geteuid() == 0 else [None]

GONE_S = 0.25
GONE_WHEN_HUNG_S = 3.0
BACK_S = 5.0
eventually = functools.partial(waiting.eventually, timeout_s=BACK_S)

BIRD_CONF = """\
log stderr all;
router id 192.0.2.254;
protocol device {{ }}
protocol bgp edge {{
  local {router} port {port} as {router_as};
  neighbor {edge} as {edge_as};
  multihop; strict bind on; passive; hold time 9;
  error wait time 1, 1;
  {options}
  ipv4 {{ import all; export none; }};
  {ipv6}
}}
"""


class Router:
    """A BIRD that accepts one session, asked through its control socket."""

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self._control = directory / "bird.ctl"

    def ask(self, question: str) -> str:
        """The text of the answer, without the reply codes."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(self._control))
            with link.makefile("rw") as stream:
                stream.readline()
                stream.write(question + "\n")
                stream.flush()
                lines = []
                for line in stream:
                    lines.append(line[1:] if line[0] in " +" else line[5:])
                    if line[:4].isdigit() and line[4] == " ":
                        break
        return "".join(lines)

    def prefixes(self) -> set[str]:
        return set(re.findall(r"^([0-9a-f.:]+/\d+) ", self.ask("show route"), re.MULTILINE))

    def attributes(self, prefix: str) -> dict[str, str]:
        return dict(re.findall(r"BGP\.(\w+): (.*)", self.ask(f"show route {prefix} all")))

    def session(self) -> str:
        """Its state and since when."""
        return self.ask("show protocols edge").splitlines()[-2]

    def updates(self) -> int:
        """How many routes it was told so far, new or not."""
        counts = re.findall(r"Import updates: +(\d+)", self.ask("show protocols all edge"))
        return sum(map(int, counts))

    def until(self, expected: set[str], timeout_s: float) -> float:
        """Seconds until exactly ``expected`` is in the table."""
        began = time.monotonic()
        while (found := self.prefixes()) != expected:
            assert time.monotonic() - began < timeout_s, f"{found} after {timeout_s} s"
            time.sleep(0.005)
        return time.monotonic() - began


@contextlib.contextmanager
def running_router(
    directory: Path, options: str = "", ipv6: str = "ipv6 { import all; export none; };"
) -> Iterator[Router]:
    with socket.socket() as free:
        free.bind((ROUTER, 0))
        port = free.getsockname()[1]
    conf = BIRD_CONF.format(
        router=ROUTER, port=port, router_as=ROUTER_AS, edge=EDGE, edge_as=EDGE_AS, options=options, ipv6=ipv6
    )
    (directory / "bird.conf").write_text(conf)
    control = directory / "bird.ctl"
    command = ["bird", "-f", "-c", directory / "bird.conf", "-s", control, "-P", directory / "bird.pid"]
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    with (directory / "bird.log").open("wb") as log:
        bird = subprocess.Popen(command, stderr=log, env={"PATH": path})
    try:
        deadline = time.monotonic() + 5
        while not control.exists():
            assert bird.poll() is None, (directory / "bird.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield Router(directory, port)
    finally:
        bird.terminate()
        bird.wait(5)


@pytest.fixture
def place() -> Iterator[Path]:
    """Not pytest's own directory, which nobody else may enter and whose name is long for a socket."""
    with tempfile.TemporaryDirectory(prefix="speaker-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def router(place: Path) -> Iterator[Router]:
    with running_router(place) as router:
        yield router


@pytest.fixture(params=list(SPEAKERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config(router: Router, **neighbor: Any) -> dict[str, Any]:
    return {
        "router_id": "192.0.2.11",
        "local_as": EDGE_AS,
        "neighbors": [
            {
                "address": ROUTER,
                "local_address": EDGE,
                "peer_as": ROUTER_AS,
                "port": router.port,
                "families": ["ipv4", "ipv6"],
                "next_hop_ipv6": NEXT_HOP_V6,
                **neighbor,
            }
        ],
    }


@contextlib.asynccontextmanager
async def running_speaker(
    kind: str, router: Router, place: Path, timing: SpeakerTiming | None = None, **neighbor: Any
) -> Any:
    events: list[SpeakerEvent] = []
    speaker = SPEAKERS[kind](
        msgspec.convert(config(router, **neighbor), SpeakerConfig),
        place / "run",
        events.append,
        timing=timing,
    )
    await speaker.start()
    try:
        yield speaker, events
    finally:
        await speaker.stop()


async def seen(router: Router, expected: set[str], timeout_s: float = BACK_S) -> float:
    return await asyncio.to_thread(router.until, expected, timeout_s)


def note(what: str, seconds: float) -> None:
    sys.stdout.write(f"{what} after {seconds * 1000:.0f} ms\n")


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def tree(kind: str, pid: int) -> tuple[int, int]:
    """The speaker with this pid, and who holds it to its lease: ExaBGP's bridge, BIRD's keeper."""
    if kind == "bird":
        return pid, parent(pid)
    (bridge,) = children(pid)
    return pid, bridge


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# --- what the neighbor hears -------------------------------------------------------------------------------


def test_routes_arrive_with_every_attribute_and_change_and_go(kind: str, router: Router, place: Path) -> None:
    async def story() -> None:
        async with running_speaker(kind, router, place) as (speaker, events):
            pid = speaker.pid
            everything: dict[str, Any] = {
                "med": 50,
                "prepend": 2,
                # The name of the first one, in a command, would shut ExaBGP down.
                "communities": ["graceful-shutdown", "no-export", "64601:7"],
                "large_communities": ["64600:1:42", "64600:2:4294967295"],
            }
            for prefix in (SERVICE_V4, SERVICE_V6):
                speaker.announce(Route.parse(prefix, **everything))
            await seen(router, {SERVICE_V4, SERVICE_V6})
            for prefix, next_hop in ((SERVICE_V4, EDGE), (SERVICE_V6, NEXT_HOP_V6)):
                attributes = await asyncio.to_thread(router.attributes, prefix)
                assert attributes["as_path"] == f"{EDGE_AS} {EDGE_AS} {EDGE_AS}"
                assert attributes["next_hop"] == next_hop
                assert attributes["med"] == "50"
                assert attributes["community"] == "(64601,7) (65535,0) (65535,65281)"
                assert attributes["large_community"] == "(64600, 1, 42) (64600, 2, 4294967295)"
            assert await speaker.wait_synchronized(BACK_S)
            assert speaker.pid == pid
            assert is_alive(pid)

            speaker.announce(Route.parse(SERVICE_V4))
            assert await speaker.wait_synchronized(BACK_S)
            await eventually(lambda: "med" not in router.attributes(SERVICE_V4))
            attributes = router.attributes(SERVICE_V4)
            assert attributes["as_path"] == str(EDGE_AS)
            assert "community" not in attributes
            assert "med" in router.attributes(SERVICE_V6)

            speaker.withdraw(parse_prefix(SERVICE_V4))
            took = await seen(router, {SERVICE_V6})
            note("withdrawn", took)
            speaker.withdraw_all()
            assert await speaker.wait_withdrawn(BACK_S)
            await seen(router, set())
        assert [type(event) for event in events].count(SpeakerStarted) == 1
        assert not any(isinstance(event, SpeakerLost) for event in events)

    asyncio.run(story())


def test_a_change_is_one_update_and_no_session_bounces(kind: str, router: Router, place: Path) -> None:
    async def story() -> None:
        async with running_speaker(kind, router, place) as (speaker, _):
            # Not while the session comes up: what is wanted then may be said as part of that and once more.
            await eventually(lambda: bool(speaker.sessions_up))
            for prefix in (SERVICE_V4, SERVICE_V6, NEVER_AGAIN):
                speaker.announce(Route.parse(prefix))
            await seen(router, {SERVICE_V4, SERVICE_V6, NEVER_AGAIN})
            session, updates = router.session(), router.updates()
            for prepend in (1, 2, 3):
                speaker.announce(Route.parse(SERVICE_V4, prepend=prepend, communities=["65535:0"]))
                assert await speaker.wait_synchronized(BACK_S)
            await eventually(lambda: router.updates() == updates + 3)
            speaker.withdraw(parse_prefix(NEVER_AGAIN))
            await seen(router, {SERVICE_V4, SERVICE_V6})
            assert (router.session(), router.updates()) == (session, updates + 3)
            assert router.attributes(SERVICE_V4)["as_path"] == " ".join([str(EDGE_AS)] * 4)

    asyncio.run(story())


def test_sessions_are_reported(kind: str, router: Router, place: Path) -> None:
    async def story() -> None:
        async with running_speaker(kind, router, place) as (speaker, events):
            await eventually(lambda: bool(speaker.sessions_up))
            await asyncio.to_thread(router.ask, "disable edge")
            await eventually(lambda: not speaker.sessions_up)
            await asyncio.to_thread(router.ask, "enable edge")
            # Wishes while it is down are heard when it is back.
            speaker.announce(Route.parse(SERVICE_V4))
            await eventually(lambda: bool(speaker.sessions_up), timeout_s=15)
            await seen(router, {SERVICE_V4})
        changes = [event.is_up for event in events if isinstance(event, NeighborChanged)]
        assert changes[:3] == [True, False, True]

    asyncio.run(story())


def test_a_session_with_md5_and_gtsm(kind: str, place: Path) -> None:
    key = "pass'; {#word}"
    (place / "key").write_text(f"{key}\n")

    async def story(router: Router) -> None:
        secured = {"md5_file": str(place / "key"), "ttl_security": True}
        async with running_speaker(kind, router, place, **secured) as (speaker, _):
            speaker.announce(Route.parse(SERVICE_V4))
            await seen(router, {SERVICE_V4})

    with running_router(place, f'password "{key}"; ttl security on;') as router:
        asyncio.run(story(router))


def test_a_router_that_wants_one_family_gets_that(kind: str, place: Path) -> None:
    """What it does not want to hear is nothing to be repaired, and no reason to begin anew."""
    quick = SpeakerTiming(reconcile_interval_s=0.2)

    async def story(router: Router) -> None:
        async with running_speaker(kind, router, place, quick) as (speaker, events):
            for prefix in (SERVICE_V4, SERVICE_V6):
                speaker.announce(Route.parse(prefix))
            await seen(router, {SERVICE_V4})
            assert await speaker.wait_synchronized(BACK_S)
            await asyncio.sleep(1.5)
            assert router.prefixes() == {SERVICE_V4}
            assert not any(isinstance(event, SpeakerLost | Diverged) for event in events)

    with running_router(place, ipv6="") as router:
        asyncio.run(story(router))


# --- who dies and who notices ------------------------------------------------------------------------------

DAEMON = """
import asyncio, json, sys
from pathlib import Path
import msgspec
from bgp.conf import SpeakerConfig
from bgp.route import Route
from bgp.bird_speaker import BirdSpeaker
from bgp.speaker import ExaBgpSpeaker

async def main():
    config = msgspec.convert(json.loads(sys.argv[1]), SpeakerConfig)
    kind = {"exabgp": ExaBgpSpeaker, "bird": BirdSpeaker}[sys.argv[2]]
    speaker = kind(config, Path(sys.argv[3]), lambda event: None)
    await speaker.start()
    for prefix in sys.argv[4:]:
        speaker.announce(Route.parse(prefix))
    assert await speaker.wait_synchronized(10)
    print(speaker.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process with a speaker in it, as a node is. ``tree`` are the speaker and who holds it to its lease."""

    pid: int
    tree: tuple[int, int]

    def signal(self, number: signal.Signals) -> float:
        os.kill(self.pid, number)
        return time.monotonic()


@contextlib.contextmanager
def running_daemon(kind: str, router: Router, place: Path, **settings: Any) -> Iterator[Daemon]:
    command = [sys.executable, "-c", DAEMON, json.dumps(config(router) | settings), kind, str(place / "run")]
    daemon = subprocess.Popen([*command, SERVICE_V4, SERVICE_V6], stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    try:
        assert select.select([daemon.stdout], [], [], 20)[0], "no speaker after 20 s"
        pids = tree(kind, int(daemon.stdout.readline()))
        router.until({SERVICE_V4, SERVICE_V6}, BACK_S)
        yield Daemon(daemon.pid, pids)
    finally:
        daemon.kill()
        daemon.wait()
        daemon.stdout.close()


def assert_gone(pids: tuple[int, ...], timeout_s: float = 2.0) -> None:
    deadline = time.monotonic() + timeout_s
    while left := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, f"{left} still there"
        time.sleep(0.01)


@pytest.mark.parametrize("user", USERS)
def test_a_killed_daemon_takes_its_routes_with_it(
    kind: str, router: Router, place: Path, user: str | None
) -> None:
    """The kernel forgets the death signal at a change of user: a speaker that drops by itself would survive."""
    with running_daemon(kind, router, place, user=user) as daemon:
        uid = os.geteuid() if user is None else pwd.getpwnam(user).pw_uid
        assert [os.stat(f"/proc/{pid}").st_uid for pid in daemon.tree] == [uid, uid]
        file = (place / "run" / f"{kind}.conf").stat()
        assert (file.st_uid, file.st_mode & 0o777) == (uid, 0o600)
        daemon.signal(signal.SIGKILL)
        note("gone", router.until(set(), GONE_S))
        assert_gone(daemon.tree)


def test_a_hung_daemon_loses_its_lease_and_recovers_by_itself(kind: str, router: Router, place: Path) -> None:
    with running_daemon(kind, router, place) as daemon:
        stopped = daemon.signal(signal.SIGSTOP)
        router.until(set(), GONE_WHEN_HUNG_S)
        note("gone", time.monotonic() - stopped)
        assert_gone(daemon.tree)
        daemon.signal(signal.SIGCONT)
        took = router.until({SERVICE_V4, SERVICE_V6}, BACK_S)
        note("back", took)


def test_a_lease_is_enforced_even_when_the_speaker_does_not_listen(
    kind: str, router: Router, place: Path
) -> None:
    with running_daemon(kind, router, place) as daemon:
        os.kill(daemon.tree[0], signal.SIGSTOP)
        stopped = daemon.signal(signal.SIGSTOP)
        router.until(set(), 2 * GONE_WHEN_HUNG_S)
        note("gone", time.monotonic() - stopped)
        assert_gone(daemon.tree)


@pytest.mark.parametrize("victim", ["speaker", "warden"])
def test_a_killed_speaker_comes_back_with_what_is_wanted_now(
    kind: str, router: Router, place: Path, victim: str
) -> None:
    async def story() -> None:
        async with running_speaker(kind, router, place) as (speaker, events):
            for prefix in (SERVICE_V4, SERVICE_V6, NEVER_AGAIN):
                speaker.announce(Route.parse(prefix))
            await seen(router, {SERVICE_V4, SERVICE_V6, NEVER_AGAIN})
            assert await speaker.wait_synchronized(BACK_S)
            pids = tree(kind, speaker.pid)
            began = time.monotonic()
            os.kill(pids[victim == "warden"], signal.SIGKILL)
            # In the same moment: the new speaker must not hear of what the old one announced.
            speaker.withdraw(parse_prefix(NEVER_AGAIN))
            await seen(router, set(), GONE_S)
            note("gone", time.monotonic() - began)
            await seen(router, {SERVICE_V4, SERVICE_V6}, BACK_S)
            note("back", time.monotonic() - began)
            assert await speaker.wait_synchronized(BACK_S)
            assert speaker.pid not in {pids[0], None}
            assert not any(map(is_alive, pids))
            (lost,) = [event for event in events if isinstance(event, SpeakerLost)]
            assert lost == SpeakerLost(LOST[kind], 0.0)

    asyncio.run(story())


def test_a_hung_speaker_is_replaced(kind: str, router: Router, place: Path) -> None:
    quick = SpeakerTiming(command_timeout_s=1.0, reconcile_interval_s=0.5)

    async def story() -> None:
        async with running_speaker(kind, router, place, quick) as (speaker, events):
            speaker.announce(Route.parse(SERVICE_V4))
            await seen(router, {SERVICE_V4})
            hung = speaker.pid
            os.kill(hung, signal.SIGSTOP)
            await eventually(lambda: speaker.pid not in {hung, None})
            assert not is_alive(hung)
            await seen(router, {SERVICE_V4})
            assert await speaker.wait_synchronized(BACK_S)
        (lost,) = [event for event in events if isinstance(event, SpeakerLost)]
        assert "no answer in 1 s" in lost.reason

    asyncio.run(story())


@pytest.mark.parametrize("victim", ["speaker", "warden"])
def test_what_hangs_does_not_hold_up_a_stop(kind: str, router: Router, place: Path, victim: str) -> None:
    brisk = SpeakerTiming(withdraw_timeout_s=0.5, stop_timeout_s=0.5)

    async def story() -> None:
        async with running_speaker(kind, router, place, brisk) as (speaker, _):
            speaker.announce(Route.parse(SERVICE_V4))
            await seen(router, {SERVICE_V4})
            pids = tree(kind, speaker.pid)
            os.kill(pids[victim == "warden"], signal.SIGSTOP)
            began = time.monotonic()
        assert time.monotonic() - began < 2.5
        assert_gone(pids)
        await seen(router, set(), GONE_S)

    asyncio.run(story())


def test_failures_in_a_row_wait_longer_and_longer(kind: str, router: Router, place: Path) -> None:
    patient = SpeakerTiming(restart_delays_s=(0.0, 0.5, 60.0))

    async def story() -> None:
        async with running_speaker(kind, router, place, patient) as (speaker, events):
            for expected in patient.restart_delays_s:
                await eventually(lambda: speaker.pid is not None)
                os.kill(speaker.pid, signal.SIGKILL)
                await eventually(lambda: speaker.pid is None)
                await eventually(lambda: isinstance(events[-1], SpeakerLost))
                assert events[-1].restart_in_s == expected
            # With no speaker there is nobody who could announce.
            assert await speaker.wait_withdrawn(1.0)

    asyncio.run(story())


def test_an_orderly_stop_withdraws_first_and_leaves_nothing(kind: str, router: Router, place: Path) -> None:
    async def story() -> None:
        async with running_speaker(kind, router, place) as (speaker, _):
            speaker.announce(Route.parse(SERVICE_V4))
            await seen(router, {SERVICE_V4})
            pids = tree(kind, speaker.pid)
        assert_gone(pids)
        await seen(router, set(), GONE_S)

    asyncio.run(story())
    assert list((place / "run").iterdir()) == []
    assert children(os.getpid()) == [pid for pid in children(os.getpid()) if "bird" in comm(pid)]


def test_a_stop_in_the_middle_of_a_start_leaves_nothing(kind: str, router: Router, place: Path) -> None:
    async def story(delay_s: float) -> None:
        async with running_speaker(kind, router, place) as (speaker, _):
            os.kill(speaker.pid, signal.SIGKILL)
            await asyncio.sleep(delay_s)

    for delay_s in (0.0, 0.01, 0.02, 0.04, 0.06, 0.1):
        asyncio.run(story(delay_s))
        assert list((place / "run").iterdir()) == []
        assert children(os.getpid()) == [pid for pid in children(os.getpid()) if "bird" in comm(pid)]


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


# --- a start that fails ------------------------------------------------------------------------------------


def start(kind: str, router: Router, place: Path, **settings: Any) -> None:
    async def attempt() -> None:
        speaker_config = msgspec.convert(config(router) | settings, SpeakerConfig)
        await SPEAKERS[kind](speaker_config, place / "run", lambda event: None).start()

    asyncio.run(attempt())


def test_an_unknown_user(kind: str, router: Router, place: Path) -> None:
    with pytest.raises(SpeakerError, match="there is no user 'nemo'"):
        start(kind, router, place, user="nemo")


def test_a_key_file_that_is_not_there(kind: str, router: Router, place: Path) -> None:
    neighbors = config(router, md5_file="/nonexistent/key")["neighbors"]
    with pytest.raises(SpeakerError, match="/nonexistent/key"):
        start(kind, router, place, neighbors=neighbors)
    assert list((place / "run").iterdir()) == []


def test_another_thread_than_the_main_one(kind: str, router: Router, place: Path) -> None:
    """The kernel kills the speaker when the thread that started it ends."""
    caught: list[SpeakerError] = []

    def attempt() -> None:
        try:
            start(kind, router, place)
        except SpeakerError as error:
            caught.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


# --- of ExaBGP alone ----------------------------------------------------------------------------------------


def test_exabgp_that_ends_at_once_says_why(router: Router, place: Path) -> None:
    neighbors = config(router, passive=True, port=router.port, local_address=ROUTER)["neighbors"]
    with pytest.raises(SpeakerError, match=r"exabgp ended with 1 at its start: [a-z]") as caught:
        start("exabgp", router, place, neighbors=neighbors)
    assert "\n" not in str(caught.value)
    assert list((place / "run").iterdir()) == []


def test_a_stranger_at_the_bridge_socket_is_hung_up_on(place: Path) -> None:
    async def story() -> None:
        introduced: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        path = place / "bridge.sock"
        server = await asyncio.start_unix_server(
            lambda reader, writer: _welcome(reader, writer, Account.current(), "right", introduced), path
        )
        async with server:
            for token in (b"wrong\n", b"\n", b"rightly\n"):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(token)
                assert await reader.read() == b""
                writer.close()
            assert not introduced.done()
            _, bridge = await asyncio.open_unix_connection(path)
            bridge.write(b"right\n")
            _, link = await introduced
            bridge.close()
            link.close()

    asyncio.run(story())


def test_a_leash_without_an_owner_lets_nothing_start(place: Path) -> None:
    """The owner died before the kernel was asked to watch it: nobody would send the signal any more."""
    mark = place / "mark"
    command = [sys.executable, "-I", "-S", leash.__file__, "1", "/usr/bin/touch", str(mark)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "process 1 is gone" in done.stderr
    assert not mark.exists()


# --- of BIRD alone -----------------------------------------------------------------------------------------


def test_a_route_that_bird_does_not_tell_any_more_is_repaired(router: Router, place: Path) -> None:
    """Somebody with BIRD's own client does what was not asked for."""
    quick = SpeakerTiming(reconcile_interval_s=0.5)

    async def story() -> None:
        async with running_speaker("bird", router, place, quick) as (speaker, events):
            speaker.announce(Route.parse(SERVICE_V4))
            await seen(router, {SERVICE_V4})
            assert await speaker.wait_synchronized(BACK_S)
            own = Router(place / "run", router.port)
            await asyncio.to_thread(own.ask, "disable n0_ipv4_told")
            await seen(router, set())
            await seen(router, {SERVICE_V4})
        assert Diverged(ip_address(ROUTER), parse_prefix(SERVICE_V4), Divergence.MISSING) in events
        assert not any(isinstance(event, SpeakerLost) for event in events)

    asyncio.run(story())


def test_a_hung_keeper_is_replaced(router: Router, place: Path) -> None:
    """It would not enforce the lease any more."""
    quick = SpeakerTiming(command_timeout_s=1.0)

    async def story() -> None:
        async with running_speaker("bird", router, place, quick) as (speaker, events):
            pids = tree("bird", speaker.pid)
            os.kill(pids[1], signal.SIGSTOP)
            await eventually(lambda: speaker.pid not in {pids[0], None})
            assert not any(map(is_alive, pids))
        (lost,) = [event for event in events if isinstance(event, SpeakerLost)]
        assert lost.reason == "no answer in 1 s from bird's keeper"

    asyncio.run(story())


def test_a_port_that_somebody_else_has(router: Router, place: Path) -> None:
    passive = {"passive": True, "port": router.port, "local_address": ROUTER}

    async def story() -> None:
        async with running_speaker("bird", router, place, **passive) as (_, events):
            await eventually(lambda: any(isinstance(event, SpeakerLost) for event in events))
        lost = next(event for event in events if isinstance(event, SpeakerLost))
        assert lost.reason == f"bird cannot listen for neighbor {ROUTER}"

    asyncio.run(story())


def test_a_key_that_bird_cannot_read(router: Router, place: Path) -> None:
    (place / "key").write_text('one"; password "another')
    neighbors = config(router, md5_file=str(place / "key"))["neighbors"]
    with pytest.raises(SpeakerError, match=f"neighbor {ROUTER}: the MD5 key"):
        start("bird", router, place, neighbors=neighbors)
    assert list((place / "run").iterdir()) == []
