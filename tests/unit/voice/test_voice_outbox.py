"""What goes first on a WebSocket, and what can still be taken back."""

from __future__ import annotations

import random
from collections.abc import Iterator

from edge.voice.errors import Code
from edge.voice.mux import Close, DatagramFrame, Frame, Inbound, Role, StreamData, StreamReset, decode
from edge.voice.outbox import CHUNK_BYTES, MAX_DATAGRAMS, Outbox


def drained(outbox: Outbox) -> Iterator[Frame]:
    while (message := outbox.next_message()) is not None:
        yield decode(message)


def test_control_overtakes_datagrams_and_those_overtake_streams() -> None:
    outbox = Outbox(Role.EDGE)
    outbox.send_stream(0, b"speech", fin=False)
    outbox.send_datagram(b"report")
    outbox.send_control(b"{}")
    assert outbox.unsent_bytes == 14
    assert list(drained(outbox)) == [
        StreamData(0, b"{}", fin=False),
        DatagramFrame(b"report"),
        StreamData(3, b"speech", fin=False),
    ]
    assert outbox.unsent_bytes == 0
    assert not outbox


def test_large_data_goes_in_pieces_that_others_get_between() -> None:
    outbox = Outbox(Role.CALLER)
    outbox.send_stream(0, bytes(2 * CHUNK_BYTES + 1), fin=True)
    first = outbox.next_message()
    outbox.send_control(b"{}")
    control, *rest = drained(outbox)
    assert first is not None
    assert decode(first) == StreamData(2, bytes(CHUNK_BYTES), fin=False)
    assert control == StreamData(0, b"{}", fin=False)
    assert rest == [StreamData(2, bytes(CHUNK_BYTES), fin=False), StreamData(2, b"\0", fin=True)]


def test_an_end_without_data_is_sent() -> None:
    outbox = Outbox(Role.CALLER)
    outbox.send_stream(0, b"", fin=True)
    assert list(drained(outbox)) == [StreamData(2, b"", fin=True)]


def test_a_reset_takes_back_what_waits_and_keeps_its_place() -> None:
    """Streams begin in the order of their numbers; a reset of one that has not begun must not come early."""
    outbox = Outbox(Role.EDGE)
    outbox.send_stream(0, b"a", fin=True)
    outbox.send_stream(1, b"bb", fin=False)
    outbox.send_stream(1, b"cc", fin=True)
    outbox.send_stream(2, b"d", fin=True)
    outbox.reset_stream(1, 1)
    assert outbox.unsent_bytes == 2
    assert list(drained(outbox)) == [
        StreamData(3, b"a", fin=True),
        StreamReset(7, 1),
        StreamData(11, b"d", fin=True),
    ]


def test_a_reset_of_what_has_begun_goes_first() -> None:
    outbox = Outbox(Role.EDGE)
    outbox.send_stream(0, b"a", fin=False)
    assert len(list(drained(outbox))) == 1
    outbox.send_stream(1, b"b", fin=True)
    outbox.reset_stream(0, 1)
    assert list(drained(outbox)) == [StreamReset(3, 1), StreamData(7, b"b", fin=True)]


def test_a_reset_of_what_is_out_whole_is_not_sent() -> None:
    outbox = Outbox(Role.EDGE)
    outbox.send_stream(0, b"a", fin=True)
    assert len(list(drained(outbox))) == 1
    outbox.reset_stream(0, 1)
    outbox.reset_stream(0, 1)
    assert list(drained(outbox)) == []


def test_a_stream_expires_only_while_some_of_it_waits() -> None:
    outbox = Outbox(Role.EDGE)
    outbox.send_stream(0, b"a", fin=True)
    assert len(list(drained(outbox))) == 1
    outbox.send_stream(1, b"b", fin=True)
    outbox.expire_stream(0)
    outbox.expire_stream(1)
    assert list(drained(outbox)) == [StreamReset(7, Code.DEADLINE)]


def test_the_latest_datagrams_are_kept() -> None:
    outbox = Outbox(Role.CALLER)
    for number in range(MAX_DATAGRAMS + 3):
        outbox.send_datagram(bytes([number]))
    assert outbox.unsent_bytes == MAX_DATAGRAMS
    assert next(drained(outbox)) == DatagramFrame(b"\x03")


def test_a_close_lets_go_of_speech_and_is_the_last() -> None:
    outbox = Outbox(Role.EDGE)
    outbox.send_stream(0, b"speech", fin=False)
    outbox.send_datagram(b"report")
    outbox.send_control(b"why")
    outbox.close(8, "too much")
    outbox.send_control(b"more")
    outbox.send_stream(0, b"more", fin=True)
    outbox.send_datagram(b"more")
    outbox.reset_stream(0, 1)
    assert outbox.unsent_bytes == 3
    assert list(drained(outbox)) == [StreamData(0, b"why", fin=False), Close(8, "too much")]


def test_what_is_abandoned_is_silent() -> None:
    outbox = Outbox(Role.EDGE)
    outbox.send_control(b"why")
    outbox.send_stream(0, b"speech", fin=False)
    outbox.abandon()
    outbox.send_control(b"more")
    assert outbox.unsent_bytes == 0
    assert list(drained(outbox)) == []


def test_whatever_a_session_asks_the_peer_finds_no_fault() -> None:
    """Random verbs and a wire that takes something now and then: the peer's rules hold, and the count of bytes, too."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    outbox, peer = Outbox(Role.EDGE), Inbound(Role.EDGE)
    begun = 0  # streams that the session has written on, in their order
    over: set[int] = set()
    for _ in range(20_000):
        number = dice.randint(max(0, begun - 5), begun)
        match dice.randrange(7):
            case 0 | 1 if number not in over:
                fin = dice.random() < 0.3
                outbox.send_stream(number, dice.randbytes(dice.randrange(50)), fin)
                begun = max(begun, number + 1)
                over |= {number} if fin else set()
            case 2 if number < begun:
                outbox.reset_stream(number, 1)
                over.add(number)
            case 3 if number in over:
                outbox.expire_stream(number)
            case 4:
                outbox.send_datagram(b"x" * dice.randrange(50))
                outbox.send_control(b"y" * dice.randrange(50))
            case _:
                if (message := outbox.next_message()) is not None:
                    peer.receive(message, 0)
        waiting = sum(
            len(frame.data)
            for frame in (*outbox._urgent, *(entry.frame for entry in outbox._streams))
            if isinstance(frame, StreamData)
        )
        assert outbox.unsent_bytes == waiting + sum(map(len, outbox._datagrams)), seed
    for message in iter(outbox.next_message, None):
        peer.receive(message, 0)
    assert outbox.unsent_bytes == 0
