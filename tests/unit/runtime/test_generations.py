"""Several real workers behind one port, steered by the kernel, and generations of them that take over from each other."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from process_rig import HOST, children, pid, workers
from waiting import eventually

from edge.client import audio, connect, speech
from edge.client.call import Call
from edge.errors import EdgeError, RefusedError
from edge.runtime import messages, worker_process
from edge.runtime import supervisor as module
from edge.runtime.messages import Ready, SetGate, Start
from edge.runtime.worker_process import Worker

PACKETS = audio.read_speech(speech.recording("hello"))
SETTLED_S = 0.5
"""Short, for the sake of those who wait; longer than two reports."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLED_S", SETTLED_S)


def call_to(port: int, **options: Any) -> Call:
    return connect(HOST, port, carrier="quic", insecure=True, early_data=False, **options)


@contextlib.asynccontextmanager
async def calls_to(port: int, count: int) -> AsyncIterator[list[Call]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(call_to(port)) for _ in range(count)]


async def say_and_hear(call: Call) -> None:
    await call.say(PACKETS[:25])
    assert await call.reply()


def up(worker: Worker) -> int:
    return 0 if worker.report is None else int(worker.report.load.calls)


class Nat(asyncio.DatagramProtocol):
    """Between one caller and the edge; `forget` gives the caller another port, as the edge sees it."""

    def __init__(self, edge: tuple[str, int]) -> None:
        self._edge = edge
        self._caller: Any = None
        self._outside: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.inside = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._caller = addr
        if self._outside is not None:
            self._outside.sendto(data)

    async def forget(self) -> None:
        nat = self

        class Outside(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _: Any) -> None:
                nat.inside.sendto(data, nat._caller)

        loop = asyncio.get_running_loop()
        before, (self._outside, _) = (
            self._outside,
            await loop.create_datagram_endpoint(Outside, remote_addr=self._edge),
        )
        if before is not None:
            before.close()

    def close(self) -> None:
        self.inside.close()
        if self._outside is not None:
            self._outside.close()


@contextlib.asynccontextmanager
async def nat(port: int) -> AsyncIterator[tuple[Nat, int]]:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(lambda: Nat((HOST, port)), local_addr=(HOST, 0))
    try:
        await protocol.forget()
        yield protocol, protocol.inside.get_extra_info("sockname")[1]
    finally:
        protocol.close()


def test_callers_whose_ports_change_stay_with_their_worker(settings: Any) -> None:
    """By addresses and ports the kernel would give every second change to another worker: none in 4096 is lucky."""

    async def main() -> None:
        async with workers(settings, 3) as (supervisor, port), contextlib.AsyncExitStack() as stack:
            calls = []
            for _ in range(6):
                box, behind = await stack.enter_async_context(nat(port))
                calls.append((box, await stack.enter_async_context(call_to(behind))))
            for _ in range(2):
                await asyncio.gather(*(box.forget() for box, _ in calls))
                await asyncio.gather(*(say_and_hear(call) for _, call in calls))
            for _, call in calls:
                summary = await call.hang_up()
                assert (summary.reconnects, summary.ledgers_equal) == (0, True)
            reports = [worker.report for worker in supervisor.workers]
            assert [report and report.counters["misrouted"] for report in reports] == [0, 0, 0]

    asyncio.run(main())


def test_what_gets_to_another_worker_all_the_same_is_passed_on(settings: Any) -> None:
    """As if the kernel steered by nothing but addresses and ports: more packets go astray than not, and none is lost."""

    async def main() -> None:
        async with (
            workers(settings, 3, steered=False) as (supervisor, port),
            contextlib.AsyncExitStack() as stack,
        ):
            calls = []
            for _ in range(4):
                box, behind = await stack.enter_async_context(nat(port))
                calls.append((box, await stack.enter_async_context(call_to(behind))))
            for _ in range(3):
                await asyncio.gather(*(box.forget() for box, _ in calls))
                await asyncio.gather(*(say_and_hear(call) for _, call in calls))
            for _, call in calls:
                summary = await call.hang_up()
                assert (summary.reconnects, summary.ledgers_equal) == (0, True)
            counters = [worker.report.counters for worker in supervisor.workers if worker.report is not None]
            assert sum(counter["forward_strays_received"] for counter in counters) > 0
            assert sum(counter["dropped_looped"] for counter in counters) == 0

    asyncio.run(main())


