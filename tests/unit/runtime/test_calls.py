"""Calls with backends that fail in every way a backend can: each with its own, none with the worker.

Caller and worker face each other with nothing between them, in virtual time; both ends are the real ones.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from itertools import count, pairwise
from typing import Any

import jwt
import pytest
from unit.runtime.call_site import SPEECH, STEP_S, Backend, Site, choosing

from edge.auth import TokenKeys
from edge.backend.base import (
    BackendContext,
    BackendInput,
    BackendReply,
    Committed,
    Control,
    ItemBegun,
    ItemEnded,
    ItemFrames,
)
from edge.quic import (
    ConnectionClosed,
)
from edge.runtime import call as call_module
from edge.runtime import calls as module
from edge.runtime.call import PRESENT_WITHIN_S
from edge.voice.downlink import CHUNK_MS, RING_MS
from edge.voice.errors import Code
from edge.voice.events import ErrorReceived, ItemDone, SessionReady, StatsReceived
from edge.voice.frame import FRAME_MS, Frame
from edge.voice.ledger import FrameLedger


class Mute(Backend):
    """Hears, and never answers."""

    async def replies(self) -> AsyncIterator[BackendReply]:
        await asyncio.Event().wait()
        yield ItemBegun(1)


class Deaf(Backend):
    """Breaks at the first thing that it hears."""

    def hear(self, frames: Sequence[Frame]) -> None:
        raise ConnectionError("the model is gone")


class BreaksAtCommit(Backend):
    """Is in the middle of an answer by then."""

    def notify(self, event: BackendInput) -> None:
        if isinstance(event, Committed):
            raise KeyError("turn")
        super().notify(event)


class BreaksWhileSpeaking(Backend):
    async def replies(self) -> AsyncIterator[BackendReply]:
        yield ItemBegun(1)
        frames = [Frame(1, seq, seq * FRAME_MS, b"speech") for seq in range(3)]
        self.said.record(frames)
        yield ItemFrames(1, frames)
        raise TimeoutError("the model is slow")


class SaysWhatNobodyCan(Backend):
    """Its frames are of no size that Opus has."""

    async def replies(self) -> AsyncIterator[BackendReply]:
        yield ItemBegun(1)
        yield ItemFrames(1, [Frame(1, 0, 0, b"")])
        yield ItemEnded(1)


class CannotClose(Backend):
    async def close(self) -> None:
        raise OSError("already closed")


class Endless(Backend):
    """Has an hour ready, and never lets go of the event loop to give it."""

    async def replies(self) -> AsyncIterator[BackendReply]:
        yield ItemBegun(1)
        chunk = CHUNK_MS // FRAME_MS
        for start in range(0, 3_600_000 // FRAME_MS, chunk):
            frames = [Frame(1, seq, seq * FRAME_MS, b"speech") for seq in range(start, start + chunk)]
            self.said.record(frames)
            yield ItemFrames(1, frames)


@pytest.mark.parametrize(
    "kind, name",
    [
        (Deaf, "ConnectionError"),
        (BreaksAtCommit, "KeyError"),
        (BreaksWhileSpeaking, "TimeoutError"),
        (SaysWhatNobodyCan, "ValueError"),
    ],
)
def test_a_backend_that_breaks_ends_its_turn_and_not_the_call(
    settings: Any, kind: type[Backend], name: str
) -> None:
    async def main() -> None:
        make, made = choosing(kind, Backend, Backend)
        site = Site(settings, make)
        unlucky, other = await site.caller(), await site.caller()
        for _ in range(2):
            for caller in (unlucky, other):
                caller.session.send_frames(SPEECH, site.now)
            await site.pass_time(0.2)
            for caller in (unlucky, other):
                caller.session.commit(site.now)
            await site.pass_time(1.0)
        # Told once, and no item is left open for the caller to wait for.
        (error,) = unlucky.heard(ErrorReceived)
        assert (error.code, error.message) == ("backend_failed", f"the backend failed: {name}")
        # The next turn was answered by another, whose items go on from those of the first.
        answers = [done.item for done in unlucky.heard(ItemDone)]
        assert answers == ([1] if kind is Deaf else [1, 2])
        assert len(made) == 3
        unlucky.session.request_stats()
        await site.pass_time(0.1)
        (stats,) = unlucky.heard(StatsReceived)
        assert stats.said == unlucky.session.heard.count()
        assert not unlucky.connection.closed
        # Nobody else has noticed anything.
        assert len(other.heard(ItemDone)) == 2
        assert other.heard(ErrorReceived) == []
        assert made[1].heard.count() == other.session.said.count()
        assert len(site.table) == 2
        await site.table.close()
        assert made[0].closed
        assert made[2].closed

    asyncio.run(main())


def test_a_backend_that_never_answers_is_heard_out_and_given_back(settings: Any) -> None:
    async def main() -> None:
        make, made = choosing(Mute)
        site = Site(settings, make)
        caller = await site.caller()
        caller.say()
        await site.pass_time(5.0)
        assert made[0].heard.count() == caller.session.said.count()
        assert caller.heard(ItemDone) == caller.heard(ErrorReceived) == []
        caller.session.close(Code.OK, "hung up")
        await site.pass_time(0.1)
        assert len(site.table) == 0
        assert made[0].closed
        await site.table.close()

    asyncio.run(main())


def test_a_backend_that_cannot_be_made_costs_that_call_alone(settings: Any) -> None:
    def make(context: BackendContext) -> Backend:
        if context.call_id == "sess_1":
            raise FileNotFoundError("model.bin")
        return Backend(context)

    async def main() -> None:
        site = Site(settings, make)
        refused, served = await site.caller(), await site.caller()
        (closed,) = refused.heard(ConnectionClosed)
        assert (closed.code, closed.by_application) == (Code.SESSION_CLOSED, True)
        assert closed.reason == "no backend for this call: FileNotFoundError"
        served.say()
        await site.pass_time(1.0)
        assert len(served.heard(ItemDone)) == 1
        assert len(site.table) == 1
        await site.table.close()

    asyncio.run(main())


def test_a_backend_that_cannot_be_closed_does_not_keep_others_from_it(settings: Any) -> None:
    async def main() -> None:
        make, made = choosing(CannotClose, CannotClose, Backend)
        site = Site(settings, make)
        leaving = await site.caller()
        for _ in range(2):
            await site.caller()
        leaving.session.close(Code.OK, "hung up")
        await site.pass_time(0.1)
        await site.table.close()
        assert made[2].closed

    asyncio.run(main())


def test_a_backend_is_pulled_no_faster_than_it_is_heard(settings: Any) -> None:
    async def main() -> None:
        make, made = choosing(Endless)
        site = Site(settings, make)
        await site.caller()
        await site.pass_time(1.0)
        pulled_ms = made[0].said.frames * FRAME_MS
        assert RING_MS <= pulled_ms <= RING_MS + 3 * CHUNK_MS  # the ring, and what is on its way to the ear
        await site.pass_time(5.0)
        more_ms = made[0].said.frames * FRAME_MS - pulled_ms
        assert 3 * CHUNK_MS <= more_ms <= 7 * CHUNK_MS
        await site.table.close()

    asyncio.run(main())


def test_ended_calls_are_remembered_as_they_were_and_only_so_many(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)

    async def main() -> None:
        site = Site(settings, Backend)
        said = []
        for number in range(3):
            caller = await site.caller()
            caller.say(SPEECH[: 5 + number])
            await site.pass_time(1.0)
            said.append(caller.session.said.count())
            caller.session.close(Code.OK, "hung up")
            await site.pass_time(0.1)
        standing = await site.caller()
        records = site.table.records()
        assert [record.call_id for record in records] == ["sess_2", "sess_3", "sess_4"]
        assert [record.ended for record in records] == [True, True, False]
        assert [record.heard for record in records] == [*said[1:], FrameLedger().count()]
        assert [record.said for record in records[:2]] == said[1:]
        assert {(record.outcome, record.worker) for record in records} == {("direct", 3)}
        assert records[2].age_s == pytest.approx(0.1, abs=3 * STEP_S)
        standing.connection.close()
        await site.table.close()

    asyncio.run(main())


def test_counters_only_grow_whoever_comes_and_goes(settings: Any) -> None:
    async def main() -> None:
        site = Site(settings, Backend)
        seen = [site.table.counters()]
        first, second = await site.caller(), await site.caller()
        for caller in (first, second, first):
            caller.say()
            await site.pass_time(0.5)
            seen.append(site.table.counters())
        for caller in (first, second):
            caller.session.close(Code.OK, "hung up")
            await site.pass_time(0.1)
            seen.append(site.table.counters())
        for before, after in pairwise(seen):
            assert before.keys() == after.keys()
            assert all(before[name] <= after[name] for name in before)
        assert seen[-1]["frames_heard"] == seen[-1]["frames_said"] == 3 * len(SPEECH)
        await site.table.close()

    asyncio.run(main())


# From the first sign of a caller to its end


KEYS = json.dumps({"keys": [{"kty": "oct", "kid": "k", "alg": "HS256", "k": "A" * 43}]})


def signed(**claims: Any) -> str:
    key = jwt.PyJWKSet.from_json(KEYS).keys[0]
    return jwt.encode({"exp": time.time() + 60, **claims}, key, "HS256", headers={"kid": "k"})


def test_nothing_is_done_for_a_caller_without_a_good_token(settings: Any) -> None:
    async def main() -> None:
        make, made = choosing(Backend)
        site = Site(settings, make, keys=TokenKeys(KEYS))
        refused = await site.caller(token="nonsense")
        (closed,) = refused.heard(ConnectionClosed)
        assert (closed.code, closed.by_application) == (Code.UNAUTHORIZED, True)
        assert "not valid" in closed.reason
        assert made == []
        served = await site.caller(token=signed(sub="ada"))
        served.say()
        await site.pass_time(1.0)
        assert len(served.heard(ItemDone)) == 1
        assert len(made) == len(site.table) == 1
        await site.table.close()

    asyncio.run(main())


def test_the_backend_learns_what_the_token_says(settings: Any) -> None:
    claims: list[Any] = []

    def make(context: BackendContext) -> Backend:
        claims.append(context.claims)
        return Backend(context)

    async def main() -> None:
        site = Site(settings, make, keys=TokenKeys(KEYS))
        await site.caller(token=signed(sub="ada"))
        assert claims[0]["sub"] == "ada"
        await site.table.close()

    asyncio.run(main())


def test_a_backend_that_may_not_be_chosen_ends_the_call_and_says_what_may(settings: Any) -> None:
    async def main() -> None:
        site = Site(settings, Backend)
        (closed,) = (await site.caller(backend="other")).heard(ConnectionClosed)
        assert closed.code == Code.UNAUTHORIZED
        assert "'other' may not be chosen here; there are it" in closed.reason
        await site.table.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "host, url", [("192.0.2.9", "https://192.0.2.1:443"), ("2001:db8::9", "https://[2001:db8::1]:443")]
)
def test_a_caller_is_told_an_address_that_it_can_call(settings: Any, host: str, url: str) -> None:
    async def main() -> list[str]:
        site = Site(
            settings,
            Backend,
            unicast_url="https://192.0.2.1:443",
            unicast_url_v6="https://[2001:db8::1]:443",
        )
        caller = await site.caller(host=host)
        await site.table.close()
        return [ready.unicast_url for ready in caller.heard(SessionReady)]

    assert asyncio.run(main()) == [url]


def test_who_connects_and_says_nothing_is_sent_away(settings: Any) -> None:
    async def main() -> None:
        make, made = choosing()
        site = Site(settings, make)
        silent = await site.caller(mute=True)
        await site.pass_time(PRESENT_WITHIN_S - 0.3)
        assert silent.heard(ConnectionClosed) == []
        await site.pass_time(0.5)
        (closed,) = silent.heard(ConnectionClosed)
        assert (closed.code, closed.reason) == (Code.UNAUTHORIZED, "no session.update within 5 s")
        assert made == []
        assert len(site.table) == 0
        await site.table.close()

    asyncio.run(main())


def test_a_caller_that_comes_back_goes_on_where_it_was(settings: Any) -> None:
    """In the middle of an answer, and of what it says itself; nothing is heard twice and nothing is missing."""

    async def main() -> None:
        make, made = choosing(Backend)
        site = Site(settings, make)
        caller = await site.caller()
        caller.say(SPEECH * 20)
        await site.pass_time(0.5)  # the lead: half of the answer is still at the edge
        caller.session.send_frames(SPEECH, site.now)
        assert caller.heard(ItemDone) == []
        before = caller.session.heard.frames
        await site.come_back(caller)
        await site.pass_time(1.0)
        caller.session.commit(site.now)
        await site.pass_time(6.0)
        assert before < caller.session.heard.frames == 21 * len(SPEECH)
        assert caller.session.heard.count() == made[0].said.count()
        assert caller.session.said.count() == made[0].heard.count()
        assert site.table.counters()["resumed"] == 1
        assert len(site.table) == 1
        await site.table.close()

    asyncio.run(main())


def test_a_connection_that_was_not_missed_gives_way_to_the_new_one(settings: Any) -> None:
    """A caller whose network changed is often back before the edge has noticed that it was away."""

    async def main() -> None:
        site = Site(settings, Backend)
        caller = await site.caller()
        caller.say()
        await site.pass_time(0.1)
        await site.come_back(caller, unnoticed=True)
        await site.pass_time(1.0)
        assert len(caller.heard(ItemDone)) == 1
        assert len(site.endpoint.connections) == 1
        assert len(site.table) == 1
        await site.table.close()

    asyncio.run(main())


@pytest.mark.parametrize("resume_s, waits", [(2.0, True), (0.0, False)])
def test_a_call_waits_for_its_caller_only_so_long(settings: Any, resume_s: float, waits: bool) -> None:
    async def main() -> None:
        make, made = choosing(Backend, Backend)
        site = Site(settings, make, resume_s=resume_s)
        caller = await site.caller()
        caller.connection.close(Code.GOING_AWAY, "lost")
        await site.pass_time(1.5)
        assert (len(site.table), made[0].closed) == ((1, False) if waits else (0, True))
        await site.pass_time(1.0)
        assert (len(site.table), made[0].closed) == (0, True)
        # Back too late: there is another call, and it is told so.
        await site.come_back(caller)
        await site.pass_time(0.2)
        assert [error.code for error in caller.heard(ErrorReceived)] == ["unknown_session"]
        assert len(site.table) == 1
        assert len(made) == 2
        await site.table.close()

    asyncio.run(main())


def test_the_last_words_before_a_caller_hangs_up_are_heard(settings: Any) -> None:
    """All of it comes in one turn of the worker, as it does when a machine is busy."""

    async def main() -> None:
        make, made = choosing(Backend)
        site = Site(settings, make)
        caller = await site.caller()
        caller.session.send_frames(SPEECH, site.now)
        site._carry_from(caller)
        caller.connection.close()
        await site.pass_time(0.1)
        assert made[0].heard.frames == len(SPEECH)
        assert made[0].closed
        assert site.table.counters()["frames_heard"] == len(SPEECH)
        await site.table.close()

    asyncio.run(main())


def test_a_caller_that_hangs_up_is_not_waited_for(settings: Any) -> None:
    async def main() -> None:
        make, made = choosing(Backend)
        site = Site(settings, make)
        caller = await site.caller()
        caller.session.close(Code.OK, "bye")
        await site.pass_time(0.1)
        assert (len(site.table), made[0].closed) == (0, True)
        await site.table.close()

    asyncio.run(main())


def test_a_caller_that_does_not_read_is_cut_off_with_a_reason(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(call_module, "MAX_UNSENT_BYTES", 1000)

    class Chatty(Backend):
        """Has more to say by event than anybody reads."""

        async def replies(self) -> AsyncIterator[BackendReply]:
            for number in count():
                yield Control({"type": "x", "text": "y" * 2000, "number": number})
                await asyncio.sleep(0)

    async def main() -> None:
        make, made = choosing(Chatty, Backend)
        site = Site(settings, make)
        await site.caller(deaf=True)
        await site.caller()
        await site.pass_time(2.0)
        assert made[0].closed
        assert len(site.table) == 1
        assert "does not read" in caplog.text
        await site.table.close()

    caplog.set_level(logging.INFO, "edge.calls")
    asyncio.run(main())
