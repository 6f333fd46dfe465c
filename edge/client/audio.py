"""Speech in and out of files: any audio file <-> Opus packets of one 20 ms frame, mono, 48 kHz."""

import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from edge.backend import opusfile
from edge.errors import UsageError
from edge.voice import FRAME_MS

RATE = 48_000
BITRATE = 24_000
SAMPLES = RATE * FRAME_MS // 1000
"""Samples in one frame."""

_SAMPLE_BYTES = 2  # signed 16 bit
_SILENCE = bytes(SAMPLES * _SAMPLE_BYTES)


def read_speech(path: Path) -> list[bytes]:
    """The speech in ``path`` as Opus packets of 20 ms.

    A file that ends in ``.opus`` is taken as it is; anything else that FFmpeg can decode (any WAV) is mixed to
    mono, resampled and encoded at 24 kb/s. Raises `UsageError` that names the file if it is missing, not
    audio or empty.
    """
    if path.suffix == ".opus":
        return opusfile.read_packets(path)
    try:
        # Opened here and not by FFmpeg, which would take a name like "http://..." for an address.
        with path.open("rb") as file, av.open(file, "r") as container:
            if not container.streams.audio:
                raise UsageError(f"{path}: holds no audio")
            packets = list(_encode(container.decode(audio=0)))
    except (OSError, av.error.FFmpegError) as error:
        raise UsageError(f"{path}: cannot be read as audio: {error.strerror or error}") from error
    if not packets:
        raise UsageError(f"{path}: holds no audio")
    return packets


def write_wav(path: Path, packets: Iterable[bytes | None]) -> None:
    """Decode ``packets`` into a WAV file of 48 kHz, mono, 16 bit; None and what is not Opus become silence.

    Every entry takes 20 ms, so the file is as long as the call it records. Raises `UsageError` if ``path``
    cannot be written.
    """
    try:
        with path.open("wb") as file, wave.open(file, "wb") as recording:
            recording.setnchannels(1)
            recording.setsampwidth(_SAMPLE_BYTES)
            recording.setframerate(RATE)
            recording.writeframes(b"".join(_decode(packets)))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error}") from error


def _encode(frames: Iterable[av.AudioFrame]) -> Iterator[bytes]:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "s16"
    encoder.time_base = Fraction(1, RATE)
    encoder.bit_rate = BITRATE
    encoder.options = {"application": "voip", "frame_duration": str(FRAME_MS)}
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE, frame_size=SAMPLES)
    for frame in chain(frames, (None,)):
        for resampled in resampler.resample(frame):
            yield from map(bytes, encoder.encode(resampled))
    yield from map(bytes, encoder.encode(None))


def _decode(packets: Iterable[bytes | None]) -> Iterator[bytes]:
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = RATE, "mono"
    for packet in packets:
        yield _decode_one(decoder, packet) if packet else _SILENCE


def _decode_one(decoder: av.AudioCodecContext, packet: bytes) -> bytes:
    try:
        (frame,) = decoder.decode(av.Packet(packet))
    except (av.error.FFmpegError, ValueError):
        return _SILENCE
    return bytes(frame.planes[0])[: SAMPLES * _SAMPLE_BYTES].ljust(len(_SILENCE), b"\0")
