"""Ogg Opus as packets, and everything a file can be instead."""

import wave
from pathlib import Path

import av
import pytest

from edge.backend.opusfile import read_packets
from edge.errors import UsageError


def write_ogg(path: Path, codec: str, frames: int, options: dict[str, str] | None = None) -> Path:
    """``frames`` times 20 ms of silence."""
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono", options=options)
        container.start_encoding()
        for index in range(frames):
            frame = av.AudioFrame(format="s16", layout="mono", samples=960)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate, frame.pts = 48_000, index * 960
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_opus(path: Path, frame_duration: int = 20, frames: int = 50) -> Path:
    return write_ogg(path, "libopus", frames, {"frame_duration": str(frame_duration)})


def write_wav(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(3200))
    return path


def write_garbage(path: Path) -> Path:
    path.write_bytes(b"OggS" + bytes(100))
    return path


def test_every_packet_is_read_as_it_was_written(tmp_path: Path) -> None:
    packets = read_packets(write_opus(tmp_path / "a.opus"))
    # A second is 50 packets, and the encoder's delay spills into one more.
    assert len(packets) == 51
    assert all(packet[0] >> 3 == packets[0][0] >> 3 for packet in packets)


@pytest.mark.parametrize(
    "write,problem",
    [
        (lambda path: path, "cannot be read as Ogg Opus: .*No such file"),
        (lambda path: path.parent, "cannot be read as Ogg Opus"),
        (write_garbage, "cannot be read as Ogg Opus"),
        (write_wav, "cannot be read as Ogg Opus"),
        (lambda path: write_ogg(path, "flac", 50), "not an Ogg Opus file"),
        (lambda path: write_opus(path, frames=0), "cannot be read as Ogg Opus: .*End of file"),
        (
            lambda path: write_opus(path, frame_duration=60),
            "packet 0 is not one frame of 20 ms; encode it so",
        ),
        (
            lambda path: write_opus(path, frame_duration=10),
            "packet 0 is not one frame of 20 ms; encode it so",
        ),
    ],
    ids=["missing", "directory", "garbage", "WAV", "FLAC", "no audio", "60 ms", "10 ms"],
)
def test_anything_else_is_refused_by_name(write: object, problem: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.opus")  # type: ignore[operator]
    with pytest.raises(UsageError, match=f"{path}: {problem}"):
        read_packets(path)