def test_a_killed_worker_costs_nobody_elses_call_a_frame(settings: Any) -> None:
    """Its own callers learn at once that it is gone, and go on as soon as somebody is there again."""

    async def main() -> None:
        async with workers(settings, 2) as (supervisor, port), calls_to(port, 8) as calls:
            await eventually(lambda: sum(map(up, supervisor.workers)) == len(calls))
            victim, other = supervisor.workers
            spared = up(other)
            talking = asyncio.gather(*(say_and_hear(call) for call in calls), return_exceptions=True)
            os.kill(pid(victim), signal.SIGKILL)
            await talking
            await eventually(lambda: victim.is_reporting)
            summaries = [await call.hang_up() for call in calls]
            assert [summary.ending for summary in summaries] == ["hung_up"] * len(calls)
            untouched = [summary for summary in summaries if not summary.reconnects]
            assert len(untouched) == spared
            assert all(summary.flawless for summary in untouched)

    asyncio.run(main())


def test_a_new_generation_takes_the_new_calls_and_the_old_one_leaves_with_its_last(settings: Any) -> None:
    async def main() -> None:
        async with workers(settings, 2) as (supervisor, port), calls_to(port, 6) as calls:
            before = supervisor.workers
            await eventually(lambda: sum(map(up, before)) == len(calls))
            old = [pid(worker) for worker in before]
            talking = asyncio.gather(*(say_and_hear(call) for call in calls))
            await supervisor.reload()
            after = supervisor.workers[2:]
            assert [worker.slot for worker in after] == [2, 3]
            assert [one.standing for one in supervisor.generations] == ["leaving", "serving"]
            with pytest.raises(RefusedError, match=r"generation 1 still has \d+ calls"):
                await supervisor.reload()
            async with calls_to(port, 4) as newcomers:
                await eventually(lambda: sum(map(up, after)) == len(newcomers))
                await talking
                await asyncio.gather(*(say_and_hear(call) for call in calls))
                assert [pid(worker) for worker in before] == old
                for call in (*calls, *newcomers):
                    assert (await call.hang_up()).reconnects == 0
            await eventually(lambda: len(supervisor.generations) == 1)
            assert not set(old) & set(children())
            await supervisor.reload()  # back in the slots of the first
            assert [worker.slot for worker in supervisor.workers[-2:]] == [0, 1]

    asyncio.run(main())


def test_callers_that_are_left_at_the_deadline_go_on_with_the_new_workers(settings: Any) -> None:
    async def main() -> None:
        async with workers(settings, 2) as (supervisor, port), calls_to(port, 3) as calls:
            before = supervisor.workers
            await eventually(lambda: sum(map(up, before)) == len(calls))
            talking = asyncio.gather(*(say_and_hear(call) for call in calls))
            await supervisor.reload(deadline_s=0.5)
            await talking
            async with asyncio.timeout(30):
                while len(supervisor.generations) > 1:
                    await asyncio.gather(*(say_and_hear(call) for call in calls))
            assert supervisor.workers != before
            for call in calls:
                summary = await call.hang_up()
                assert (summary.reconnects, len(summary.moves), summary.ledgers_equal) == (0, 1, True)

    asyncio.run(main())


