"""Calls where UDP does not get through, on real sockets of this machine."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from edge.backend.story import recording
from edge.client import CallRefused, audio, connect, scouting, speech, websocket_leg, whereabouts
from edge.client import tickets as ticket_module
from edge.client.leg import QuicLeg
from edge.errors import EdgeError
from edge.overload import Gate
from edge.runtime.dialer import CertificateRejected, NoAnswer, ServerBusy
from edge.runtime.messages import AuthSettings

PACKETS = audio.read_speech(speech.recording("hello"))[:40]
KEYS = '{"keys": [{"kty": "oct", "kid": "k1", "alg": "HS256", "k": "%s"}]}' % ("A" * 43)


@pytest.fixture(autouse=True)
def no_tickets() -> None:
    ticket_module._STORES.clear()


def call_to(edge: Any, authority: Any, **options: Any) -> Any:
    return connect("127.0.0.1", edge.port, **{"server_name": "voice.example", "ca": authority.ca, **options})


def test_a_websocket_takes_over_where_udp_is_a_black_hole(start: Any, authority: Any) -> None:
    edge = start(udp=False)

    async def main() -> None:
        async with call_to(edge, authority) as call:
            await call.say(PACKETS)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert summary.last.carrier == "websocket"
        assert summary.last.path == f"127.0.0.1:{edge.port}"
        assert len(summary.legs) == 1

    asyncio.run(main())


def test_what_was_said_early_to_a_black_hole_is_said_again(start: Any, authority: Any) -> None:
    """The ticket is from better days; the first words went nowhere, and are heard all the same."""
    good = start()

    async def before() -> None:
        async with call_to(good, authority) as call:
            await call.say(PACKETS[:5])

    async def main(edge: Any) -> None:
        async with call_to(edge, authority, deadline=(None, None)) as call:
            await call.say(PACKETS)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert (summary.last.carrier, len(summary.legs)) == ("websocket", 1)
        assert summary.frames_sent == len(PACKETS)

    asyncio.run(before())
    asyncio.run(main(start(udp=False)))


def test_a_call_on_the_service_address_is_led_away_from_it(start: Any, authority: Any) -> None:
    """TCP cannot be passed on between nodes: when the route moves, such a connection ends."""
    edge = start(udp=False, backend="story", unicast_goaway=True)

    async def main() -> None:
        call = call_to(edge, authority)
        heard = call.record()
        async with call:
            assert await call.reply()
            summary = await call.hang_up()
        assert [packet for packet in heard.packets if packet] == list(recording())
        assert summary.flawless
        assert [leg.path for leg in summary.legs] == [f"127.0.0.{host}:{edge.port}" for host in (1, 2)]
        assert [(move.reason, move.elsewhere) for move in summary.moves] == [("anycast", False)]

    asyncio.run(main())


def test_quic_is_preferred_where_both_are(loopback: Any, authority: Any) -> None:
    async def main() -> None:
        async with call_to(loopback, authority) as call:
            assert call.summary().last.carrier == "quic"

    asyncio.run(main())


def test_an_answer_on_a_websocket_goes_on_after_a_cut(start: Any, authority: Any) -> None:
    edge = start(udp=False, backend="story")

    async def main() -> None:
        call = call_to(edge, authority, carrier="websocket")
        heard = call.record()
        async with call:
            await call.played(1.0)
            (carrier,) = [carrier for web in edge.worker._webs for carrier in web._carriers]
            edge.do(carrier._ws._req.transport.abort)
            await call.played(3.0)
            call.interrupt()
            assert await call.reply()
            summary = await call.hang_up()
        assert (summary.resumed, summary.reconnects) == (1, 1)
        assert summary.flawless
        packets = [packet for packet in heard.packets if packet]
        assert packets == list(recording())[: len(packets)]
        assert len(packets) >= 150

    asyncio.run(main())


def test_an_interruption_on_a_websocket_adds_up(start: Any, authority: Any) -> None:
    edge = start(udp=False, backend="story")

    async def main() -> None:
        async with call_to(edge, authority, carrier="websocket") as call:
            await call.played(1.0)
            call.interrupt()
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.barge_ins[0].adds_up
        assert summary.barge_ins[0].within_lead
        assert summary.flawless

    asyncio.run(main())


def test_a_call_that_is_over_has_left_nothing_open(
    start: Any, authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ends its event loop then has none of our transports in it."""
    edge = start(udp=False)
    opened: list[socket.socket] = []
    real = websocket_leg._Http._open

    def noted(http: Any, address: Any) -> socket.socket:
        opened.append(real(http, address))
        return opened[-1]

    monkeypatch.setattr(websocket_leg._Http, "_open", noted)

    async def main() -> None:
        async with call_to(edge, authority, carrier="websocket"):
            assert [sock.fileno() >= 0 for sock in opened] == [True]
        assert [sock.fileno() for sock in opened] == [-1]
        with pytest.raises(CallRefused):
            async with call_to(edge, authority, carrier="websocket", backend="nobody"):
                pass
        assert [sock.fileno() for sock in opened] == [-1, -1]

    asyncio.run(main())


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"server_name": "other.example"}, CertificateRejected, "--server-name"),
        ({"ca": None}, CertificateRejected, "--ca"),
        ({"backend": "nobody"}, CallRefused, "there are echo, story"),
        ({"carrier": "quic", "timeout_s": 0.5}, EdgeError, "no answer within 0.5 s over UDP"),
    ],
    ids=["name", "ca", "backend", "quic only"],
)
def test_who_cannot_be_called_is_told_why(
    start: Any, authority: Any, options: dict[str, Any], error: type[EdgeError], message: str
) -> None:
    edge = start(udp=False)

    async def main() -> None:
        with pytest.raises(error, match=message):
            async with call_to(edge, authority, **options):
                raise AssertionError("connected")

    asyncio.run(main())


