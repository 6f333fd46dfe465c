"""Strays and forged packets between two real nodes: each is dropped for its reason, and no call notices.

The callers beside it take another port again and again, so that their packets reach the one node or the other, and are
passed on to where their calls are.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from hostile_callers import Neighbour
from node_pair import (
    HOST,
    REPORTED_S,
    SERVER_NAME,
    PairedNode,
    Tap,
    running_pair,
    sealed,
    third_node,
)
from waiting import eventually
from worker_rig import KEYS

from edge.forward import ReturnPath
from edge.forward.packet import HEAD_BYTES
from edge.lab.certificates import write_certificate
from edge.quic import Path, Secrets
from edge.voice import ALPN

NEIGHBOURS = 3
REBINDS = 8
"""Of each neighbour. That none of the three ever reaches the other node has a chance of one in 2^24."""
ATTACKER = "127.0.0.66"
FLOOD = 20_000

Story = Callable[[list[PairedNode], list[Tap], socket.socket], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    directory = tmp_path_factory.mktemp("forwarding-tls")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    write_certificate(certificate, key, [SERVER_NAME], [ip_address(HOST)])
    return certificate.read_bytes(), key.read_bytes()


async def roam(neighbours: list[Neighbour]) -> None:
    for _ in range(REBINDS):
        for neighbour in neighbours:
            await neighbour.take_another_port()
            await asyncio.sleep(0.05)


def beside_roaming_neighbours(
    credentials: tuple[bytes, bytes], return_path: ReturnPath, story: Story, *, taps: bool = True
) -> None:
    """Run ``story`` once they have strayed, and see that they lose nothing; the socket is the attacker's."""

    async def main() -> None:
        async with running_pair(*credentials, return_path=return_path, taps=taps) as (nodes, tapped):
            neighbours = [await Neighbour.come(nodes[0], number) for number in range(NEIGHBOURS)]
            await roam(neighbours)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
                attacker.bind((ATTACKER, 0))
                attacker.setblocking(False)
                await story(nodes, tapped, attacker)
            await roam(neighbours)
            for neighbour in neighbours:
                await neighbour.leave()
            assert [neighbour.ended for neighbour in neighbours] == [None] * NEIGHBOURS
            assert all(neighbour.is_whole for neighbour in neighbours)
            await eventually(lambda: any(node.counted("forward_strays_received") for node in nodes))
            await asyncio.sleep(REPORTED_S)
            answers = sum(node.counted("forward_answers_received") for node in nodes)
            assert (answers > 0) == (return_path is ReturnPath.INGRESS)
            assert [node.supervisor.restarts for node in nodes] == [0, 0]
            assert [node.counted("engine_errors") for node in nodes] == [0, 0]
            assert [node.counted("resets_sent") for node in nodes] == [0, 0]

    asyncio.run(asyncio.wait_for(main(), 120))


def heard_back(attacker: socket.socket) -> list[bytes]:
    """What has come to the attacker's address."""
    got = []
    while True:
        try:
            got.append(attacker.recv(65_535))
        except BlockingIOError:
            return got


async def say(attacker: socket.socket, node: PairedNode, packets: list[bytes]) -> None:
    """To where the node takes packets of the fleet, not faster than it reads them."""
    for number, packet in enumerate(packets):
        attacker.sendto(packet, node.forward)
        if number % 100 == 99:
            await asyncio.sleep(0.005)


async def newly_dropped(node: PairedNode, before: dict[str, int], count: int) -> dict[str, int]:
    """Since ``before``, once there are so many."""

    def new() -> dict[str, int]:
        now = node.dropped()
        return {name: now[name] - before.get(name, 0) for name in now if now[name] != before.get(name, 0)}

    await eventually(lambda: sum(new().values()) >= count)
    return new()


