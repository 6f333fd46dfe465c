"""The self-probe against a worker that answers, refuses, hangs, or is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from edge.overload import Gate
from edge.runtime.probe import SelfProbe
from edge.runtime.sockets import open_udp

INTERVAL_S, TIMEOUT_S = 0.02, 0.3


class Watched:
    """A running probe and what it told."""

    def __init__(self, *addresses: str, port: int) -> None:
        self.rounds: list[tuple[bool, float]] = []
        self._told = asyncio.Event()
        self.probe = SelfProbe(
            addresses, port, interval_s=INTERVAL_S, timeout_s=TIMEOUT_S, on_round=self._on_round
        )
        self._task = asyncio.create_task(self.probe.run())

    def _on_round(self, passed: bool, took_s: float) -> None:
        self.rounds.append((passed, took_s))
        self._told.set()

    async def until(self, holds: Callable[[SelfProbe], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds(self.probe):
                self._told.clear()
                await self._told.wait()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def test_an_answer_passes_and_leaves_no_connection_behind(serving: Any) -> None:
    async def main() -> None:
        async with serving() as edge:
            watched = Watched(edge.host, port=edge.port)
            await watched.until(lambda probe: probe.passed == 3)
            await watched.stop()
            assert (watched.probe.failed, watched.probe.problem) == (0, "")
            assert watched.probe.handshakes == 1
            assert all(passed and 0 < took_s < TIMEOUT_S for passed, took_s in watched.rounds)
            await asyncio.sleep(0.01)  # for the last farewell to arrive
            assert not edge.worker.endpoint.connections
            assert len(edge.worker.calls) == 0

    asyncio.run(main())


def test_a_refusal_passes_because_busy_is_not_broken(serving: Any) -> None:
    async def main() -> None:
        async with serving() as edge:
            edge.worker.gate = Gate(refuse_probability=1.0)
            watched = Watched(edge.host, port=edge.port)
            await watched.until(lambda probe: probe.passed == 3)
            await watched.stop()
            assert edge.worker.endpoint.counters.refused >= 3
            assert edge.worker.endpoint.counters.handshakes_completed == 0
            # Else a drained node would take from the handshakes of callers those that it never made.
            assert watched.probe.handshakes == 0

    asyncio.run(main())


def test_a_socket_that_nobody_reads_fails_and_a_reader_makes_it_pass_again(serving: Any) -> None:
    async def main() -> None:
        async with serving() as edge:
            loop = asyncio.get_running_loop()
            watched = Watched(edge.host, port=edge.port)
            await watched.until(lambda probe: probe.passed > 0)
            (udp,) = edge.worker._sockets.values()
            loop.remove_reader(udp.fileno())
            await watched.until(lambda probe: probe.failed == 2)
            assert watched.probe.passed == 0
            assert watched.probe.problem == f"{edge.host}:{edge.port}: no answer within 0.3 s over UDP"
            assert watched.rounds[-1][1] >= TIMEOUT_S
            edge.worker.serve()
            await watched.until(lambda probe: probe.passed > 0)
            await watched.stop()
            assert (watched.probe.failed, watched.probe.problem) == (0, "")

    asyncio.run(main())


def test_one_dead_address_of_two_fails_the_round(serving: Any) -> None:
    async def main() -> None:
        async with serving() as edge:
            (unread,) = open_udp("127.0.0.3", edge.port)
            with unread:
                watched = Watched(edge.host, "127.0.0.3", port=edge.port)
                await watched.until(lambda probe: probe.failed == 1)
                await watched.stop()
            assert "127.0.0.3" in watched.probe.problem
            assert watched.probe.handshakes == 1
            assert edge.worker.endpoint.counters.handshakes_completed >= 1

    asyncio.run(main())


def test_a_port_that_is_closed_fails() -> None:
    async def main() -> None:
        (sock,) = open_udp("127.0.0.1", 0)
        port = sock.getsockname()[1]
        sock.close()
        watched = Watched("127.0.0.1", port=port)
        await watched.until(lambda probe: probe.failed == 1)
        await watched.stop()
        assert watched.probe.problem

    asyncio.run(main())
