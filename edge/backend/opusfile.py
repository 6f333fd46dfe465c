"""Ogg Opus files as the packets that travel: one packet, one frame of 20 ms, never decoded."""

from pathlib import Path

import av

from edge.errors import UsageError
from edge.voice.frame import FRAME_MS

# RFC 6716 section 3.1, table 2: the five high bits of a packet's first octet name its frame duration.
_SILK = (10.0, 20.0, 40.0, 60.0)
_HYBRID = (10.0, 20.0)
_CELT = (2.5, 5.0, 10.0, 20.0)
_DURATIONS_MS = _SILK * 3 + _HYBRID * 2 + _CELT * 4
_ONE_FRAME = 0  # "code 0" in the two low bits


def read_packets(path: Path) -> list[bytes]:
    """The Opus packets of ``path`` in order.

    Raises `UsageError` that names the file if it is missing, not Ogg Opus, empty, or packed otherwise than
    one 20 ms frame a packet.
    """
    try:
        with av.open(str(path), format="ogg") as container:
            if not container.streams.audio or container.streams.audio[0].codec_context.name != "opus":
                raise UsageError(f"{path}: not an Ogg Opus file")
            packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    except (OSError, av.error.FFmpegError) as error:
        raise UsageError(f"{path}: cannot be read as Ogg Opus: {error}") from error
    for index, packet in enumerate(packets):
        if not _is_one_frame(packet):
            raise UsageError(f"{path}: packet {index} is not one frame of {FRAME_MS} ms; encode it so")
    return packets


def _is_one_frame(packet: bytes) -> bool:
    return _DURATIONS_MS[packet[0] >> 3] == FRAME_MS and packet[0] & 0b11 == _ONE_FRAME