def test_what_is_left_after_that_is_ended(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HAND_OVER_S", 0.0)

    async def main() -> None:
        async with workers(settings) as (supervisor, port), calls_to(port, 1) as (call,):
            await eventually(lambda: up(supervisor.workers[0]) == 1)
            await supervisor.reload(deadline_s=0.1)
            await eventually(lambda: len(supervisor.generations) == 1)
            await eventually(lambda: up(supervisor.workers[0]) == 1)  # it called again
            await say_and_hear(call)
            assert (await call.hang_up()).ending == "hung_up"

    asyncio.run(main())


def test_a_generation_that_does_not_come_up_leaves_the_old_one_in_service(settings: Any) -> None:
    async def main() -> None:
        async with workers(settings, 2) as (supervisor, port), calls_to(port, 1) as (call,):
            before = sorted(children())
            good = supervisor._settings

            def bad(slots: range) -> Iterator[Any]:
                yield from list(good(slots))[:1]
                yield msgspec.structs.replace(list(good(slots))[1], certificate=b"no certificate")

            supervisor._settings = bad  # as if the files had been damaged meanwhile
            with pytest.raises(EdgeError, match=r"^worker 3 did not come up: .*certificate"):
                await supervisor.reload()
            assert sorted(children()) == before
            assert [one.standing for one in supervisor.generations] == ["serving"]
            await say_and_hear(call)
            supervisor._settings = good
            await supervisor.reload()
            assert (await call.hang_up()).reconnects == 0

    asyncio.run(main())


def test_workers_of_another_protocol_are_refused_in_words(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with workers(settings) as (supervisor, port):
            monkeypatch.setattr(worker_process, "Start", functools.partial(Start, protocol=99))
            with pytest.raises(
                EdgeError, match=r"speak protocol \d+, the supervisor 99: .* restart the node"
            ):
                await supervisor.reload()
            async with call_to(port) as call:
                await say_and_hear(call)

    asyncio.run(main())


def test_what_only_another_version_knows_is_ignored() -> None:
    """Fields and kinds that were added; what is missing, or of another type, is not guessed."""
    newer = msgspec.json.encode({"type": "Ready", "version": "9", "colour": "blue"})
    assert messages.decode_to_supervisor(newer) == Ready("9")
    assert messages.decode_to_supervisor(b'{"type": "Ready"}') == Ready("")
    assert messages.decode_to_supervisor(b'{"type": "Sing", "song": "la"}') is None
    assert messages.decode_to_worker(b'{"type": "Dance"}') is None
    for wrong in (b'{"type": "SetGate"}', b'{"type": "SetGate", "gate": 7}', b"{", b"[]"):
        with pytest.raises(msgspec.DecodeError):
            messages.decode_to_worker(wrong)
    assert isinstance(messages.decode_to_worker(b'{"type": "SetGate", "gate": {}}'), SetGate)


def test_a_worker_that_dies_while_it_leaves_is_not_replaced(settings: Any) -> None:
    """Its caller is told by the newer generation, with a stateless reset, and calls there."""

    async def main() -> None:
        async with workers(settings) as (supervisor, port), calls_to(port, 1) as (call,):
            (old,) = supervisor.workers
            await eventually(lambda: up(old) == 1)
            await supervisor.reload()
            os.kill(pid(old), signal.SIGKILL)
            await eventually(lambda: len(supervisor.generations) == 1)
            assert supervisor.restarts == 0
            (new,) = supervisor.workers
            await eventually(lambda: up(new) == 1)
            await say_and_hear(call)
            assert new.report is not None
            assert new.report.counters["resets_sent"] > 0

    asyncio.run(main())


def test_a_stop_during_a_reload_ends_both_generations(settings: Any) -> None:
    async def main() -> None:
        async with workers(settings, 2) as (supervisor, _):
            reloading = asyncio.create_task(supervisor.reload())
            await eventually(lambda: len(children()) == 4)
            await supervisor.stop("at a bad moment")
            with pytest.raises(EdgeError):
                await reloading
            assert children() == []

    asyncio.run(main())


def test_a_stop_while_an_old_worker_is_being_ended_does_not_forget_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs, so that only a signal ends it; the rig looks whether somebody is left."""
    monkeypatch.setattr(module, "STOP_TIMEOUT_S", 1.0)

    async def main() -> None:
        async with workers(settings) as (supervisor, _):
            (old,) = supervisor.workers
            await supervisor.reload()
            os.kill(pid(old), signal.SIGSTOP)
            await eventually(lambda: old not in supervisor.workers)
            await supervisor.stop("at a bad moment")
            assert children() == []

    asyncio.run(main())


def test_a_worker_that_is_being_restarted_when_its_generation_is_to_leave_hears_of_that(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would accept TCP connections for as long as somebody calls."""
    monkeypatch.setattr(module, "RESTART_DELAY_S", 0.0)
    spawn, write = Worker._spawn, messages.write

    async def main() -> None:
        async with workers(settings) as (supervisor, _):
            (old,) = supervisor.workers
            waits, goes_on = asyncio.Event(), asyncio.Event()
            told: list[str] = []

            async def slow(self: Worker, control: Any) -> Any:
                if self is old:
                    waits.set()
                    await goes_on.wait()
                return await spawn(self, control)

            def noted(writer: asyncio.StreamWriter, message: messages.Message) -> None:
                if writer is old._writer:
                    told.append(type(message).__name__)
                write(writer, message)

            monkeypatch.setattr(Worker, "_spawn", slow)
            monkeypatch.setattr(messages, "write", noted)
            os.kill(pid(old), signal.SIGKILL)
            await waits.wait()
            await supervisor.reload()
            assert told == []
            goes_on.set()
            await eventually(lambda: old not in supervisor.workers)
            assert told[:2] == ["Start", "Leave"]

    asyncio.run(main())


def test_newcomers_do_not_wait_for_a_worker_that_is_away(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESTART_DELAY_S", 3.0)

    async def main() -> None:
        async with workers(settings, 2) as (supervisor, port):
            os.kill(pid(supervisor.workers[0]), signal.SIGKILL)
            await eventually(lambda: not supervisor.workers[0].ready.is_set())
            async with calls_to(port, 6):
                assert not supervisor.workers[0].ready.is_set()

    asyncio.run(main())
