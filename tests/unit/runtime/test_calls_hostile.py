"""Callers and backends at their worst, and calls that change hands at the wrong moment: nobody else may notice."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

import pytest
from unit.runtime.call_site import Backend, Caller, Site, choosing
from worker_rig import KEYS

from edge.backend.base import BackendContext, BackendReply, Control, Interrupted, ItemBegun
from edge.overload.limits import Limits
from edge.quic import ConnectionClosed
from edge.runtime import resuming
from edge.runtime import seat as seat_module
from edge.runtime.call import Call
from edge.runtime.resuming import Resuming
from edge.voice import EdgeSession
from edge.voice.actions import SendDatagram
from edge.voice.errors import Code
from edge.voice.events import ErrorReceived, ItemDone
from edge.voice.frame import Frame
from edge.voice.wire import PlayoutReport, encode_datagram


def closing(caller: Caller) -> ConnectionClosed:
    (closed,) = caller.heard(ConnectionClosed)
    assert isinstance(closed, ConnectionClosed)
    return closed


async def still_serves(site: Site) -> None:
    """Somebody who comes now is answered."""
    caller = await site.caller()
    caller.say()
    await site.pass_time(1.0)
    assert len(caller.heard(ItemDone)) == 1


# A defect of ours


@pytest.mark.parametrize("verb", ["turn", "handle_timer", "get_timer"])
def test_a_call_that_fails_is_ended_and_the_others_have_their_turn(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    """An exception out of a turn would leave the worker without its timer, and everybody with it."""

    async def main() -> None:
        make, made = choosing(Backend, Backend, Backend)
        site = Site(settings, make, limits=Limits(silent_s=3.0))  # a reason for a timer
        unlucky, other = await site.caller(), await site.caller()
        sound = getattr(Call, verb)

        def breaks(self: Call, *arguments: Any) -> Any:
            if self.call_id == "sess_1":
                raise ZeroDivisionError("a defect")
            return sound(self, *arguments)

        monkeypatch.setattr(Call, verb, breaks)
        for caller in (unlucky, other):
            caller.say()
        await site.pass_time(4.0)
        assert (closing(unlucky).code, closing(unlucky).reason) == (Code.SESSION_CLOSED, "internal error")
        assert len(other.heard(ItemDone)) == 1
        assert "event=call_failed call=sess_1" in caplog.text
        await still_serves(site)
        assert made[0].closed
        assert len(site.table) == 2
        await site.table.close()

    asyncio.run(main())


def test_a_session_that_fails_on_what_it_receives_costs_its_own_call(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        site = Site(settings, Backend)
        unlucky = await site.caller()
        monkeypatch.setattr(EdgeSession, "receive_stream", lambda *_: 1 / 0)
        unlucky.say()
        await site.pass_time(0.2)
        assert closing(unlucky).reason == "internal error"
        monkeypatch.undo()
        await still_serves(site)
        await site.table.close()

    asyncio.run(main())


# Backends that speak out of turn


def test_what_a_backend_signals_wrongly_ends_its_turn_and_is_not_its_own_to_catch(settings: Any) -> None:
    """A signal that no record holds would otherwise come out of the adapter's own reader, and end that."""

    class Boasts(Backend):
        def __init__(self, context: BackendContext) -> None:
            super().__init__(context)
            self._context = context

        def hear(self, frames: Sequence[Frame]) -> None:
            super().hear(frames)
            self._context.signal(Control({"type": "x", "text": "y" * 100_000}))
            self.survived = True

    async def main() -> None:
        make, made = choosing(Boasts, Backend)
        site = Site(settings, make)
        caller = await site.caller()
        caller.say()
        await site.pass_time(2.0)
        assert made[0].survived  # type: ignore[attr-defined]
        (error,) = caller.heard(ErrorReceived)
        assert (error.code, error.message) == ("backend_failed", "the backend failed: ValueError")
        caller.say()
        await site.pass_time(1.0)
        assert len(caller.heard(ItemDone)) == 1
        await site.table.close()

    asyncio.run(main())


def test_a_backend_that_has_failed_is_not_heard_any_more(settings: Any) -> None:
    """Its tasks are still about when the next one sits there: they must neither speak nor interrupt."""

    class Haunts(Backend):
        def __init__(self, context: BackendContext) -> None:
            super().__init__(context)
            self.context = context
            self._heard = asyncio.Event()

        def hear(self, frames: Sequence[Frame]) -> None:
            self._heard.set()
            raise ConnectionError("the model is gone")

        async def replies(self) -> AsyncIterator[BackendReply]:
            await self._heard.wait()
            yield ItemBegun(1)

    async def main() -> None:
        make, made = choosing(Haunts, Backend)
        site = Site(settings, make)
        caller = await site.caller()
        caller.say()
        await site.pass_time(1.5)
        caller.say()
        await site.pass_time(0.1)
        made[0].context.signal(Interrupted())  # type: ignore[attr-defined]
        await site.pass_time(1.0)
        (done,) = caller.heard(ItemDone)
        assert done.item == 1
        assert site.table.counters()["barge_ins"] == 0
        await site.table.close()

    asyncio.run(main())


