"""One frame of speech, the unit in which everything here is counted."""

from dataclasses import dataclass
from enum import IntEnum

FRAME_MS = 20
FRAMES_PER_GROUP = 5
"""With a stream for each group one lost packet delays 100 ms, not the call; with a stream for each frame the headers
would weigh as much as the speech."""
GROUP_MS = FRAMES_PER_GROUP * FRAME_MS


class Codec(IntEnum):
    """What a payload is encoded with. Nothing in this package looks inside a payload."""

    OPUS = 1
    PCM16_24K = 2  # signed 16 bit little-endian, mono
    PCMU = 3  # G.711 mu-law, 8 kHz


PAYLOAD_SIZES: dict[Codec, range] = {
    # RFC 6716 section 3.2: at most 1275 bytes of a frame behind the packet's first octet.
    Codec.OPUS: range(1, 1 + 1275 + 1),
    Codec.PCM16_24K: range(960, 961),
    Codec.PCMU: range(160, 161),
}
"""Bytes that 20 ms may take; anything else cannot be one frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms of speech in one direction.

    ``utterance`` counts from 1: the caller's utterance on the uplink, the response item on the downlink. Together
    with ``seq``, which counts the frames in it from 0, it is the frame's slot. Whoever speaks leaves no slot out, so a
    hole where they are heard is a lost frame. ``pts_ms`` is the frame's time since the utterance began; it may run
    ahead of ``seq`` where a pause was not sent.
    """

    utterance: int
    seq: int
    pts_ms: int
    payload: bytes
    codec: Codec = Codec.OPUS