def test_a_busy_node_is_not_asked_again_over_tcp(loopback: Any, authority: Any) -> None:
    loopback.worker.gate = Gate(refuse_probability=1.0)

    async def main() -> None:
        with pytest.raises(ServerBusy):
            async with call_to(loopback, authority):
                raise AssertionError("connected")

    asyncio.run(main())
    assert loopback.worker.report().counters["tcp_accepted"] == 0


def test_a_token_is_asked_for_over_tcp_as_well(start: Any, authority: Any) -> None:
    edge = start(udp=False, auth=AuthSettings(KEYS, None, ()))

    async def main() -> None:
        with pytest.raises(CallRefused, match="asks for a token"):
            async with call_to(edge, authority):
                raise AssertionError("connected")

    asyncio.run(main())


def test_a_call_goes_back_to_udp_when_that_gets_through(
    loopback: Any, authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks now and then; and nothing is lost, nor said twice, on the way over and back."""
    dial, blocked = QuicLeg.dial, [True]

    async def through_the_firewall(*args: Any, **options: Any) -> Any:
        if blocked[0]:
            raise NoAnswer("no answer")
        return await dial(*args, **options)

    monkeypatch.setattr(QuicLeg, "dial", through_the_firewall)
    monkeypatch.setattr(scouting, "QUIC_AGAIN_S", 0.2)

    async def main() -> None:
        async with call_to(loopback, authority, deadline=(None, None)) as call:
            assert call.summary().last.carrier == "websocket"
            asyncio.get_running_loop().call_later(0.5, blocked.__setitem__, 0, False)
            await call.say(PACKETS * 2)
            assert await call.reply()
            async with asyncio.timeout(10):  # the third look at the latest
                while call.summary().last.carrier != "quic":  # noqa: ASYNC110 - it tells, but not to who listens late
                    await asyncio.sleep(0.05)
            await call.say(PACKETS)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert [leg.carrier for leg in summary.legs] == ["websocket", "quic"]
        assert (len(summary.sessions), summary.legs[1].resumed) == (1, True)
        assert summary.frames_heard_by_edge == 3 * len(PACKETS)

    asyncio.run(main())


def test_a_call_over_tcp_whose_address_is_gone_does_not_wait_for_tcp(
    loopback: Any, authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TCP would go on sending from where nobody is for ten seconds."""
    looked = ["127.0.0.1", "192.0.2.66"]

    async def source_towards(_host: str) -> str | None:
        return looked.pop(0) if len(looked) > 1 else looked[0]

    monkeypatch.setattr(whereabouts, "source_towards", source_towards)

    async def main() -> None:
        async with call_to(loopback, authority, carrier="websocket", deadline=(None, None)) as call:
            await call.say(PACKETS * 2)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.flawless
        assert (summary.reconnects, summary.resumed, len(summary.sessions)) == (1, 1, 1)
        assert summary.frames_heard_by_edge == 2 * len(PACKETS)

    asyncio.run(main())