def test_a_backend_that_never_closes_does_not_keep_the_worker(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clings(Backend):
        async def close(self) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        site = Site(settings, Clings)
        await site.caller()
        async with asyncio.timeout(5):
            await site.table.close()

    monkeypatch.setattr(seat_module, "CLOSE_S", 0.05)
    asyncio.run(main())


# Calls that change hands


def test_a_call_that_is_over_cannot_be_continued(settings: Any) -> None:
    """Its session takes nothing in any more: a caller that was given it would wait for ever."""

    async def main() -> None:
        make, made = choosing(Backend, Backend)
        site = Site(settings, make)
        caller = await site.caller()
        caller.connection.close(Code.GOING_AWAY, "lost")
        await site.pass_time(0.1)
        (call,) = site.table._calls
        call.session.close(Code.LIMIT, "while nobody was there")
        await site.come_back(caller)
        await site.pass_time(0.2)
        assert [error.code for error in caller.heard(ErrorReceived)] == ["unknown_session"]
        assert len(made) == 2
        await site.table.close()

    asyncio.run(main())


def test_nonsense_about_where_to_go_on_harms_nobody(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        site = Site(settings, Backend)
        caller = await site.caller()
        caller.say()
        await site.pass_time(0.2)
        monstrous = 2**62 - 1
        places = [(monstrous, 0), (0, monstrous), (1, monstrous), (monstrous, monstrous)]
        for number, place in enumerate(places, 1):
            items = caller.session._hearing.items
            monkeypatch.setattr(type(items), "position", property(lambda _, place=place: place))
            await site.come_back(caller, unnoticed=True)
            assert site.table.counters()["resumed"] == number
        monkeypatch.undo()
        assert len(site.table) == 1
        await still_serves(site)
        await site.table.close()

    asyncio.run(main())


def elsewhere(**changes: Any) -> str:
    """The token of a call that another node has."""
    state = {"call_id": "sess_other", "backend": "it", "caller": "", "utterance": 1, "handle": b"", **changes}
    node = Resuming(KEYS, server_id=bytes(8), worker=0, unix_time=time.time)
    return node.issue(stay=node.stay(), **state)


async def goes_on(site: Site, caller: Caller, token: str) -> bool:
    """Whether it gets the call that ``token`` is of."""
    before = site.table.counters()["continued"]
    caller.session.resume_token = token
    await site.come_back(caller)
    return site.table.counters()["continued"] > before


def test_nonsense_about_a_call_from_elsewhere_harms_nobody(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        site = Site(settings, Backend)
        monstrous = 2**62 - 1
        places = [(monstrous, 0), (0, monstrous), (1, monstrous), (monstrous, monstrous)]
        for place in places:
            caller = await site.caller()
            items = caller.session._hearing.items
            monkeypatch.setattr(type(items), "position", property(lambda _, place=place: place))
            assert await goes_on(site, caller, elsewhere(call_id=f"sess_{place}"))
            monkeypatch.undo()
        await still_serves(site)
        assert site.table.records()
        await site.table.close()

    asyncio.run(main())


def test_a_handle_that_the_backend_cannot_take_costs_what_it_knew_and_not_the_call(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nodes of two versions are one fleet for as long as it takes to bring the newer one everywhere."""

    class Particular(Backend):
        def __init__(self, context: BackendContext) -> None:
            int(context.handle or 0)
            super().__init__(context)

    async def main() -> None:
        site = Site(settings, Particular)
        caller = await site.caller()
        assert await goes_on(site, caller, elsewhere(handle=b"of another version"))
        caller.say()
        await site.pass_time(1.0)
        assert len(caller.heard(ItemDone)) == 1
        assert "event=handle_not_taken call=sess_other" in caplog.text
        await site.table.close()

    asyncio.run(main())


def test_strangers_who_never_had_a_call_do_not_have_the_calls_of_others_forgotten(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered of calls that went on or ended is bounded, and what is older than that is refused."""
    monkeypatch.setattr(resuming, "REMEMBERED", 2)

    async def main() -> None:
        site = Site(
            settings, Backend, resuming=Resuming(KEYS, server_id=bytes(8), worker=1, unix_time=time.time)
        )
        caller, token = await site.caller(), elsewhere()
        for _ in range(4):
            (await site.caller(mute=True)).connection.close(Code.OK, "never mind")
        await site.pass_time(0.1)
        assert await goes_on(site, caller, token)
        await site.table.close()

    asyncio.run(main())


# What a caller may have


def test_an_address_has_its_share_of_calls_also_of_those_that_nobody_is_connected_to(settings: Any) -> None:
    """Each keeps a backend until it is given up; whoever begins and drops calls must not collect them."""

    async def main() -> None:
        make, made = choosing(Backend, Backend, Backend)
        site = Site(settings, make, resume_s=3.0, limits=Limits(per_address=2))
        callers = []
        for _ in range(3):
            caller = Caller("203.0.113.9", site.now)
            site.callers.append(caller)
            await site.pass_time(0.1)
            callers.append(caller)
            if not caller.heard(ConnectionClosed):
                caller.connection.close(Code.GOING_AWAY, "dropped")
                await site.pass_time(0.1)
        closed = closing(callers[-1])
        assert (closed.code, closed.reason) == (Code.LIMIT, "2 calls from one address, and no more")
        assert len(made) == 2
        assert site.table.counters()["cut_limit"] == 1
        await site.caller()  # from elsewhere
        await site.pass_time(3.5)
        assert len(site.table) == 1
        late = Caller("203.0.113.9", site.now)
        site.callers.append(late)
        with pytest.raises(StopIteration):
            next(iter(late.heard(ConnectionClosed)))
        await site.table.close()

    asyncio.run(main())


def test_a_caller_that_lets_nothing_through_is_cut_off_with_a_reason(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It acknowledges and gives signs of itself, but no credit: by the size of what waits that would take minutes."""

    class Chatty(Backend):
        async def replies(self) -> AsyncIterator[BackendReply]:
            for number in count():
                yield Control({"type": "x", "text": "y" * 200, "number": number})
                await asyncio.sleep(0)

    async def main() -> None:
        site = Site(settings, Chatty, limits=Limits(unread_s=2.0))
        await site.caller(credit=4000)
        await site.caller()
        await site.pass_time(4.0)
        stingy_one, generous = site.callers
        assert closing(stingy_one).code == Code.LIMIT
        assert closing(stingy_one).reason == "does not read: nothing has left for 2 s"
        assert generous.heard(ConnectionClosed) == []
        assert "event=caller_cut call=sess_1" in caplog.text
        await site.table.close()

    caplog.set_level(logging.INFO, "edge.calls")
    asyncio.run(main())


def test_a_caller_of_whom_only_its_engine_is_left_is_cut_off(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        site = Site(settings, Backend, limits=Limits(silent_s=2.0))
        alive, gone = await site.caller(), await site.caller()
        gone.session.get_timer = lambda: None  # type: ignore[method-assign]
        gone.session.handle_timer = lambda _: None  # type: ignore[method-assign]
        for _ in range(30):
            gone.connection._engine.send_ping(1)
            await site.pass_time(0.1)
        assert (closing(gone).code, closing(gone).reason) == (Code.LIMIT, "silent: not a sign of it for 2 s")
        assert alive.heard(ConnectionClosed) == []
        await site.table.close()

    asyncio.run(main())


def test_what_a_caller_makes_up_does_not_reach_the_metrics(settings: Any) -> None:
    async def main() -> None:
        site = Site(settings, Backend)
        caller = await site.caller()
        caller.say()
        await site.pass_time(0.5)
        for turn in range(10):
            made_up = 2**62 - 1 if turn % 2 else 0
            report = PlayoutReport(1, made_up, made_up, made_up, made_up, 2**61 + turn)
            caller.session._actions.append(SendDatagram(encode_datagram(report)))
            await site.pass_time(0.05)
        assert site.table.counters()["underruns"] <= 10
        assert all(value < 60_000 for _, value in site.observed)
        await site.table.close()

    asyncio.run(main())


def test_a_reason_of_the_callers_is_one_line_in_the_log(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        site = Site(settings, Backend)
        caller = await site.caller()
        caller.connection.close(Code.OK, 'x"\nevent=node_stopped reason="y')
        await site.pass_time(0.1)
        assert '\\nevent=node_stopped reason=\\"y' in caplog.text
        assert "\nevent=node_stopped" not in caplog.text
        await site.table.close()

    caplog.set_level(logging.INFO, "edge.calls")
    asyncio.run(main())
