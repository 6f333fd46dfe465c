"""Callers that mean harm, on a real node: each is cut off with a reason that it can read, and nobody else notices.

All of them at once beside well-behaved neighbours, who keep talking: no frame of theirs may be missing. How much later
their frames come is measured in tests/bench/bench_hostile.py, for that is the machine's to say, too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any

import jwt
import msgspec
import pytest
from hostile_callers import (
    CUT,
    CUT_WEBSOCKET,
    HARMLESS,
    HOST,
    SERVER_NAME,
    Hostile,
    Neighbour,
    Node,
    floods_handshakes,
    group,
    hostile_websocket,
    running_node,
)
from waiting import eventually

from edge.lab.certificates import write_certificate
from edge.overload.limits import Limits
from edge.quic.packets import CONNECTION_REFUSED
from edge.runtime.calls import CUTS
from edge.voice import Codec, control, mux, varint
from edge.voice.wire import encode_packet

LIMITS = Limits(unread_s=2.0, per_address=12, per_address_per_s=5.0)
NEIGHBOURS = 3
CUT_HERE = len(CUT) - 1
"""A stream too many is for the engine to end."""


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    directory = tmp_path_factory.mktemp("hostile-tls")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    write_certificate(certificate, key, [SERVER_NAME], [ip_address(HOST)])
    return certificate.read_bytes(), key.read_bytes()


def beside_neighbours(
    credentials: tuple[bytes, bytes], story: Callable[[Node], Coroutine[Any, Any, None]], **options: Any
) -> None:
    """Run ``story`` while others talk, and see that they lose nothing."""

    async def main() -> None:
        async with running_node(*credentials, limits=LIMITS, **options) as node:
            neighbours = [await Neighbour.come(node, number) for number in range(NEIGHBOURS)]
            await story(node)
            await asyncio.sleep(0.6)  # they have their say, however short it was
            for neighbour in neighbours:
                await neighbour.leave()
            assert [neighbour.ended for neighbour in neighbours] == [None] * NEIGHBOURS
            assert all(neighbour.is_whole for neighbour in neighbours)
            assert all(neighbour.round_trips_s for neighbour in neighbours)
            assert node.supervisor.restarts == 0
            assert node.counted("engine_errors") == 0

    asyncio.run(asyncio.wait_for(main(), 120))


def test_each_is_cut_off_with_a_reason_and_the_neighbours_lose_nothing(
    credentials: tuple[bytes, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    ends: dict[str, tuple[int, str] | None] = {}

    async def attack(node: Node, number: int, name: str) -> None:
        act, *_ = CUT[name]
        caller = await Hostile.come(node, f"127.0.0.{20 + number}", stingy=name == "reads nothing")
        try:
            async with asyncio.timeout(60):
                await act(caller)
                ended = await caller.ended
            ends[name] = (ended.code, ended.reason)
        except TimeoutError:
            ends[name] = None
        finally:
            caller.leave()

    async def story(node: Node) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number, name in enumerate(CUT):
                tasks.create_task(attack(node, number, name))
        await eventually(lambda: sum(map(node.counted, set(CUTS.values()))) == CUT_HERE)
        assert node.counted("cut_limit") >= 5
        assert node.counted("cut_unauthorized") == 2
        assert node.counted("cut_too_far_behind") == 1
        assert node.counted("cut_protocol_error") == 4

    beside_neighbours(credentials, story)
    wrong = {
        name: end
        for name, end in ends.items()
        if end is None or end[0] != CUT[name][1] or CUT[name][2][:60] not in end[1]
    }
    assert wrong == {}
    log = capfd.readouterr().err
    assert log.count("event=caller_cut") == CUT_HERE
    assert "Traceback" not in log


def test_some_cannot_do_any_harm(credentials: tuple[bytes, bytes]) -> None:
    async def story(node: Node) -> None:
        for number, (name, act) in enumerate(HARMLESS.items()):
            caller = await Hostile.come(node, f"127.0.0.{20 + number}")
            await act(caller)
            assert not caller.is_over, name
            await caller.told("session.created")
            if name == "guesses a call":
                await eventually(lambda caller=caller: len(caller.errors) >= 2)  # type: ignore[misc]
                assert sorted(caller.errors) == ["too_late", "unknown_session"]
            caller.leave()

    beside_neighbours(credentials, story)


@pytest.mark.parametrize("name", CUT_WEBSOCKET)
def test_on_a_websocket_too(credentials: tuple[bytes, bytes], name: str) -> None:
    async def story(node: Node) -> None:
        act, code, reason = CUT_WEBSOCKET[name]
        async with hostile_websocket(node, "127.0.0.20") as caller, asyncio.timeout(30):
            await act(caller)
            await caller.hear_out()
        assert caller.ended is not None
        assert (caller.ended.code, caller.ended.reason) == (code, reason)

    beside_neighbours(credentials, story)


def test_an_address_that_begins_without_end_is_refused_and_others_are_not(
    credentials: tuple[bytes, bytes],
) -> None:
    async def story(node: Node) -> None:
        codes = await floods_handshakes(node, "127.0.0.20", LIMITS.per_address + 10)
        assert codes[: LIMITS.per_address] == [None] * LIMITS.per_address
        assert set(codes[LIMITS.per_address :]) == {CONNECTION_REFUSED}
        other = await Hostile.come(node, "127.0.0.21")
        assert not other.is_over
        other.leave()
        await eventually(lambda: node.counted("crowded") >= 10)
        assert node.counted("crowded") == 10

    beside_neighbours(credentials, story)


def test_a_token_of_rubbish_is_refused_whatever_it_is_made_of(credentials: tuple[bytes, bytes]) -> None:
    keys = json.dumps({"keys": [{"kty": "oct", "kid": "k", "alg": "HS256", "k": "A" * 43}]})
    good = jwt.encode(
        {"exp": 4_000_000_000},
        jwt.PyJWKSet.from_json(keys).keys[0],
        "HS256",
        headers={"kid": "k"},
    )
    nested = jwt.utils.base64url_encode(b'{"kid":' + b"[" * 2000).decode()

    async def main() -> None:
        async with running_node(*credentials, limits=LIMITS, token_keys=keys) as node:
            for number, token in enumerate(["", "a.b.c", nested + ".e30.x", good[:-2], good + "é", None]):
                caller = await Hostile.come(node, f"127.0.0.{30 + number}")
                caller.say(control.SessionUpdate(session={} if token is None else {"token": token}))
                ended = await asyncio.wait_for(caller.ended, 10)
                assert ended.code == 7
                assert "token" in ended.reason
            caller = await Hostile.come(node, "127.0.0.40")
            caller.say(control.SessionUpdate(session={"token": good}))
            await asyncio.sleep(0.5)
            assert not caller.is_over
            caller.leave()
            assert node.supervisor.restarts == 0

    asyncio.run(asyncio.wait_for(main(), 60))


RECORDED = {
    "a minute of Opus": (Codec.OPUS, 60, 600),
    "10 s of PCM": (Codec.PCM16_24K, 960, 100),
}


@pytest.mark.parametrize("what", RECORDED)
@pytest.mark.parametrize("carrier", ["quic", "websocket"])
def test_what_was_recorded_may_be_said_at_once(
    credentials: tuple[bytes, bytes], what: str, carrier: str
) -> None:
    """No limit is in the way of somebody who means well; all of it is counted at the other end."""
    codec, size, groups = RECORDED[what]
    packets = encode_packet(b"x" * size, codec) * 5
    commit = msgspec.json.encode(control.CommitAudio(utterance=1, groups=groups, frames=5 * groups))

    async def by_quic(node: Node) -> dict[str, Any]:
        caller = await Hostile.come(node, "127.0.0.20")
        caller.present()
        for number in range(groups):
            caller.stream(group(1, number, packets, codec), fin=True)
        caller.say(commit)
        committed = await caller.told("input_audio_buffer.committed")
        caller.leave()
        return committed

    async def by_websocket(node: Node) -> dict[str, Any]:
        async with hostile_websocket(node, "127.0.0.20") as caller:
            hearing = asyncio.create_task(caller.hear_out())
            await caller.present()
            for number in range(groups):
                data = group(1, number, packets, codec)
                assert await caller.say(mux.StreamData(2 + 4 * number, data, fin=True))
            await caller.say(mux.StreamData(0, varint.encode(len(commit)) + commit, fin=False))
            committed = await caller.told("input_audio_buffer.committed")
            hearing.cancel()
        return committed

    async def story(node: Node) -> None:
        async with asyncio.timeout(30):
            committed = await {"quic": by_quic, "websocket": by_websocket}[carrier](node)
        assert (committed["frames"], committed.get("lost", 0)) == (5 * groups, 0)

    beside_neighbours(credentials, story)
