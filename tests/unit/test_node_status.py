"""A whole node without BGP, on loopback and with a real worker: what it says of itself, from its first moment on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import node_rig
import pytest
from node_rig import configured, running
from waiting import eventually

from bgp.ledger import UNLIMITED, Allowance
from bgp.state import State
from bgp.view import NO_VIEW, Others
from edge.config import ConfigFile, NodeConfig, config_hash
from edge.errors import EdgeError
from edge.node import Node, run
from edge.quic import ConnectionClosed
from edge.runtime import worker_process
from edge.runtime.admin import AnnounceOrder, WithdrawOrder
from edge.runtime.admin_client import Answer, admin_request
from edge.runtime.dialer import Target, dial
from edge.voice import Code

TABLES = """
[probe]
interval_s = 0.05
timeout_s = 0.4
[shutdown]
grace_s = 0.3
[workers]
count = 1
"""

# Scripts and dashboards read these; to take one away breaks them.
STATUS: dict[str, type | tuple[type, ...]] = {
    "apiVersion": str,
    "kind": str,
    "node": str,
    "site": str,
    "version": str,
    "time": float,
    "started_at": float,
    "config": (dict, type(None)),
    "lease": (dict, type(None)),
    "credentials": dict,
    "operation": (dict, type(None)),
    "state": str,
    "reason": str,
    "announced": bool,
    "deprefer": bool,
    "announced_changed_at": (float, type(None)),
    "hold": (dict, type(None)),
    "drain": (dict, type(None)),
    "pressure": (float, int),
    "pressure_signal": str,
    "pressures": dict,
    "admission": str,
    "refuse_probability": (float, int),
    "refusal_ratio": (float, int),
    "calls": int,
    "connections": dict,
    "probe": dict,
    "keys": dict,
    "problems": list,
    "bgp": (dict, type(None)),
    "workers": list,
    "generations": list,
    "decisions": list,
}


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    return configured(tmp_path, TABLES)


async def ask(config: NodeConfig, method: str, target: str, body: object = None) -> Answer:
    return await admin_request(config.admin.socket, method, target, body)


def is_ready(node: Node) -> bool:
    return node.ready().ok


def test_status_has_what_scripts_read(config: NodeConfig) -> None:
    async def main() -> Any:
        async with running(config) as node:
            await eventually(lambda: is_ready(node))
            status = (await ask(config, "GET", "/status")).value
            # A worker's first sample covers the instant in which it started and was busy with that.
            assert node.status()["pressure"] < config.overload.rise / 2
            return status

    status = asyncio.run(main())
    assert status.keys() == STATUS.keys()
    for key, kind in STATUS.items():
        assert isinstance(status[key], kind), key
    assert (status["apiVersion"], status["kind"], status["node"]) == ("edge/v1", "NodeStatus", "unit")
    assert status["connections"].keys() == {"migrated", "on_anycast", "direct"}
    assert status["probe"].keys() == {"passed", "failed", "problem"}
    assert [worker.keys() for worker in status["workers"]] == [
        {"worker", "pid", "generation", "version", "calls"}
    ]
    (generation,) = status["generations"]
    assert generation.keys() == {"generation", "standing", "calls", "ends_at"}
    assert (generation["generation"], generation["standing"]) == (1, "serving")
    (decision,) = status["decisions"]
    assert decision.keys() == {"at", "from", "to", "carried_out", "reason"}
    assert (decision["from"], decision["to"]) == ("starting", "announced")


def test_it_knows_its_file_and_when_that_is_another(tmp_path: Path) -> None:
    configured(tmp_path, TABLES)
    path = tmp_path / "node.toml"
    path.write_text(node_rig.CONFIG.replace("PORT", str(node_rig.free_port())) + TABLES)
    file = ConfigFile(path)
    config = file.parse()

    async def main() -> list[Any]:
        node = Node(config, file)
        async with contextlib.AsyncExitStack() as stack:
            await node.start(stack)
            told = [(await ask(config, "GET", "/status")).value]
            assert (await ask(config, "GET", "/config")).value == path.read_text()
            path.write_text(path.read_text() + "# another\n")
            told.append((await ask(config, "GET", "/status")).value)
            path.write_text(file.text)
            told.append((await ask(config, "GET", "/status")).value)
            path.unlink()
            told.append((await ask(config, "GET", "/status")).value)
            await node.stop()
        return [status["config"] for status in told]

    same, other, again, gone = asyncio.run(main())
    assert same == {"hash": config_hash(file.text), "file": str(path), "changed_on_disk": False}
    assert (other["hash"], other["changed_on_disk"]) == (same["hash"], True)
    assert again == same
    assert gone["changed_on_disk"]


def test_it_answers_from_the_moment_its_socket_is_there(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before the speaker is up, which may take seconds, and before the first self-probe."""
    answers: list[Answer] = []

    async def slow_speaker(node: Node, _: object) -> None:
        for method, target in (
            ("GET", "/status"),
            ("GET", "/livez"),
            ("GET", "/readyz"),
            ("GET", "/metrics"),
        ):
            answers.append(await ask(node.config, method, target))
        answers.append(await ask(node.config, "POST", "/drain", {"reason": "not yet"}))

    monkeypatch.setattr(Node, "_start_routing", slow_speaker)

    async def main() -> None:
        async with running(config):
            pass

    asyncio.run(main())
    status, live, ready, metrics, drained = answers
    assert (status.status, metrics.status) == (200, 200)
    assert live.status in (200, 503)  # by whether the worker has reported yet
    assert (ready.status, ready.value) == (
        503,
        {"ok": False, "problems": ["starting: the data plane has not proved itself yet"]},
    )
    assert drained.status == 200
    assert isinstance(drained.value, dict)
    assert drained.value["state"] == "held"


