"""The reference is enough to write a client: one that was, in calls with a node as `edgectl up` starts it.

`reference_client` shares no code with us, so what both ends count the same is what the pages say.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from interop import page_node
from interop.reference_client import (
    CANCELLED,
    FRAME,
    FRAME_MS,
    GROUP,
    GROUP_FRAMES,
    OPUS,
    STOP_SENDING,
    STREAM,
    Caller,
    Closed,
    Event,
    integers,
    ledger,
    opus_packets,
    packet,
    where_to_call,
)

import edge

EDGE = Path(edge.__file__).parent
HELLO = opus_packets(EDGE / "client" / "speech" / "hello.opus")
STORY = opus_packets(EDGE / "backend" / "story.opus")
LEAD_MS = 1000
PROTOCOL_ERROR = 16
NO_TLS = ssl.create_default_context()


class Node:
    def __init__(self, page: str, directory: Path) -> None:
        self.tls = ssl.create_default_context(cafile=directory / "certificate.pem")
        port = urlsplit(where_to_call(page.rstrip("/"), NO_TLS)["url"]).port
        self.where = where_to_call(f"https://127.0.0.1:{port}", self.tls)

    @asynccontextmanager
    async def call(self, **session: Any) -> AsyncIterator[Caller]:
        caller = Caller(self.tls, session)
        await caller.call(self.where["ws_url"])
        try:
            yield caller
        finally:
            await caller.hang_up()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Caller]:
        """To the story, which is told without being asked."""
        async with self.call(backend="story", lead_ms=LEAD_MS) as caller:
            await caller.until(lambda: caller.running)
            yield caller

    async def again(self, caller: Caller, resume_token: str | None = None) -> Event:
        """The network goes away, and the caller comes back."""
        caller.connection.break_off()
        await asyncio.sleep(0.2)
        return await caller.reconnect(self.where["ws_url"], resume_token)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("reference") / "node"
    with page_node.node("echo", directory) as page:
        yield Node(page, directory)


async def played(caller: Caller, number: int = 1) -> None:
    """Item ``number`` has been played to its end."""
    await caller.until(lambda: number in caller.items and caller.items[number].over)


async def agree(caller: Caller) -> None:
    """Both ends have heard what the other said, to the byte."""
    stats = await caller.edge_stats()
    assert stats["heard"] == ledger(caller.said)
    assert stats["said"] == ledger({number: item.frames for number, item in caller.items.items()})


def types(caller: Caller, since: int) -> list[str]:
    """Of the events since then. What the round trip does on a busy machine is none of the story."""
    return [event["type"] for event in caller.events[since:] if event["type"] != "edge.deadline"]


def test_where_to_call(node: Node) -> None:
    where = node.where
    assert where["url"].startswith("https://127.0.0.2:")
    assert where["url"].endswith("/v1/voice")
    assert where["ws_url"] == where["url"].replace("https", "wss")
    assert (where["token"], where["lead_ms"], where["deadline_ms"]) == (None, LEAD_MS, 500)


def test_hears_what_it_says(node: Node) -> None:
    async def story() -> None:
        async with node.call(deadline="chat", backend="echo") as caller:
            await caller.speak(HELLO)
            await played(caller)
            assert caller.items[1].frames == HELLO
            assert caller.reports >= len(HELLO) * FRAME_MS // 200
            await agree(caller)

    asyncio.run(story())


def test_hears_what_it_says_in_groups(node: Node) -> None:
    async def story() -> None:
        async with node.call(deadline={"uplink_ms": 2000, "downlink_ms": 2000}) as caller:
            await caller.speak(HELLO[:43])
            await played(caller)
            assert caller.items[1].frames == HELLO[:43]
            await agree(caller)

    asyncio.run(story())


def test_hears_what_it_says_in_datagrams(node: Node) -> None:
    async def story() -> None:
        async with node.call() as caller:
            since = len(caller.events)
            await caller.connection.say({"type": "edge.deadline", "uplink_ms": 20, "downlink_ms": 20})
            told = await caller.event("edge.deadline", since=since)
            assert (told["uplink_ms"], told["downlink_ms"]) == (20, 20)
            for seq, payload in enumerate(HELLO[:40]):
                earlier = HELLO[seq - 1 : seq]
                header = integers(FRAME, 1, seq, seq * FRAME_MS, len(earlier))
                await caller.connection.datagram(header + b"".join(map(packet, [payload, *earlier])))
            caller.said[1] = HELLO[:40]
            commit = {"type": "input_audio_buffer.commit", "utterance": 1, "groups": 8, "frames": 40}
            await caller.connection.say(commit)
            committed = await caller.event("input_audio_buffer.committed")
            assert committed["frames"] == 40
            assert not committed.get("lost")
            assert (await caller.edge_stats())["heard"] == ledger(caller.said)

    asyncio.run(story())


def test_an_interruption_is_accounted_for(node: Node) -> None:
    async def story() -> None:
        async with node.listening() as caller:
            await asyncio.sleep(2)
            since = await caller.interrupt()
            account = await caller.event("edge.barge_in", since=since)
            done = await caller.event("response.done", since=since)
            heard = caller.items[1].played
            assert heard >= 60
            assert account["item_id"] == "item_1"
            assert account["played_ms"] == heard * FRAME_MS
            assert account["generated_bytes"] == account["wire_bytes"] + account["saved_bytes"]
            assert account["wire_bytes"] - account["wasted_bytes"] == sum(map(len, STORY[:heard]))
            ahead = LEAD_MS // FRAME_MS + 2 * GROUP_FRAMES
            assert 0 < account["wasted_bytes"] <= sum(map(len, STORY[heard : heard + ahead]))
            assert account["saved_bytes"] > account["wire_bytes"]
            assert types(caller, since) == [
                "output_audio_buffer.cleared",
                "response.output_audio.done",
                "response.output_item.done",
                "edge.barge_in",
                "response.done",
            ]
            assert done["response"]["status"] == "cancelled"
            # The conversation goes on, with the next item.
            await caller.speak(HELLO[:30])
            await caller.connection.say({"type": "response.create"})
            await caller.until(lambda: 2 in caller.items and caller.items[2].played > 10)
            turn = await caller.event("edge.turn")
            assert (turn["response_id"], turn["item_id"]) == ("resp_2", "item_2")
            assert turn["edge_added_ms"] == pytest.approx(turn["wire_ms"] - turn["backend_ms"], abs=0.1)
            assert caller.items[1].frames == STORY[:heard]
            assert caller.items[2].frames == STORY[: len(caller.items[2].frames)]

    asyncio.run(story())


def test_an_answer_that_is_written_can_still_be_interrupted(node: Node) -> None:
    async def story() -> None:
        async with node.call(backend="echo") as caller:
            await caller.speak(HELLO[:45])
            await caller.event("response.done")
            since = await caller.interrupt()
            account = await caller.event("edge.barge_in", since=since)
            assert account["saved_bytes"] == 0
            heard = caller.items[1].played
            assert account["wasted_bytes"] == sum(map(len, HELLO[heard:45]))
            await caller.edge_stats()
            assert "response.done" not in types(caller, since)

    asyncio.run(story())


def test_a_cough_leaves_no_hole(node: Node) -> None:
    async def story() -> None:
        async with node.listening() as caller:
            await caller.until(lambda: caller.items[1].played > 40)
            since = await caller.interrupt()
            await asyncio.sleep(0.1)
            await caller.resume()
            there = len(caller.items[1].frames)
            await caller.until(lambda: caller.items[1].played > there + 30)
            assert caller.items[1].frames == STORY[: len(caller.items[1].frames)]
            assert types(caller, since) == []
            # Later it is no cough.
            await caller.interrupt()
            await caller.event("edge.barge_in", since=since)
            late = {"type": "edge.resume", "item_id": "item_1", "frames": there, "event_id": "late"}
            await caller.connection.say(late)
            error = (await caller.event("error"))["error"]
            assert (error["code"], error["event_id"]) == ("too_late", "late")

    asyncio.run(story())


def test_an_answer_goes_on_over_another_connection(node: Node) -> None:
    async def story() -> None:
        async with node.call(backend="echo") as caller:
            await caller.speak(HELLO)
            await caller.until(lambda: 1 in caller.items and caller.items[1].played > 40)
            there = len(caller.items[1].frames)
            answer = await node.again(caller)
            assert there < len(HELLO)
            assert (answer["type"], answer["utterance"], answer["frames"]) == ("edge.reconnected", 2, 0)
            await played(caller)
            assert caller.items[1].frames == HELLO
            assert caller.items[1].repeated == 0
            await agree(caller)

    asyncio.run(story())


def test_an_utterance_goes_on_over_another_connection(node: Node) -> None:
    """Twice, the first time in the middle of a frame; the resume token stays good."""

    async def story() -> None:
        async with node.call(backend="echo") as caller:
            caller.said[1] = HELLO[:60]
            for at in 0, GROUP_FRAMES:
                await caller.connection.group(1, at // GROUP_FRAMES, HELLO[at : at + GROUP_FRAMES])
            header = integers(STREAM, caller.connection.next_stream, GROUP, 1, 2, 200, OPUS)
            await caller.connection.socket.send(header + packet(HELLO[10]) + packet(HELLO[11])[:-1])
            await caller.until(lambda: 1 in caller.items and len(caller.items[1].frames) == 11)
            answer = await node.again(caller)
            assert (answer["utterance"], answer["frames"]) == (1, 11)
            caller.uncommitted.add(1)
            assert (await node.again(caller))["type"] == "edge.reconnected"
            await caller.event("input_audio_buffer.committed")
            await played(caller)
            assert caller.items[1].frames == HELLO[:60]
            await agree(caller)

    asyncio.run(story())


def test_a_call_that_is_not_known_begins_anew(node: Node) -> None:
    async def story() -> None:
        async with node.call() as caller:
            answer = await node.again(caller, "somebody-else's")
            assert answer["error"]["code"] == "unknown_session"
            await caller.until(lambda: types(caller, 0).count("edge.session") == 2)
            names = {event["session_id"] for event in caller.events if event["type"] == "edge.session"}
            assert len(names) == 2

    asyncio.run(story())


def test_what_makes_no_sense_is_answered_and_the_call_goes_on(node: Node) -> None:
    async def story() -> None:
        async with node.call() as caller:
            await caller.connection.say({"type": "edge.nonsense", "event_id": "mine"})
            error = (await caller.event("error"))["error"]
            assert (error["type"], error["code"]) == ("invalid_request_error", "unknown_event")
            assert error["event_id"] == "mine"
            for record, code in (b"{nonsense", "invalid_json"), (b'{"type":"edge.resume"}', "invalid_event"):
                since = len(caller.events)
                await caller.connection.record(record)
                assert (await caller.event("error", since=since))["error"]["code"] == code
            await caller.speak(HELLO[:10])
            await played(caller)
            await agree(caller)

    asyncio.run(story())


@pytest.mark.parametrize(
    "message, reason",
    [
        (integers(STREAM, 0, 65537) + b"{", "record of 65537 bytes"),
        (integers(STREAM, 2, GROUP, 1, 0, 0, OPUS) + packet(b"speech") * 6, "stream 2, packet 5"),
        (integers(STREAM, 2, GROUP, 0, 0, 0, OPUS) + packet(b"speech"), "stream 2"),
        (integers(STREAM, 6, GROUP, 1, 0, 0, OPUS) + packet(b"speech"), "stream 6"),
        (integers(STOP_SENDING, 7, CANCELLED), "stream 7"),
        (integers(0x1F, 0), "type"),
    ],
    ids=[
        "record too long",
        "group of six",
        "utterance 0",
        "stream out of order",
        "no such stream",
        "no such frame",
    ],
)
def test_what_cannot_be_read_ends_the_call(node: Node, message: bytes, reason: str) -> None:
    async def story() -> None:
        async with node.call() as caller:
            await caller.connection.socket.send(message)
            with pytest.raises(Closed) as closed:
                await caller.event("never")
            assert closed.value.code == PROTOCOL_ERROR
            assert reason in closed.value.reason
            assert closed.value.reason.startswith(caller.connection.socket.close_reason or "?")

    asyncio.run(story())
