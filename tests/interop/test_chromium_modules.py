"""The browser client's modules, run in a real browser: bytes against the Python wire, and its small state machines.

One browser for all of it. `page_checks.js` has the JavaScript half; what is right is judged here.
"""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from interop.chromium import Chromium, Page

from edge.backend.opus import Encoder
from edge.voice import Codec, Frame, FrameLedger, mux, records, varint, wire

pytestmark = pytest.mark.needs("chromium")

ROOT = Path(__file__).resolve().parents[2]
SEED = 20
VARINTS = [0, 1, 37, 63, 64, 15293, 16383, 16384, 494878333, 2**30 - 1, 2**30, 2**32, 2**53 - 1]
PACKETS = [b"\x78", b"\x78\x01\x02", bytes(range(200)), b"\xff" * 1276]
T = TypeVar("T")


@asynccontextmanager
async def page_with_checks(profile: Path) -> AsyncIterator[Page]:
    app = web.Application()
    checks = Path(__file__).with_name("page_checks.js")

    async def serve_checks(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(checks)

    app.router.add_get("/checks.js", serve_checks)
    app.router.add_get("/voice", _accept_websocket)
    app.router.add_static("/", ROOT / "edge" / "web")
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with Chromium.started(profile) as browser:
            yield await browser.open(f"http://127.0.0.1:{port}/icon.svg")
    finally:
        await runner.cleanup()


async def _accept_websocket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(protocols=("edge-voice-1",))
    await ws.prepare(request)
    await ws.receive()
    return ws


class Checks:
    """Calls the functions of `page_checks.js` by name."""

    def __init__(self, run: Callable[[Callable[[Page], Awaitable[Any]]], Any]) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def check(*args: Any) -> Any:
            call = f"import('/checks.js').then((checks) => checks.{name}(...{json.dumps(args)}))"
            return self._run(lambda page: page.evaluate(call))

        return check


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with asyncio.Runner() as runner:
        context = page_with_checks(tmp_path_factory.mktemp("chromium"))
        page = runner.run(context.__aenter__())

        async def on(step: Callable[[Page], Awaitable[Any]]) -> Any:
            return await step(page)

        yield Checks(lambda step: runner.run(on(step)))
        runner.run(context.__aexit__(None, None, None))


# --- bytes -----------------------------------------------------------------------------------------------


def test_integers_are_those_of_the_edge(checks: Checks) -> None:
    assert checks.varints(VARINTS) == [varint.encode(value).hex() for value in VARINTS]
    encodings = [varint.encode(value) for value in VARINTS] + [b"\x40\x25", b"\xc0" + bytes(6) + b"\x07"]
    assert checks.varintsRead([data.hex() for data in encodings]) == [
        list(varint.decode(data) or ()) for data in encodings
    ]
    assert checks.varintsRead(["", "40", "80000000"[:-2], "c0" * 7]) == [None] * 4


def test_what_is_written_is_what_the_edge_writes(checks: Checks) -> None:
    datagrams = [
        wire.AudioDatagram(3, 70, 1400, (PACKETS[1],)),
        wire.AudioDatagram(1, 1, 20, (PACKETS[2], PACKETS[0])),
    ]
    reports = [wire.PlayoutReport(0, 0, 0, 0, 0, 0), wire.PlayoutReport(7, 64000, 980, 2, 640, 2**31)]
    events: list[dict[str, Any]] = [
        {"type": "edge.stats"},
        {"type": "session.update", "session": {"x": "é" * 9000}},
    ]
    frames: list[tuple[list[Any], mux.Frame]] = [
        ([0x08, [0], "6869"], mux.StreamData(0, b"hi", fin=False)),
        ([0x09, [2], ""], mux.StreamData(2, b"", fin=True)),
        ([0x04, [402, 2], ""], mux.StreamReset(402, 2)),
        ([0x05, [3, 1], ""], mux.StreamStopped(3, 1)),
        ([0x30, [], "04"], mux.DatagramFrame(b"\x04")),
        ([0x1D, [16], "c3a9"], mux.Close(16, "é")),
    ]
    written = checks.encoded(
        {
            "group": {"unit": 2, "group": 900, "pts_ms": 90000, "codec": 1},
            "item": {"response": 4, "unit": 4, "content_index": 0, "pts0_ms": 1280, "codec": 1},
            "datagrams": [
                {
                    "unit": datagram.utterance,
                    "seq": datagram.seq,
                    "pts_ms": datagram.pts_ms,
                    "packets": [packet.hex() for packet in datagram.packets],
                }
                for datagram in datagrams
            ],
            "reports": [
                {name: getattr(report, name) for name in report.__dataclass_fields__} for report in reports
            ],
            "records": events,
            "frames": [form for form, _ in frames],
        }
    )
    assert written == {
        "group": wire.encode_header(wire.GroupHeader(2, 900, 90000, Codec.OPUS)).hex(),
        "item": wire.encode_header(wire.ItemHeader(4, 4, 0, 1280, Codec.OPUS)).hex(),
        "datagrams": [wire.encode_datagram(datagram).hex() for datagram in datagrams],
        "reports": [wire.encode_datagram(report).hex() for report in reports],
        "records": [records.encode(event).hex() for event in events],
        "frames": [mux.encode(frame).hex() for _, frame in frames],
    }


@pytest.mark.parametrize("size", [1, 3, 100_000])
def test_what_the_edge_writes_is_read(checks: Checks, size: int) -> None:
    packets = b"".join(wire.encode_packet(packet, Codec.OPUS) for packet in PACKETS)
    group = wire.encode_header(wire.GroupHeader(9, 7, 700, Codec.OPUS)) + packets
    item = wire.encode_header(wire.ItemHeader(4, 4, 0, 1280, Codec.OPUS)) + packets
    expected = [packet.hex() for packet in PACKETS]
    for data, unit, first, kind in ((group, 9, 35, 1), (item, 4, 64, 2)):
        assert checks.stream(data.hex(), size)["value"] == {
            "header": {"kind": kind, "unit": unit, "first": first, "codec": 1},
            "packets": expected,
        }
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
        {"type": "é"},
    ]
    said = b"".join(records.encode(event) for event in events)
    assert checks.records(said.hex(), size)["value"] == events
    datagram = wire.AudioDatagram(3, 70, 1400, (PACKETS[1], PACKETS[0]))
    assert checks.datagram(wire.encode_datagram(datagram).hex())["value"] == {
        "unit": 3,
        "seq": 70,
        "pts_ms": 1400,
        "packets": [PACKETS[1].hex(), PACKETS[0].hex()],
    }
    assert checks.frame(mux.encode(mux.StreamData(7, b"abc", fin=True)).hex())["value"] == [9, [7], "616263"]


