"""Speech in and out of files: any audio file <-> Opus packets of one 20 ms frame, mono, 48 kHz."""

from __future__ import annotations

import wave
from array import array
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from edge.backend import opusfile
from edge.backend.opus import Decoder, OpusError
from edge.client.player import CHUNK_BYTES, RATE, Sound, SoundDecoder
from edge.errors import UsageError
from edge.voice import FRAME_MS

BITRATE = 24_000
SAMPLES = RATE * FRAME_MS // 1000
"""Samples in one frame."""

_SAMPLE_BYTES = 2  # signed 16 bit
_SILENCE = bytes(CHUNK_BYTES)


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
    _write(path, 1, b"".join(_decode(packets)))


def write_stereo(path: Path, begins_at: float, left: Sequence[Sound], right: Sequence[Sound]) -> None:
    """The same with two channels, in which each sound is where it sounded. Raises `UsageError` as above."""
    channels = [_mix(sounds, begins_at) for sounds in (left, right)]
    samples = array("h", bytes(2 * max(map(len, channels)) * _SAMPLE_BYTES))
    for number, channel in enumerate(channels):
        samples[number : 2 * len(channel) : 2] = channel
    _write(path, 2, samples.tobytes())


def _write(path: Path, channels: int, pcm: bytes) -> None:
    try:
        with path.open("wb") as file, wave.open(file, "wb") as recording:
            recording.setnchannels(channels)
            recording.setsampwidth(_SAMPLE_BYTES)
            recording.setframerate(RATE)
            recording.writeframes(pcm)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error}") from error


def _mix(sounds: Sequence[Sound], begins_at: float) -> array[int]:
    """The samples of one side; of two sounds in one place the later is heard."""
    decoder = SoundDecoder()
    pcm = bytearray()
    for sound in sounds:
        start = max(0, round((sound.at - begins_at) * RATE)) * _SAMPLE_BYTES
        pcm += bytes(max(0, start - len(pcm)))
        pcm[start : start + CHUNK_BYTES] = decoder.decode(sound)
    return array("h", bytes(pcm))


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
    decoder = Decoder(RATE)
    for packet in packets:
        try:
            yield decoder.decode(packet) if packet else _SILENCE
        except OpusError:
            yield _SILENCE