def test_a_hold_is_kept_by_the_next_node_until_it_is_taken_back(config: NodeConfig) -> None:
    async def first() -> None:
        async with running(config) as node:
            await eventually(lambda: is_ready(node))
            held = await node.withdraw(WithdrawOrder("a new disk"))
            assert (held["state"], held["announced"]) == ("held", False)
            assert node.ready().problems == ("held: held by the operator",)

    async def second() -> None:
        async with running(config) as node:
            await eventually(lambda: node.status()["probe"]["passed"] > 5)
            status = node.status()
            assert (status["state"], status["announced"]) == ("held", False)
            assert msgspec.to_builtins(status["hold"])["reason"] == "a new disk"
            assert (await node.announce(AnnounceOrder()))["state"] != "held"
            await eventually(lambda: is_ready(node))

    asyncio.run(first())
    asyncio.run(second())
    assert not (config.state.directory / "hold.json").exists()


def test_a_drained_node_says_so_lets_nobody_in_and_is_drained_after_a_restart(config: NodeConfig) -> None:
    async def first() -> None:
        async with running(config) as node:
            await eventually(lambda: is_ready(node))
            assert (await ask(config, "POST", "/drain", {"reason": "a new disk"})).status == 200
            assert node.ready().problems[0].startswith("draining (")
            await eventually(lambda: node.drain_report().drain.phase == "empty")
            assert node.status()["admission"] == "draining"

    async def second() -> None:
        async with running(config) as node:
            await eventually(lambda: node.drain_report().drain.phase == "empty")
            status = msgspec.to_builtins(node.status())
            assert (status["drain"]["phase"], status["hold"]["reason"]) == ("empty", "a new disk")
            await eventually(lambda: node.status()["probe"]["passed"] > 5)  # refused, and that is an answer
            await ask(config, "POST", "/undrain")
            assert node.status()["drain"] is None
            await eventually(lambda: is_ready(node))
            assert node.status()["admission"] == "accepting"

    asyncio.run(first())
    asyncio.run(second())