def test_broken_bytes_end_in_an_error_that_says_so(checks: Checks) -> None:
    """Random bytes, and good ones with some changed: an edge that goes mad must not take the page with it."""
    dice = random.Random(SEED)
    good = [
        wire.encode_header(wire.GroupHeader(1, 0, 0, Codec.OPUS))
        + wire.encode_packet(PACKETS[1], Codec.OPUS),
        wire.encode_header(wire.ItemHeader(1, 1, 0, 0, Codec.OPUS)),
        wire.encode_datagram(wire.AudioDatagram(1, 1, 20, (PACKETS[0], PACKETS[0]))),
        records.encode({"type": "edge.stats"}),
        mux.encode(mux.StreamReset(3, 2)),
    ]
    broken = [dice.randbytes(dice.randrange(1, 40)) for _ in range(1500)]
    for _ in range(1500):
        mutated = bytearray(dice.choice(good))
        mutated[dice.randrange(len(mutated))] = dice.randrange(256)
        broken.append(bytes(mutated[: dice.randrange(1, len(mutated) + 1)]))
    assert checks.survives([data.hex() for data in broken]) == []


def test_both_ends_count_frames_alike(checks: Checks) -> None:
    frames = [Frame(1 + seq // 50, seq % 50, 0, bytes([seq % 251]) * (1 + seq % 90)) for seq in range(300)]
    ledger = FrameLedger()
    ledger.record(frames)
    count = checks.ledger([[frame.utterance, frame.seq, frame.payload.hex()] for frame in frames])
    expected = ledger.count()
    assert (count["frames"], count["bytes"], count["digest"]) == (
        expected.frames,
        expected.bytes,
        expected.digest,
    )
    assert count["lost"] == 0


# --- what is heard ---------------------------------------------------------------------------------------


def test_the_ring_waits_for_120_ms_and_counts_a_gap_when_speech_goes_on(checks: Checks) -> None:
    script = [["push", 1, 100], ["play", 20], ["push", 1, 40], ["play", 200], ["push", 1, 60], ["play", 40]]
    result = checks.ring([*script, ["end", 1], ["play", 100]])
    waiting, dry, still_waiting, over = result["seen"]
    assert (waiting["playing"], waiting["buffered_ms"]) == (False, 0)
    assert (dry["played_ms"], dry["playing"], dry["underruns"]) == (140, False, 0)
    assert (still_waiting["played_ms"], still_waiting["buffered_ms"]) == (140, 0)
    assert (over["played_ms"], over["underruns"]) == (200, 1)
    assert 90 <= over["underrun_ms"] <= 110


def test_silence_behind_the_last_word_is_no_underrun(checks: Checks) -> None:
    result = checks.ring(
        [["push", 1, 140], ["play", 300], ["end", 1], ["push", 2, 40], ["end", 2], ["play", 100]]
    )
    assert result["seen"][-1]["item"] == 2
    assert result["seen"][-1]["played_ms"] == 40
    assert result["seen"][-1]["underruns"] == 0


def test_items_follow_without_a_pause_and_are_reported_as_one_stretch(checks: Checks) -> None:
    script = [["push", 1, 200], ["end", 1], ["push", 2, 100], ["end", 2], ["play", 10]]
    assert 285 <= checks.ring(script)["seen"][-1]["buffered_ms"] <= 290


@pytest.mark.parametrize("verb", ["pause", "flush"])
def test_an_interruption_is_silent_within_one_block_and_does_not_click(checks: Checks, verb: str) -> None:
    result = checks.ring([["push", 1, 500], ["play", 100], [verb], ["play", 100], ["resume"], ["play", 100]])
    before, silent, after = result["seen"]
    assert before["sound_ms"] > 95
    assert silent["sound_ms"] <= 3
    assert silent["held_ms"] == (before["held_ms"] if verb == "pause" else 0)
    assert silent["played_ms"] == before["played_ms"]
    assert (after["sound_ms"] > 95) == (verb == "pause")
    assert result["jump"] < 0.02


def test_a_lost_frame_is_silence_that_fades(checks: Checks) -> None:
    result = checks.ring([["push", 1, 200], ["lose", 1, 20], ["push", 1, 200], ["end", 1], ["play", 500]])
    assert result["seen"][-1]["played_ms"] == 420
    assert 390 <= result["seen"][-1]["sound_ms"] <= 401
    assert result["jump"] < 0.02


def test_the_ring_is_bounded(checks: Checks) -> None:
    assert checks.ring([["push", 1, 10_000], ["push", 1, 10_000]])["dropped"] == 8000 * 48


def test_an_answer_that_comes_all_at_once_is_played_to_its_end(checks: Checks) -> None:
    """As a node writes it that lets a call go."""
    result = checks.feed(3000)
    assert result["got"] == [*range(3000), "end"]
    assert 7000 < result["most"] <= 8000
    assert (result["dropped"], result["played_ms"]) == (0, 60_000)


def test_the_browser_decodes_frames_lost_frames_and_ends_in_order(checks: Checks) -> None:
    packets = Encoder(48000).encode(
        b"".join(int(8000 * (n % 96 > 48)).to_bytes(2, "little") for n in range(960 * 10))
    )
    said = [packets[0].hex(), packets[1].hex(), None, packets[3].hex(), "ff", packets[4].hex()]
    heard = checks.decoded(said)
    assert [entry[0] for entry in heard[:4]] == ["push", "push", "lose", "push"]
    assert all(entry[2] == 960 for entry in heard if entry[0] != "end")
    assert heard[-1] == ["end", 1]
    assert len(heard) == len(said) + 1


def test_frames_come_in_one_order(checks: Checks) -> None:
    result = checks.items(
        [["group", 7, 1, 1], ["item", 11, 2, 0, 1], ["group", 3, 1, 0], ["complete", 1, 10]]
    )
    assert result["value"]["out"] == " ".join([*(f"1:{seq}" for seq in range(10)), "1.10", "2:0", "2.1"])


def test_a_hole_is_lost_when_its_group_is_given_up(checks: Checks) -> None:
    script: list[list[Any]] = [
        ["group", 3, 1, 0, 2, False],
        ["group", 7, 1, 1],
        ["reset", 3],
        ["complete", 1, 10],
    ]
    out = checks.items(script, 500)["value"]["out"]
    assert out == "1:0 1:1 1:2- 1:3- 1:4- 1:5 1:6 1:7 1:8 1:9 1.10"


def test_a_hole_is_lost_when_it_is_worth_nothing_and_what_comes_then_is_late(checks: Checks) -> None:
    script = [
        ["datagram", 1, 0],
        ["datagram", 1, 3, 100],
        ["expire", 149],
        ["expire", 150],
        ["group", 3, 1, 0],
    ]
    result = checks.items([*script, ["complete", 1, 5]], 50)["value"]
    assert result["out"] == "1:0 1:1- 1:2 1:3 1:4 1.5"
    assert result["late"] == 4
    assert checks.items(script)["value"]["out"] == "1:0 1:1 1:2 1:3 1:4"  # no deadline: it waits


def test_an_interruption_can_be_taken_back_where_it_stopped(checks: Checks) -> None:
    script = [["item", 3, 1, 0, 4, False], ["silence"], ["reset", 3, 1], ["resume"], ["item", 7, 1, 4, 2]]
    result = checks.items(script)["value"]
    assert result["out"] == "1:0 1:1 1:2 1:3 1:4 1:5 1.6"
    assert result["told"] == [{"items": [1], "streams": [3]}, [[1, 4]]]


def test_an_interruption_that_was_meant_is_over_at_once(checks: Checks) -> None:
    script = [
        ["item", 3, 1, 0, 4, False],
        ["silence"],
        ["abandon"],
        ["item", 7, 1, 4, 2],
        ["item", 11, 2, 0, 1],
    ]
    assert checks.items(script)["value"]["out"] == "1:0 1:1 1:2 1:3 1.4 2:0 2.1"


def test_another_connection_goes_on_behind_what_is_here(checks: Checks) -> None:
    script = [["item", 3, 1, 0, 4, False], ["reconnect"], ["position"], ["item", 3, 1, 4, 1]]
    result = checks.items(script)["value"]
    assert result == {"out": "1:0 1:1 1:2 1:3 1:4 1.5", "late": 0, "told": [{"item": 1, "frames": 4}]}


def test_an_edge_cannot_make_the_page_hold_much(checks: Checks) -> None:
    assert checks.items([["datagram", 1, 5000]])["error"] == "WireError"
    assert checks.items([["datagram", 5000, 0]])["error"] == "WireError"
    assert checks.items([["datagram", 1, 0], ["complete", 1, 2**50]])["error"] == "WireError"


# --- what is said ----------------------------------------------------------------------------------------


def _packets(stream_log: list[list[Any]]) -> dict[int, tuple[bytes, bool]]:
    """Bytes and end of each stream in a carrier's log."""
    streams: dict[int, tuple[bytes, bool]] = {}
    for kind, *entry in stream_log:
        if kind == "stream":
            number, data, fin = entry
            streams[number] = (streams.get(number, (b"", False))[0] + bytes.fromhex(data), fin)
    return streams


def _frames(stream_log: list[list[Any]]) -> list[tuple[int, int, bytes]]:
    frames = []
    for data, fin in _packets(stream_log).values():
        stream = wire.AudioStream(wire.GroupHeader, "stream")
        packets = stream.receive(data, fin)
        assert stream.header is not None
        first = stream.header.group * 5
        frames += [(stream.header.utterance, first + index, packet) for index, packet in enumerate(packets)]
    return frames


def test_speech_goes_in_groups_that_expire(checks: Checks) -> None:
    script = [["attach"], ["speak", 7], ["commit"], ["expire", 499], ["speak", 1], ["expire", 500]]
    [log] = checks.uplink(script, 500)
    assert [frame[:2] for frame in _frames(log)] == [*((1, seq) for seq in range(7)), (2, 0)]
    assert ["control", {"type": "input_audio_buffer.commit", "utterance": 1, "groups": 2, "frames": 7}] in log
    assert [entry for entry in log if entry[0] == "expire"] == [["expire", 0], ["expire", 1]]
    assert log.index(["expire", 0]) > log.index(["stream", 2, _packets(log)[2][0].hex(), False])


def test_a_short_deadline_on_a_long_way_goes_in_datagrams(checks: Checks) -> None:
    assert checks.rule([[50, 10], [50, 20], [500, 300], [500, 330], [None, 9999]]) == [
        False,
        True,
        False,
        True,
        False,
    ]
    [log] = checks.uplink([["attach"], ["speak", 3], ["commit"]], 50, 60)
    datagrams = [wire.decode_datagram(bytes.fromhex(entry[1])) for entry in log if entry[0] == "datagram"]
    assert datagrams == [
        wire.AudioDatagram(1, 0, 0, (b"\0",)),
        wire.AudioDatagram(1, 1, 20, (b"\1", b"\0")),
        wire.AudioDatagram(1, 2, 40, (b"\2", b"\1")),
    ]


def test_what_the_edge_missed_is_said_again_on_the_next_connection(checks: Checks) -> None:
    script = [["attach"], ["speak", 8], ["commit"], ["speak", 6], ["detach"], ["speak", 3], ["attach", 1, 7]]
    _, log = checks.uplink(script, 500)
    assert [frame[:2] for frame in _frames(log)] == [(1, 5), (1, 6), (1, 7), *((2, seq) for seq in range(9))]
    assert [entry[0] for entry in log].index("control") == 4  # behind utterance 1 and before utterance 2


def test_ten_seconds_are_kept_and_no_more(checks: Checks) -> None:
    script = [["attach"], ["detach"], ["speak", 603], ["attach", 1, 0]]
    _, log = checks.uplink(script, 500)
    frames = _frames(log)
    assert frames[0][1] == 105  # the first whole group of the last 500 frames
    assert frames[-1][1] == 602


# --- taking turns ----------------------------------------------------------------------------------------

QUIET, VOICE = -75, -20


def test_hands_free_an_utterance_ends_when_nobody_has_spoken_for_a_while(checks: Checks) -> None:
    asked = checks.turns([QUIET] * 20 + [VOICE] * 40 + [QUIET] * 40)
    assert asked == ["speak 79", "commit"]  # 12 from before it was noticed, 37, and 30 of silence


def test_a_click_is_no_utterance(checks: Checks) -> None:
    assert checks.turns([QUIET] * 20 + [VOICE] * 2 + [QUIET] * 60) == []
    assert checks.turns([QUIET] * 20 + [VOICE] * 4 + [QUIET] * 60)[-1] == "clear"


def test_a_cough_is_taken_back_in_time_and_an_objection_is_not(checks: Checks) -> None:
    cough = checks.turns([QUIET] * 20 + [VOICE] * 5 + [QUIET] * 60, {"playing": True})
    assert cough == ["speak 13", "interrupt", "speak 14", "resumeSpeech", "clear"]
    objection = checks.turns([QUIET] * 20 + [VOICE] * 40 + [QUIET] * 40, {"playing": True})
    assert objection[:4] == ["speak 13", "interrupt", "speak 14", "confirmInterruption"]
    assert objection[-1] == "commit"


def test_a_held_button_is_one_utterance_however_quiet(checks: Checks) -> None:
    asked = checks.turns([QUIET] * 60, {"mode": "hold", "held": [20, 40]})
    assert asked[:2] == ["interrupt", "confirmInterruption"]
    assert asked[-1] == "commit"
    assert asked[-2] == "speak 33"


# --- finding the way -------------------------------------------------------------------------------------


def test_where_nothing_answers_by_udp_the_websocket_wins_after_its_handicap(checks: Checks) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        silent = f"https://127.0.0.1:{deaf.getsockname()[1]}/v1/voice"
        both = checks.race([[silent, "/voice"]])
        alone = checks.race([[silent, "/voice"]], ["websocket"])
        nothing = checks.race([[silent, "/nothing"]], ["websocket"])
        second = checks.race([[None, "/nothing"], [None, "/voice"]])
    assert both["winner"] == alone["winner"] == "websocket"
    assert both["took_ms"] >= 200
    assert second["winner"] == "websocket"
    assert nothing["error"] == "unreachable"
    assert "refused" in nothing["message"]


# --- the session -----------------------------------------------------------------------------------------

READY = {
    "type": "edge.session",
    "session_id": "s",
    "node": "n",
    "unicast_url": "u",
    "resume_token": "t",
    "migrated": False,
}


def _controls(log: list[list[Any]]) -> list[dict[str, Any]]:
    return [entry[1] for entry in log if entry[0] == "control"]


def test_an_interruption_says_what_it_stops(checks: Checks) -> None:
    """Also what has arrived whole and is not yet played: that is what is being heard."""
    playing = ["playing", {"item": 1, "playing": True, "held_ms": 80}]
    script = [["attach"], ["item", 3, 1, 0, 4], ["item", 7, 2, 0, 3, False], playing, ["interrupt"]]
    done = checks.session([*script, ["resumeSpeech"]])
    [log] = done["carriers"]
    assert ["stop", 7, 1] in log
    assert [event for event in _controls(log) if event["type"] != "session.update"] == [
        {"type": "response.cancel", "response_id": "resp_1"},
        {"type": "response.cancel", "response_id": "resp_2"},
        {"type": "edge.resume", "item_id": "item_1", "frames": 4},
        {"type": "edge.resume", "item_id": "item_2", "frames": 3},
    ]
    assert done["log"][-2:] == ["player pause", "player resume"]


def test_a_call_goes_on_with_the_next_carrier(checks: Checks) -> None:
    script = [["attach"], ["hear", READY], ["item", 3, 1, 0, 4, False], ["speak", 3], ["lose"], ["speak", 4]]
    back = {"type": "edge.reconnected", "utterance": 1, "frames": 2}
    done = checks.session([*script, ["attach"], ["speak", 1], ["hear", back]])
    _, log = done["carriers"]
    assert _controls(log)[0] == {
        "type": "edge.reconnect",
        "resume_token": "t",
        "item": 1,
        "frames": 4,
        "utterance": 1,
    }
    assert [frame[1] for frame in _frames(log)] == list(range(8))
    assert [kind for kind, _ in done["told"]] == ["ready", "lost", "resumed"]
    assert done["counts"]["said"]["frames"] == 8


def test_an_edge_that_knows_nothing_of_the_call_gets_a_new_one(checks: Checks) -> None:
    script = [["attach"], ["hear", READY], ["speak", 3], ["commit"], ["lose"], ["attach"], ["hear", UNKNOWN]]
    done = checks.session([*script, ["speak", 2], ["item", 3, 1, 0, 1]])
    _, log = done["carriers"]
    assert [event["type"] for event in _controls(log)] == [
        "edge.reconnect",
        "session.update",
        "input_audio_buffer.commit",
    ]
    assert [frame[:2] for frame in _frames(log)] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]
    assert done["counts"]["said"]["frames"] == 5
    assert done["counts"]["heard"]["frames"] == 1


def test_an_edge_that_leaves_pings_unanswered_is_gone(checks: Checks) -> None:
    done = checks.session([["attach"], ["hear", READY], ["pass", 2980], ["attach"]])
    assert [kind for kind, _ in done["told"]] == ["ready"]
    done = checks.session([["attach"], ["hear", READY], ["pass", 3040]])
    assert [kind for kind, _ in done["told"]] == ["ready", "lost"]
    assert done["carriers"][0][-1] == ["close", 4]


# --- moving ----------------------------------------------------------------------------------------------

UNKNOWN = {
    "type": "error",
    "error": {"type": "invalid_request_error", "code": "unknown_session", "message": "never heard of it"},
}
THERE = {"type": "edge.reconnected", "utterance": 1, "frames": 0, "elsewhere": True}
UNDER_WAY: list[list[Any]] = [["attach"], ["hear", READY], ["item", 3, 1, 0, 4, False], ["speak", 7]]
"""Four frames of an answer are here, seven of an utterance are said."""


def _left(said: int) -> dict[str, Any]:
    counts = {"frames": 7, "bytes": 7, "digest": "", "lost": 0}
    return {"type": "edge.left", "resume_token": "last", "heard": counts, "said": {**counts, "frames": said}}


def test_a_call_is_where_it_was_until_the_next_place_says_that_it_goes_on_there(checks: Checks) -> None:
    """What was on its way from the old place is not heard twice, and what was said there meanwhile is said again."""
    asked = [["move"], ["item", 7, 1, 4, 1, True, 0], ["speak", 2]]
    done = checks.session([*UNDER_WAY, *asked, ["hear", {**THERE, "frames": 7, "elsewhere": False}]])
    before, after = done["carriers"]
    assert [event["type"] for event in _controls(after)] == ["edge.reconnect", "session.update"]
    assert [frame[1] for frame in _frames(before)] == list(range(9))
    assert [frame[1] for frame in _frames(after)] == [5, 6, 7, 8]
    assert before[-1] == ["close", 0]
    assert [kind for kind, _ in done["told"]] == ["ready", "resumed"]
    assert (done["counts"]["heard"]["frames"], done["counts"]["said"]["frames"]) == (4, 9)


def test_a_call_that_is_not_known_at_the_next_place_has_missed_nothing(checks: Checks) -> None:
    asked = [["move"], ["send", {"type": "response.create"}], ["item", 7, 1, 4, 1, True, 0]]
    for refusal in (["hear", UNKNOWN], ["lose", 1], ["pass", 3040]):
        done = checks.session([*UNDER_WAY, *asked, refusal, ["speak", 1]])
        before, after = done["carriers"]
        assert done["told"][-1][0] == "stayed", refusal
        assert done["counts"]["heard"]["frames"] == 5
        assert [frame[1] for frame in _frames(before)] == list(range(8))
        assert "response.create" in [event["type"] for event in _controls(before)]
        assert after[-1] == ["close", 0]


def test_what_the_next_place_brings_before_its_answer_is_heard_behind_it(checks: Checks) -> None:
    there = {**THERE, "elsewhere": False}
    done = checks.session([*UNDER_WAY, ["move"], ["item", 7, 1, 4, 2], ["hear", there]])
    assert done["counts"]["heard"]["frames"] == 6


def test_a_node_is_left_when_all_that_it_had_written_is_here(checks: Checks) -> None:
    """Behind that the open utterance is said again from its first word, and both directions are counted anew."""
    leaving = [
        ["move", 5000],
        ["speak", 3],
        ["hear", _left(6), 0],
        ["pass", 40],
        ["item", 7, 1, 4, 2, True, 0],
    ]
    back = [["pass", 20], ["hear", THERE], ["item", 3, 2, 0, 3]]
    done = checks.session([*UNDER_WAY, *leaving, *back])
    before, after = done["carriers"]
    assert _controls(before)[-1]["type"] == "edge.leave"
    assert [frame[1] for frame in _frames(before)] == list(range(7))
    assert _controls(after)[0] == {
        "type": "edge.reconnect",
        "resume_token": "last",
        "item": 2,
        "frames": 0,
        "utterance": 1,
    }
    assert [frame[1] for frame in _frames(after)] == list(range(10))
    told = dict(done["told"])
    assert told["left"]["edge"]["said"]["frames"] == told["left"]["heard"]["frames"] == 6
    assert told["left"]["edge"]["heard"]["frames"] == told["left"]["said"]["frames"] == 7
    assert (done["counts"]["said"]["frames"], done["counts"]["heard"]["frames"]) == (10, 3)


def test_what_was_committed_and_not_confirmed_is_said_again_elsewhere(checks: Checks) -> None:
    confirmed = {"type": "input_audio_buffer.committed", "utterance": 1, "frames": 7}
    script = [["commit"], ["hear", confirmed], ["speak", 6], ["commit"], ["speak", 2], ["move", 5000]]
    done = checks.session(
        [*UNDER_WAY, *script, ["hear", _left(4), 0], ["pass", 20], ["hear", {**THERE, "utterance": 2}]]
    )
    _, after = done["carriers"]
    assert _controls(after)[0]["utterance"] == 2
    assert [frame[:2] for frame in _frames(after)] == [*((2, seq) for seq in range(6)), (3, 0), (3, 1)]
    assert _controls(after)[-1] == {
        "type": "input_audio_buffer.commit",
        "utterance": 2,
        "groups": 2,
        "frames": 6,
    }


def test_a_node_that_does_not_let_go_is_left_all_the_same(checks: Checks) -> None:
    for silence in (["pass", 2020], ["lose", 0]):
        done = checks.session([*UNDER_WAY, ["move", 2000], silence, ["hear", THERE]])
        assert _controls(done["carriers"][1])[0]["resume_token"] == "t", silence
        assert [kind for kind, _ in done["told"]] == ["ready", "resumed"]


def test_a_node_that_has_let_go_takes_the_call_back_on_another_connection(checks: Checks) -> None:
    script = [["move", 5000], ["hear", _left(4), 0], ["pass", 20], ["hear", UNKNOWN], ["attach"]]
    done = checks.session([*UNDER_WAY, *script])
    assert [kind for kind, _ in done["told"]] == ["ready", "left", "lost"]
    assert _controls(done["carriers"][2])[0]["resume_token"] == "last"


def test_a_call_pauses_between_an_answer_and_the_next_long_utterance(checks: Checks) -> None:
    script = [["attach"], ["hear", READY], ["pauses"], ["speak", 399], ["pauses"], ["speak", 1], ["pauses"]]
    assert checks.session(script)["log"] == [True, True, False]
    script = [["attach"], ["item", 3, 1, 0, 4, False], ["pauses"], ["item", 7, 1, 4, 1], ["pauses"]]
    assert [one for one in checks.session(script)["log"] if isinstance(one, bool)] == [False, True]


def test_a_call_takes_no_moment_for_a_pause_in_which_an_answer_may_begin(checks: Checks) -> None:
    """An answer that was asked for and has not begun stays behind with the edge that was asked."""
    script = [["attach"], ["hear", READY], ["speak", 10], ["commit"], ["pauses"], ["pass", 500]]
    script += [["hear", {"type": "input_audio_buffer.committed", "utterance": 1, "frames": 10}]]
    silent = [["pass", 1900], ["pauses"], ["pass", 200], ["pauses"]]
    answered = [["item", 3, 1, 0, 5], ["pauses"]]
    assert [one for one in checks.session(script + silent)["log"] if isinstance(one, bool)] == [
        False,
        False,
        True,
    ]
    assert [one for one in checks.session(script + answered)["log"] if isinstance(one, bool)] == [False, True]


# --- asking whether a call can go on ---------------------------------------------------------------------


def test_a_question_has_one_answer_whatever_comes_of_it(checks: Checks) -> None:
    """Else a page that is told yes, and then breaks off on what it is handed, would believe that it was told no."""
    assert checks.answersTold({"type": "edge.reconnected"}) == [None]
    refusal = {"type": "error", "error": {"code": "unknown_session", "message": "never heard of it"}}
    assert checks.answersTold(refusal) == ["never heard of it"]
    assert checks.answersTold({"type": "edge.turn"}) == ["the edge hung up"]
