"""Opus packets <-> PCM: signed 16 bit, mono, 20 ms a packet; lost packets are concealed or recovered.

Shapes: a frame of PCM is ``rate_hz / 50`` samples of two bytes, little-endian (as this machine is).
"""

import ctypes
from collections.abc import Sequence
from typing import Any, Literal

from edge.backend import libopus
from edge.backend.libopus import LIB
from edge.errors import EdgeError
from edge.voice.frame import FRAME_MS, PAYLOAD_SIZES, Codec, Frame

Rate = Literal[8000, 16000, 24000, 48000]

BITRATE = 24_000
EXPECTED_LOSS_PERCENT = 10
"""What the encoder is told to expect: from 2 % on it spends bits on FEC at `BITRATE`, at 10 % about a fifth."""
CONCEALED_FRAMES = 50
"""Of one hole. Concealment has faded to silence long before; what is longer is cut short."""

_MONO = 1
_SAMPLE_BYTES = 2
_MAX_PACKET = PAYLOAD_SIZES[Codec.OPUS].stop - 1


class OpusError(EdgeError):
    """libopus refused: a packet that is not Opus or not 20 ms, or a rate that it does not know."""


class Decoder:
    """Packets of one direction, in their order, to PCM at ``rate_hz``, whatever rate they were made from."""

    def __init__(self, rate_hz: Rate) -> None:
        self._samples = rate_hz * FRAME_MS // 1000
        self._state = ctypes.create_string_buffer(_checked(LIB.opus_decoder_get_size(_MONO)))
        _checked(LIB.opus_decoder_init(self._state, rate_hz, _MONO))
        self._pcm = ctypes.create_string_buffer(self._samples * _SAMPLE_BYTES)
        self._utterance: int | None = None
        self._seq = 0  # of the next frame that `decode_frames` expects

    def decode(self, packet: bytes) -> bytes:
        """The 20 ms of ``packet``. Raises `OpusError`; the decoder can go on."""
        return self._decode(packet, fec=False)

    def conceal(self) -> bytes:
        """20 ms in place of a packet that is lost, made from what was before (RFC 6716 section 4.4)."""
        return self._decode(None, fec=False)

    def recover(self, next_packet: bytes) -> bytes:
        """The 20 ms before ``next_packet``, from the copy that it carries (RFC 6716 section 2.1.7).

        Concealed if it carries none. Decode ``next_packet`` itself after that. Raises `OpusError`.
        """
        return self._decode(next_packet, fec=True)

    def decode_frames(self, frames: Sequence[Frame]) -> bytes:
        """The speech of ``frames`` and of the holes in their ``seq``, also of a hole since the last call.

        What is not Opus, or not one packet of 20 ms, is concealed as if it were lost.
        """
        return b"".join(self._decode_frame(frame) for frame in frames)

    def _decode_frame(self, frame: Frame) -> bytes:
        lost = max(0, frame.seq - (self._seq if frame.utterance == self._utterance else 0))
        self._utterance, self._seq = frame.utterance, frame.seq + 1
        packet = (
            frame.payload if frame.codec is Codec.OPUS else b""
        )  # to libopus an empty packet is a lost one
        pcm = [self.conceal() for _ in range(min(lost, CONCEALED_FRAMES) - 1)]
        try:
            if lost:
                pcm.append(self.recover(packet))
            pcm.append(self.decode(packet))
        except OpusError:
            pcm += [self.conceal() for _ in range(min(lost, CONCEALED_FRAMES) + 1 - len(pcm))]
        return b"".join(pcm)

    def _decode(self, packet: bytes | None, *, fec: bool) -> bytes:
        samples = _checked(
            LIB.opus_decode(self._state, packet, len(packet or b""), self._pcm, self._samples, fec)
        )
        if samples != self._samples:
            raise OpusError(f"a packet of {samples * FRAME_MS / self._samples:g} ms; wanted is {FRAME_MS}")
        return self._pcm.raw


class Encoder:
    """PCM at ``rate_hz`` to packets of 20 ms at ``bitrate`` (bit/s), with in-band FEC unless told otherwise."""

    def __init__(self, rate_hz: Rate, bitrate: int = BITRATE, fec: bool = True) -> None:
        self._samples = rate_hz * FRAME_MS // 1000
        self._state = ctypes.create_string_buffer(_checked(LIB.opus_encoder_get_size(_MONO)))
        _checked(LIB.opus_encoder_init(self._state, rate_hz, _MONO, libopus.APPLICATION_VOIP))
        self._control(libopus.SET_BITRATE, ctypes.c_int32(bitrate))
        self._control(libopus.SET_INBAND_FEC, ctypes.c_int32(fec))
        self._control(libopus.SET_PACKET_LOSS_PERC, ctypes.c_int32(EXPECTED_LOSS_PERCENT if fec else 0))
        lookahead = ctypes.c_int32()
        self._control(libopus.GET_LOOKAHEAD, ctypes.byref(lookahead))
        self._tail = bytes(lookahead.value * _SAMPLE_BYTES)
        self._packet = ctypes.create_string_buffer(_MAX_PACKET)
        self._rest = b""
        self._fresh = True

    def encode(self, pcm: bytes) -> list[bytes]:
        """The packets that are complete with ``pcm``, of any length; what is over waits for the next call."""
        pcm, size = self._rest + pcm, self._samples * _SAMPLE_BYTES
        whole = len(pcm) - len(pcm) % size
        self._rest = pcm[whole:]
        return [self._encode(pcm[start : start + size]) for start in range(0, whole, size)]

    def flush(self) -> list[bytes]:
        """The packets with the last of the speech, filled up with silence; the encoder begins anew.

        Two at most: the codec looks ahead by some milliseconds, and what it still holds belongs to the speech.
        """
        if self._fresh and not self._rest:
            return []
        size = self._samples * _SAMPLE_BYTES
        missing = -len(self._rest + self._tail) % size
        packets = self.encode(self._tail + bytes(missing))
        self._control(libopus.RESET_STATE)
        self._rest, self._fresh = b"", True
        return packets

    def _encode(self, pcm: bytes) -> bytes:
        self._fresh = False
        size = _checked(LIB.opus_encode(self._state, pcm, self._samples, self._packet, _MAX_PACKET))
        return self._packet.raw[:size]

    def _control(self, request: int, *arguments: Any) -> None:
        _checked(LIB.opus_encoder_ctl(self._state, request, *arguments))


def _checked(result: int) -> int:
    """libopus answers with a count, or an error below zero."""
    if result < 0:
        raise OpusError(f"libopus: {LIB.opus_strerror(result).decode()}")
    return result