@pytest.mark.parametrize("return_path", ReturnPath)
def test_what_is_forged_copied_or_led_astray_is_dropped_for_its_reason(
    credentials: tuple[bytes, bytes], return_path: ReturnPath
) -> None:
    async def story(nodes: list[PairedNode], taps: list[Tap], attacker: socket.socket) -> None:
        one, two = (list(tap.packets) for tap in taps)
        assert one or two
        (here, there), copies = (nodes, one) if one else (nodes[::-1], two)
        third = third_node(time.time_ns(), {node.server_id: node.forward for node in nodes})
        victim = Path(ATTACKER, attacker.getsockname()[1], HOST)
        stray = b"\x40" + bytes(30)

        def made(path: Path = victim, data: bytes = stray) -> bytes:
            return sealed(third, here.server_id, path, data)

        last = copies[-1]
        attacks: dict[str, tuple[PairedNode, list[bytes], str]] = {
            "sent again": (here, copies, "replayed"),
            "sent back": (there, copies, "forged"),
            "an octet less": (here, [last[:-1]], "forged"),
            "cut off": (here, [last[:length] for length in range(HEAD_BYTES)], "malformed"),
            "too long": (here, [last + bytes(50_000)], "forged"),
            "of an unknown generation": (
                here,
                [last[:2] + bytes([n]) + last[3:] for n in (1, 6, 255)],
                "forged",
            ),
            "of an unknown sender": (
                here,
                [last[:4] + os.urandom(8) + last[12:] for _ in range(50)],
                "forged",
            ),
            "of an unknown version": (here, [last[:1] + b"\xf1" + last[2:]], "malformed"),
            "noise": (here, [os.urandom(100) for _ in range(50)], "malformed or forged"),
            "to nowhere of ours": (here, [made(victim._replace(local="192.0.2.1"))], "foreign"),
        }
        for name, (node, packets, reason) in attacks.items():
            before = node.dropped()
            await say(attacker, node, packets)
            new = await newly_dropped(node, before, len(packets))
            assert set(new) <= set(reason.split(" or ")), name
            assert sum(new.values()) == len(packets), name
        # With our keys and against our rules: a stray of a node that we are not must not go on from here.
        attacker.sendto(made(data=foreign_short_packet(there.server_id)), here.forward)
        await eventually(lambda: here.counted("dropped_looped") == 1)
        assert heard_back(attacker) == []

    beside_roaming_neighbours(credentials, return_path, story)


def foreign_short_packet(server_id: bytes) -> bytes:
    """A 1-RTT packet of some connection of that node."""
    return (b"\x40" + Secrets(KEYS, server_id=server_id, nonce_start=1 << 40).issue()).ljust(60, b"\x55")


def test_a_flood_where_the_fleets_packets_arrive_is_not_heard_by_any_caller(
    credentials: tuple[bytes, bytes],
) -> None:
    async def story(nodes: list[PairedNode], taps: list[Tap], attacker: socket.socket) -> None:
        copies = [packet for tap in taps for packet in tap.packets]
        for node in nodes:
            before = node.dropped()
            flood = [copies[number % len(copies)] for number in range(FLOOD)]
            await say(attacker, node, flood)
            new = await newly_dropped(node, before, FLOOD // 2)  # its socket need not have had room for all
            assert set(new) <= {"replayed", "forged"}
        assert heard_back(attacker) == []

    beside_roaming_neighbours(credentials, ReturnPath.DIRECT, story)


def test_three_times_what_was_sent_comes_back_to_somebody_who_may_not_be_there(
    credentials: tuple[bytes, bytes],
) -> None:
    """First packets, for a node by its connection ID, from many ports: half of them reach the other node."""

    async def story(nodes: list[PairedNode], _taps: list[Tap], _attacker: socket.socket) -> None:
        before = [node.counted("forward_strays_received") for node in nodes]
        issuers = [Secrets(KEYS, server_id=node.server_id, nonce_start=1 << 41) for node in nodes]
        doors = []
        for number in range(16):
            door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            door.bind((ATTACKER, 0))
            door.setblocking(False)
            data = first_packet(issuers[number % 2].issue())
            door.sendto(data, (HOST, nodes[0].port))
            doors.append((door, len(data)))
        # The node says it again after 0.3, 0.9 and 2.1 s, as far as the limit lets it.
        await asyncio.sleep(3.0)
        got = [sum(map(len, heard_back(door))) for door, _ in doors]
        for door, _ in doors:
            door.close()
        assert all(0 < back <= 3 * paid for back, (_, paid) in zip(got, doors, strict=True)), got
        await asyncio.sleep(REPORTED_S)
        assert [node.counted("forward_strays_received") for node in nodes] != before

    beside_roaming_neighbours(credentials, ReturnPath.INGRESS, story)


def first_packet(cid: bytes) -> bytes:
    """Of a handshake that might have begun at the node that ``cid`` names."""
    client = QuicConnection(configuration=QuicConfiguration(server_name=SERVER_NAME, alpn_protocols=[ALPN]))
    client._peer_cid.cid = client._original_destination_connection_id = cid
    client.connect((HOST, 443), 0.0)
    ((data, _),) = client.datagrams_to_send(0.0)
    return data
