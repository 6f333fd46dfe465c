"""The bytes that the protocol reference shows are those that this code sends."""

import re
from pathlib import Path

from edge.voice import Codec, PlayoutReport, control, mux, records
from edge.voice.wire import (
    AudioDatagram,
    GroupHeader,
    ItemHeader,
    encode_datagram,
    encode_header,
    encode_packet,
)

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/wire.md").read_text()
TABLE = PAGE.partition("## Byte by byte")[2]
shown = [
    bytes.fromhex(example)
    for row in re.findall(r"^\|[^|]*\|([^|]*)\|$", TABLE, re.MULTILINE)
    for example in re.findall(r"`([0-9a-f ]+)`", row)
]

FIRST, SECOND = b"\xf8\xff\xfe", b"\xf8\x01"
GROUP = (
    encode_header(GroupHeader(1, 0, 0, Codec.OPUS))
    + encode_packet(FIRST, Codec.OPUS)
    + encode_packet(SECOND, Codec.OPUS)
)
REPORT = encode_datagram(PlayoutReport(1, 120, 80, 0, 1, 1234))


def test_every_example_is_what_is_sent() -> None:
    assert shown == [
        records.encode(control.SessionUpdate(session={"deadline": "chat"})),
        GROUP,
        encode_datagram(AudioDatagram(1, 0, 0, (FIRST,))),
        encode_datagram(AudioDatagram(1, 1, 20, (SECOND, FIRST))),
        REPORT,
        mux.encode(mux.DatagramFrame(REPORT)),
        mux.encode(mux.StreamData(mux.Role.CALLER.stream_id(0), GROUP, fin=True)),
        encode_header(ItemHeader(1, 1, 0, 40 * 20, Codec.OPUS)),
        mux.encode(mux.StreamStopped(mux.Role.EDGE.stream_id(0), 1)),
    ]
