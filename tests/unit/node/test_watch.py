"""What the service manager hears of a whole node, from its start over a hung worker to its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from node_rig import configured

from edge.node import run
from edge.node.watch import line
from edge.runtime import worker_process
from edge.runtime.admin_client import admin_request
from edge.runtime.documents import DrainStatus
from edge.runtime.service_manager import ServiceManager

TABLES = """
[probe]
interval_s = 0.05
timeout_s = 0.4
[shutdown]
grace_s = 0.0
[workers]
count = 1
"""


class Manager:
    """Notes what it is told; it has been fed so often."""

    def __init__(self, path: Path) -> None:
        self.said: list[str] = []
        self.fed = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def _hear(self) -> None:
        told = self._socket.recv(4096).decode()
        if told == "WATCHDOG=1":
            self.fed += 1
        else:
            self.said.append(told)

    async def hears(self, start: str) -> None:
        async with asyncio.timeout(20):
            while not any(told.startswith(start) for told in self.said):  # noqa: ASYNC110 - another's doing
                await asyncio.sleep(0.01)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


def test_the_watchdog_is_fed_only_while_the_workers_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "QUIET_S", 0.6)
    config = configured(tmp_path, TABLES)

    async def main() -> list[str]:
        manager = Manager(tmp_path / "notify")
        node = asyncio.create_task(run(config, manager=ServiceManager(str(tmp_path / "notify"), 0.4)))
        await manager.hears("READY=1")
        await manager.hears("STATUS=announced; 0 calls, 0 moved; pressure 0.")
        status: Any = (await admin_request(config.admin.socket, "GET", "/status")).checked()
        os.kill(status["workers"][0]["pid"], signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                while True:
                    before = manager.fed
                    await asyncio.sleep(1.0)  # ten times the interval between two
                    if manager.fed == before:
                        break
        finally:
            os.kill(status["workers"][0]["pid"], signal.SIGCONT)
        async with asyncio.timeout(20):
            while manager.fed == before:  # noqa: ASYNC110 - another's doing
                await asyncio.sleep(0.01)
        await admin_request(config.admin.socket, "POST", "/reload", timeout_s=40)
        signal.raise_signal(signal.SIGTERM)
        await node
        await manager.hears("STOPPING=1\nEXTEND_TIMEOUT_USEC=")
        manager.close()
        return [told for told in manager.said if not told.startswith("STATUS=")]

    said = asyncio.run(main())
    assert [told.partition("\n")[0] for told in said] == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_the_line_says_what_an_operator_asks_first() -> None:
    status: dict[str, Any] = {
        "state": "announced",
        "reason": "3 self-probes in a row passed",
        "calls": 12,
        "connections": {"migrated": 11, "on_anycast": 1, "direct": 0},
        "pressure": 0.412,
        "pressure_signal": "cpu",
        "bgp": {"neighbors": {"192.0.2.1": "up", "192.0.2.2": "down"}},
        "drain": None,
        "config": {"changed_on_disk": False},
    }
    assert line(status) == "announced; 12 calls, 11 moved; pressure 0.41 (cpu); BGP 1 of 2 up"
    drain = DrainStatus(
        phase="handing-over", since_s=1.0, hand_over=True, deadline_in_s=None, left=1, fates={}
    )
    status |= {"state": "held", "reason": "held by the operator", "calls": 1, "bgp": None, "drain": drain}
    status["config"] = {"changed_on_disk": True}
    assert line(status) == (
        "held (held by the operator); 1 call, 11 moved; pressure 0.41 (cpu); drain: handing-over, 1 left; "
        "its file has changed since the start"
    )
