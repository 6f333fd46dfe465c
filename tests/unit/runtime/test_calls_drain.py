"""Calls of a worker that is to be emptied: where each is asked to go, and how those end that are closed."""

from __future__ import annotations

import asyncio
from typing import Any

from unit.runtime.call_site import Backend, Site, choosing
from worker_rig import KEYS

from edge.quic import ConnectionClosed
from edge.voice import AskedToMove, Code


def test_callers_are_asked_by_the_family_that_they_called_over(settings: Any) -> None:
    async def main() -> None:
        make, _ = choosing(Backend, Backend)
        site = Site(settings, make)
        callers = [await site.caller(), await site.caller()]
        six = next(call for call in site.table._calls if call.host == "192.0.2.101")
        six.host = "2001:db8:11::2"
        site.table.hand_over(
            ["https://203.0.113.6:443"], "drain", 20_000, True, ["https://[2001:db8:22::2]:443"]
        )
        await site.pass_time(6.0)
        asked = [caller.heard(AskedToMove) for caller in callers]
        assert [[event.url for event in events] for events in asked] == [
            ["https://203.0.113.6:443"],
            ["https://[2001:db8:22::2]:443"],
        ]
        assert [record.hand_over_url for record in site.table.records()] == [
            "https://203.0.113.6:443",
            "https://[2001:db8:22::2]:443",
        ]
        assert all(event.leave and event.reason == "drain" for events in asked for event in events)

    asyncio.run(main())


def test_calls_that_are_closed_are_over_at_once_and_their_callers_know(settings: Any) -> None:
    """Nobody waits here for them to come back: this node lets nobody in."""

    async def main() -> None:
        make, made = choosing(Backend, Backend)
        site = Site(settings, make)
        stays, lost = await site.caller(), await site.caller()
        lost.stack.connection.close(Code.GOING_AWAY, "lost")
        await site.pass_time(0.1)
        assert len(site.table) == 2
        site.table.close_all("the node is drained")
        await site.pass_time(0.1)
        assert len(site.table) == 0
        (closed,) = stays.heard(ConnectionClosed)
        assert (closed.code, closed.reason) == (Code.GOING_AWAY, "the node is drained")
        assert all(record.ended for record in site.table.records())
        assert all(backend.closed for backend in made)

    asyncio.run(main())


def test_a_caller_that_was_let_go_and_stays_connected_keeps_nobody_awake(settings: Any) -> None:
    """Also when every caller is due another resume token, which this one will not get."""

    async def main() -> None:
        make, _ = choosing(Backend)
        site = Site(settings, make)
        caller = await site.caller()
        caller.session.leave(site.now)
        await site.pass_time(0.1)
        assert [record.hand_over for record in site.table.records()] == ["left"]
        site.table.set_keys(KEYS)
        await site.pass_time(0.1)
        wakes_at = site.table.get_timer()
        assert wakes_at is not None
        assert wakes_at > site.now + 1.0

    asyncio.run(main())


def test_callers_who_have_not_been_asked_when_it_is_called_off_are_left_alone(settings: Any) -> None:
    async def main() -> None:
        make, _ = choosing(Backend, Backend)
        site = Site(settings, make)
        callers = [await site.caller(), await site.caller()]
        site.table.hand_over([None], "drain", 20_000, True)
        await site.pass_time(0.2)
        site.table.call_off("drain")
        await site.pass_time(6.0)
        assert sum(len(caller.heard(AskedToMove)) for caller in callers) == 1

    asyncio.run(main())
