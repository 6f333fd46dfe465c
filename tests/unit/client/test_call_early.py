"""Who calls again speaks at once; who may not call is told so."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest

from edge.auth import TokenKeys
from edge.client import CallRefused, audio, connect, speech
from edge.client import tickets as ticket_module
from edge.client.tickets import TicketStore
from edge.errors import UsageError
from edge.keys import KeyRing
from edge.overload import Verdict
from edge.runtime.dialer import NoAnswer, Target

PACKETS = audio.read_speech(speech.recording("hello"))
NAME = "voice.example"
SECRET = b"0123456789abcdef0123456789abcdef"
KEYS = TokenKeys(
    json.dumps(
        {
            "keys": [
                {"kty": "oct", "kid": "k1", "alg": "HS256", "k": base64.urlsafe_b64encode(SECRET).decode()}
            ]
        }
    )
)
OTHER_KEYS = KeyRing.new(bytes(32), datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(autouse=True)
def no_tickets() -> None:
    ticket_module._STORES.clear()


def call_to(world: Any, **options: Any) -> Any:
    return connect(NAME, ca=world.authority.ca, **{"carrier": "quic", **options})


async def say_and_hear(call: Any) -> Any:
    await call.say(PACKETS)
    assert await call.reply()
    return await call.hang_up()


def test_the_second_call_speaks_before_the_first_answer(world: Any) -> None:
    async def main() -> None:
        world.edge()
        loop = asyncio.get_running_loop()
        async with call_to(world) as call:
            assert not (await say_and_hear(call)).legs[0].early_data
        world.network.delay_s = 0.100
        began = loop.time()
        async with call_to(world) as call:
            assert loop.time() == began
            await call.say(PACKETS[:5], faster=True)
            # Heard as soon as the handshake proves that it was no replay, one and a half round trips after the first.
            assert loop.time() - began == pytest.approx(0.4, abs=0.02)
            assert await call.reply()
            await call.ready()
            summary = await call.hang_up()
        assert summary.legs[0].early_data
        assert summary.document()["early_data"] is True
        assert summary.flawless

    world.run(main)


def test_what_a_stranger_to_the_ticket_ignores_is_said_again(world: Any) -> None:
    """The fleet has other keys than those it was issued with: the handshake goes on as if there had been no ticket."""

    async def main() -> None:
        edge = world.edge()
        async with call_to(world) as call:
            await say_and_hear(call)
        edge.restart(OTHER_KEYS)
        async with call_to(world) as call:
            summary = await say_and_hear(call)
        assert not summary.legs[0].early_data
        assert summary.flawless
        assert summary.frames_sent == len(PACKETS)

    world.run(main)


def test_no_answer_to_what_was_said_early_is_an_error_of_what_waits_for_it(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        async with call_to(world) as call:
            await say_and_hear(call)
        edge.dead = True
        async with call_to(world, timeout_s=1.0) as call:
            with pytest.raises(NoAnswer, match="no answer within 1 s"):
                await call.say(PACKETS)
            with pytest.raises(NoAnswer):
                await call.ready()
        assert call.summary().ending == "lost"

    world.run(main)


def test_a_refusal_of_what_was_said_early_is_raised_where_it_is_waited_for(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        async with call_to(world) as call:
            await say_and_hear(call)
        edge.verdict = Verdict.REFUSE
        async with call_to(world) as call:
            with pytest.raises(Exception, match="overloaded") as caught:
                await call.ready()
        assert caught.value.exit_code == 6

    world.run(main)


def test_tickets_outlive_the_process_in_a_file_that_nobody_else_reads(world: Any, tmp_path: Path) -> None:
    path = tmp_path / "tickets.json"

    async def main() -> None:
        world.edge()
        for early in (False, True):
            async with call_to(world, ticket_file=path) as call:
                summary = await say_and_hear(call)
            assert summary.legs[0].early_data is early
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            ticket_module._STORES.clear()  # as another process would find it

    world.run(main)


def test_a_node_that_asks_for_proof_does_not_ask_who_was_there_before(world: Any, tmp_path: Path) -> None:
    """Round trips of its handshake, by calls: the last is from an address that was not there before."""
    path = tmp_path / "tickets.json"
    took = []

    async def main() -> None:
        edge = world.edge()
        edge.verdict = Verdict.RETRY
        for home in ("192.0.2.2", "192.0.2.2", "192.0.2.2", "192.0.2.77"):
            world.network.sources[4] = home
            async with call_to(world, ticket_file=path) as call:
                summary = await say_and_hear(call)
            assert summary.flawless
            took.append(round(summary.legs[0].handshake_ms / 20))
            ticket_module._STORES.clear()  # as another process would find it
        # Two asked, one of them for the second time.
        assert edge.endpoint.counters.retried == 2

    world.run(main)
    assert took == [2, 1, 1, 2]


def test_a_token_is_taken_once(world: Any) -> None:
    store = TicketStore()
    target = Target(host=NAME, insecure=True)
    assert store.take_token(target) == b""
    for token in (b"older", b"newer"):
        store.keep(target, token)
    assert not store.has(target), "it lets nobody speak early"
    assert [store.take_token(target) for _ in range(3)] == [b"newer", b"older", b""]


@pytest.mark.parametrize("content", [b"no tickets", b"[]", b'{"a": 1}'])
def test_a_file_that_holds_no_tickets_is_not_written_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"letter\.txt: holds no tickets"):
        TicketStore(path)
    assert path.read_bytes() == content


def test_a_ticket_from_a_call_that_believed_anybody_opens_no_other(world: Any) -> None:
    """It would let whoever issued it answer without showing a certificate."""
    store = ticket_module.tickets(None)

    async def main() -> None:
        world.edge()
        async with connect(NAME, insecure=True, carrier="quic") as call:
            await say_and_hear(call)

    world.run(main)
    assert store.has(Target(host=NAME, insecure=True))
    assert not store.has(Target(host=NAME))
    assert not store.has(Target(host=NAME, ca=world.authority.ca))


# --- tokens ------------------------------------------------------------------------------------------------


def token(**claims: Any) -> str:
    return jwt.encode({"exp": time.time() + 600, **claims}, SECRET, algorithm="HS256", headers={"kid": "k1"})


def test_a_good_token_gets_a_call_and_goes_on_with_it(world: Any) -> None:
    """It is good for one call, and a call that comes back is the same one."""

    async def main() -> None:
        world.edge(keys=KEYS)
        loop = asyncio.get_running_loop()
        async with call_to(world, token=token(calls=1, jti="one"), early_data=False) as call:
            loop.call_later(1.0, setattr, world.network, "loss", 1.0)
            loop.call_later(5.0, setattr, world.network, "loss", 0.0)
            await asyncio.sleep(8)
            summary = await say_and_hear(call)
        assert summary.resumed == 1
        assert summary.flawless

    world.run(main)


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "asks for a token"),
        ({"token": "no token"}, "token is not valid"),
        ({"token": token(exp=1.0)}, "token"),
        ({"token": token(backend="other")}, "other"),
        ({"token": token(), "backend": "nobody"}, "'nobody' may not be chosen here; there are echo"),
    ],
    ids=["none", "nonsense", "expired", "for another backend", "unknown backend"],
)
def test_who_may_not_call_is_told_why_and_that_it_is_final(
    world: Any, options: dict[str, Any], message: str
) -> None:
    async def main() -> None:
        edge = world.edge(keys=KEYS)
        with pytest.raises(CallRefused, match=message) as caught:
            async with call_to(world, early_data=False, **options):
                raise AssertionError("connected")
        assert caught.value.exit_code == 6
        await asyncio.sleep(10)
        assert edge.endpoint.counters.handshakes_completed == 1

    world.run(main)


def test_a_token_that_is_not_good_any_more_ends_a_call_that_spoke_early(world: Any) -> None:
    async def main() -> None:
        world.edge(keys=KEYS)
        once = token(calls=1, jti="two")
        async with call_to(world, token=once) as call:
            await say_and_hear(call)
        async with call_to(world, token=once) as call:
            with pytest.raises(CallRefused, match="has had all the calls"):
                await call.say(PACKETS)
        assert call.summary().ending == "refused"

    world.run(main)
