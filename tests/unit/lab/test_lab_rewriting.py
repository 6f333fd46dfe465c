"""Packets that a balancer or a home router rewrites: addresses, ports, checksums, and nothing else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.lab.balancing import Balancer, Target
from edge.lab.home import Home
from edge.lab.rewriting import TCP, UDP, Address, Packet, read, readdressed

CLIENT, SERVER, OTHER = ("192.0.2.7", 50_000), ("198.51.100.1", 443), ("203.0.113.2", 8443)
SYN, ACK = 0x02, 0x10
OUTSIDE = "192.0.2.101"


def words(data: bytes) -> int:
    """The one's complement sum as RFC 1071 writes it down."""
    total = 0
    for (word,) in struct.iter_unpack("!H", data + bytes(len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


def packet(
    source: Address,
    destination: Address,
    payload: bytes = b"",
    *,
    protocol: int = UDP,
    flags: int = ACK,
    options: bytes = b"",
) -> bytes:
    """An IPv4 packet with right checksums, by way of wrong ones."""
    ports = struct.pack("!HH", source[1], destination[1])
    if protocol == UDP:
        segment = ports + struct.pack("!HH", 8 + len(payload), 0) + payload
    else:
        segment = ports + bytes(8) + bytes([0x50, flags]) + bytes(6) + payload
    length = 20 + len(options) + len(segment)
    words_of_header = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 0x40 | words_of_header, 0, length, 1, 0x4000, 64, protocol, 0)
    addresses = b"".join(bytes(map(int, host.split("."))) for host, _ in (source, destination))
    return readdressed(head + addresses + options + segment)


def is_sound(data: bytes) -> bool:
    """Both checksums add up."""
    start = (data[0] & 0xF) * 4
    pseudo = data[12:20] + struct.pack("!HH", data[9], len(data) - start)
    return words(data[:start]) == 0xFFFF and words(pseudo + data[start:]) == 0xFFFF


@given(
    st.binary(max_size=60),
    st.sampled_from([UDP, TCP]),
    st.sampled_from([b"", bytes(8)]),
    st.integers(0, 2**32 - 1),
    st.integers(1, 65535),
)
def test_addresses_change_and_checksums_follow(
    payload: bytes, protocol: int, options: bytes, host: int, port: int
) -> None:
    before = packet(CLIENT, SERVER, payload, protocol=protocol, options=options)
    assert is_sound(before)
    other = (".".join(map(str, host.to_bytes(4, "big"))), port)
    after = readdressed(before, destination=other)
    assert is_sound(after)
    assert read(after) == read(before)._replace(destination=other)  # type: ignore[union-attr]
    assert readdressed(after, destination=SERVER) == before
    assert read(readdressed(before, source=other)) == read(before)._replace(source=other)  # type: ignore[union-attr]


def test_a_udp_checksum_that_comes_out_as_zero_is_not_no_checksum() -> None:
    for number in range(65536):
        data = packet(CLIENT, SERVER, number.to_bytes(2, "big"))
        if data[26:28] in (b"\0\0", b"\xff\xff"):
            assert data[26:28] == b"\xff\xff"
            return
    pytest.fail("one of all payloads of two bytes has it")


def test_what_begins_a_tcp_connection() -> None:
    first = read(packet(CLIENT, SERVER, protocol=TCP, flags=SYN))
    assert first == Packet(TCP, CLIENT, SERVER, b"", opens=True)
    answer = read(packet(SERVER, CLIENT, protocol=TCP, flags=SYN | ACK))
    assert answer is not None
    assert not answer.opens


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(40),
        packet(CLIENT, SERVER)[:27],
        b"\x41" + packet(CLIENT, SERVER)[1:],  # a header of 4 bytes
        packet(CLIENT, SERVER)[:6] + b"\x20\x00" + packet(CLIENT, SERVER)[8:],  # more fragments
        packet(CLIENT, SERVER)[:9] + b"\x01" + packet(CLIENT, SERVER)[10:],  # ICMP
    ],
)
def test_what_has_no_ports_is_not_read(data: bytes) -> None:
    assert read(data) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_not(data: bytes) -> None:
    found = read(data)
    assert found is None or readdressed(data + bytes(60)) is not None


# The two that rewrite


def test_the_balancer_keeps_the_clients_address_and_answers_with_its_own() -> None:
    balancer = Balancer(SERVER)
    balancer.register(Target(OTHER, bytes(8)))
    out = balancer.translate(packet(CLIENT, SERVER, protocol=TCP, flags=SYN), 0.0)
    assert out is not None
    assert (read(out).source, read(out).destination) == (CLIENT, OTHER)  # type: ignore[union-attr]
    back = balancer.translate(packet(OTHER, CLIENT, protocol=TCP), 0.0)
    assert back is not None
    assert (read(back).source, read(back).destination) == (SERVER, CLIENT)  # type: ignore[union-attr]
    foreign = packet(CLIENT, OTHER, b"of something else")
    assert balancer.translate(foreign, 0.0) == foreign
    assert balancer.translate(b"", 0.0) is None


def through(home: Home, data: bytes) -> Packet | None:
    done = home.translate(data, 0.0)
    return None if done is None else read(done)


def test_a_home_has_one_address_outside_and_answers_find_back() -> None:
    home = Home(OUTSIDE)
    out = through(home, packet(CLIENT, SERVER))
    assert out is not None
    assert out.source[0] == OUTSIDE
    assert through(home, packet(CLIENT, OTHER)) == out._replace(destination=OTHER)
    neighbour = through(home, packet(("192.0.2.8", CLIENT[1]), SERVER))
    assert neighbour is not None
    assert neighbour.source != out.source
    back = through(home, packet(SERVER, out.source))
    assert back is not None
    assert back.destination == CLIENT
    assert through(home, packet(SERVER, (OUTSIDE, 1))) is None
    assert home.bindings == 2


def test_a_home_that_has_forgotten_gives_another_port_and_drops_what_comes_to_the_old() -> None:
    home = Home(OUTSIDE)
    old = through(home, packet(CLIENT, SERVER))
    connection = through(home, packet(CLIENT, SERVER, protocol=TCP, flags=SYN))
    assert old is not None
    home.rebind()
    assert through(home, packet(SERVER, old.source)) is None
    new = through(home, packet(CLIENT, SERVER))
    assert new is not None
    assert new.source != old.source
    assert through(home, packet(CLIENT, SERVER, protocol=TCP)) == connection._replace(opens=False)  # type: ignore[union-attr]