def test_a_call_that_is_left_at_the_deadline_of_a_drain_is_closed_and_reported(config: NodeConfig) -> None:
    async def main() -> None:
        closed: asyncio.Future[ConnectionClosed] = asyncio.get_running_loop().create_future()

        def hear(event: object) -> None:
            if isinstance(event, ConnectionClosed):
                closed.set_result(event)

        async with running(config) as node:
            await eventually(lambda: is_ready(node))
            target = Target(host="127.0.0.1", port=config.service.port, insecure=True)
            dialed = await dial(target, stack=lambda connection: connection, on_event=hear)
            await eventually(lambda: node.status()["calls"] == 1)
            order = {"hand_over": False, "deadline": time.time() + 1.5}
            (await ask(config, "POST", "/drain", order)).checked()
            assert "1 call left" in node.ready().problems[0]
            told = await asyncio.wait_for(closed, 10)
            assert (told.code, told.reason) == (Code.GOING_AWAY, "the node is drained, and its time is over")
            await eventually(lambda: node.drain_report().drain.phase == "empty")
            assert [call.fate for call in node.drain_report().calls] == ["closed"]
            dialed.driver.leave()

    asyncio.run(main())


def test_a_hold_that_cannot_be_kept_is_none(config: NodeConfig) -> None:
    """An operator who was told that it failed must not find the node held, nor one who was told so released."""

    async def main() -> None:
        async with running(config) as node:
            await eventually(lambda: is_ready(node))
            obstacle = config.state.directory / "hold.new"
            obstacle.mkdir()
            answer = await ask(config, "POST", "/drain", {"reason": "a new disk"})
            assert answer.status == 500
            assert node.status()["hold"] is None
            assert node.ready().ok
            obstacle.rmdir()
            await node.withdraw(WithdrawOrder("a new disk"))
            hold = config.state.directory / "hold.json"
            hold.unlink()
            (hold / "precious").mkdir(parents=True)
            assert (await ask(config, "POST", "/undrain")).status == 500
            assert node.status()["hold"] is not None

    asyncio.run(main())


def test_a_hung_worker_is_seen_by_livez_and_fences_the_node(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "QUIET_S", 0.6)

    async def main() -> None:
        async with running(config) as node:
            await eventually(lambda: is_ready(node))
            worker = node.status()["workers"][0]["pid"]
            os.kill(worker, signal.SIGSTOP)
            try:
                await eventually(lambda: node.status()["state"] == "fenced")
                assert "no answer within 0.4 s" in node.status()["probe"]["problem"]
                await eventually(lambda: node.live().problems == ("worker 0 does not report",))
            finally:
                os.kill(worker, signal.SIGCONT)
            await eventually(lambda: is_ready(node) and node.live().ok)

    asyncio.run(main())


class Routes:
    """Notes what the node would have the world know."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.costs = self

    def start_wait_s(self, now: float) -> float:
        return 0.0

    def allowance(self, now: float) -> Allowance:
        return UNLIMITED

    def others(self, now: float) -> Others:
        return NO_VIEW

    def tell(self, state: State, now: float) -> None:
        if [state.value] != self.told[-1:]:
            self.told.append(state.value)

    def tell_fleet(self, state: State, **_: float) -> None: ...

    def tick(self, now: float) -> None: ...

    def publish(self, now: float) -> None: ...

    async def stop(self, timeout_s: float) -> bool:
        self.told.append("nothing more")
        return True


def test_once_it_leaves_nothing_brings_its_route_back(config: NodeConfig) -> None:
    """Good probes go on arriving during the grace."""

    async def main() -> None:
        async with running(config) as node:
            routes: Any = Routes()
            node._routing = routes
            await eventually(lambda: is_ready(node))
            passed = node.status()["probe"]["passed"]
            await node.stop()
            assert node.status()["probe"]["passed"] > passed
            assert node.ready().problems == ("the node is stopping",)
            assert routes.told[-2:] == ["announced", "nothing more"]

    asyncio.run(main())


def test_a_node_that_stops_by_itself_says_so_by_its_exit_code(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With exit code 0 nobody would start it again."""

    def broken(_: Node) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Node, "_take_reports", broken)
    with pytest.raises(EdgeError, match=r"stopped by itself.*RuntimeError: a mistake"):
        asyncio.run(run(config))
    assert "event=control_died" in caplog.text
    assert not config.admin.socket.exists()
