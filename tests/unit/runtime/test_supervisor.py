"""Real worker processes: that die, hang, or never come up."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import time
from typing import Any

import msgspec
import pytest
from process_rig import HOST, children, pid, workers
from waiting import eventually

from edge.errors import DeadlineError, EdgeError
from edge.runtime import supervisor as module
from edge.runtime import worker_process
from edge.runtime.dialer import Target, dial


async def shake_hands(port: int) -> None:
    """As a caller would; the first packet may have to wait for somebody who reads it."""
    dialed = await dial(
        Target(host=HOST, port=port, insecure=True),
        stack=lambda connection: connection,
        on_event=lambda _: None,
        timeout_s=10.0,
    )
    dialed.driver.leave()


def test_a_killed_worker_is_replaced_and_the_other_goes_on(settings: Any) -> None:
    async def main() -> None:
        async with workers(settings, 2) as (supervisor, _):
            victim, other = supervisor.workers
            before = pid(victim), pid(other)
            await eventually(lambda: victim.is_reporting and other.is_reporting)
            os.kill(before[0], signal.SIGKILL)
            await eventually(lambda: victim.report is None)
            assert not victim.is_reporting
            assert await victim.calls() is None  # at once, and nobody waits for the dead
            await eventually(lambda: victim.is_reporting)
            assert supervisor.restarts == 1
            assert pid(victim) not in before
            assert pid(other) == before[1]
            assert other.is_reporting

    asyncio.run(main())


def test_who_calls_while_there_is_no_worker_gets_the_next_one(settings: Any) -> None:
    """The socket is the supervisor's: what arrives in between waits in its queue."""

    async def main() -> None:
        async with workers(settings) as (supervisor, port):
            (worker,) = supervisor.workers
            os.kill(pid(worker), signal.SIGKILL)
            await eventually(lambda: not worker.ready.is_set())
            await shake_hands(port)
            assert supervisor.restarts == 1

    asyncio.run(main())


def test_a_worker_is_replaced_also_when_there_was_no_descriptor_left_for_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = socket.socketpair

    def none_left() -> Any:
        monkeypatch.setattr(socket, "socketpair", pair)
        raise OSError(errno.EMFILE, "Too many open files")

    async def main() -> None:
        async with workers(settings) as (supervisor, _):
            (worker,) = supervisor.workers
            await eventually(lambda: worker.is_reporting)
            monkeypatch.setattr(socket, "socketpair", none_left)
            os.kill(pid(worker), signal.SIGKILL)
            await eventually(lambda: worker.report is None)
            await eventually(lambda: worker.is_reporting)
            assert supervisor.restarts == 2

    asyncio.run(main())


def test_a_hung_worker_is_replaced(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "LOOK_S", 0.2)
    monkeypatch.setattr(worker_process, "HUNG_S", 0.8)
    monkeypatch.setattr(worker_process, "QUIET_S", 0.5)

    async def main() -> None:
        async with workers(settings) as (supervisor, port):
            (worker,) = supervisor.workers
            await eventually(lambda: worker.is_reporting)
            hung = pid(worker)
            os.kill(hung, signal.SIGSTOP)
            await eventually(lambda: not worker.is_reporting)
            await eventually(lambda: supervisor.restarts == 1)
            await shake_hands(port)
            assert pid(worker) != hung

    asyncio.run(main())


def test_it_does_not_take_its_own_sleep_for_a_workers(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the machine was suspended: the workers must not lose their calls for it."""
    monkeypatch.setattr(worker_process, "LOOK_S", 0.3)
    monkeypatch.setattr(worker_process, "HUNG_S", 0.9)

    async def main() -> None:
        async with workers(settings) as (supervisor, _):
            (worker,) = supervisor.workers
            await eventually(lambda: worker.is_reporting)
            time.sleep(1.1)  # noqa: ASYNC251 - nothing of this process runs
            await eventually(lambda: worker.is_reporting)
            assert supervisor.restarts == 0

    asyncio.run(main())


def test_a_worker_that_cannot_serve_ends_the_start(settings: Any) -> None:
    """Both fail; one is told, and neither is tried again."""
    useless = msgspec.structs.replace(settings, certificate=b"no certificate")

    async def main() -> None:
        with pytest.raises(EdgeError, match=r"^worker \d did not come up: .*certificate"):
            async with workers(useless, 2):
                pass

    asyncio.run(main())


def test_a_worker_that_is_too_slow_to_come_up_ends_the_start(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_TIMEOUT_S", 0.05)
    monkeypatch.setattr(module, "STOP_TIMEOUT_S", 0.05)

    async def main() -> None:
        with pytest.raises(DeadlineError, match="not ready within"):
            async with workers(settings):
                pass

    asyncio.run(main())


def test_a_stop_between_two_workers_starts_no_other(settings: Any) -> None:
    async def main() -> None:
        async with workers(settings) as (supervisor, _):
            os.kill(pid(supervisor.workers[0]), signal.SIGKILL)
            await eventually(lambda: supervisor.restarts == 1)
            began = time.monotonic()
            await supervisor.stop("at a bad moment")
            assert time.monotonic() - began < module.STOP_TIMEOUT_S
            assert children() == []

    asyncio.run(main())


def test_a_worker_that_does_not_leave_is_made_to(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_TIMEOUT_S", 0.1)

    async def main() -> None:
        async with workers(settings) as (supervisor, _):
            os.kill(pid(supervisor.workers[0]), signal.SIGSTOP)

    asyncio.run(main())
