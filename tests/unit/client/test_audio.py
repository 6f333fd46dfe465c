"""edge.client.audio: files in, packets of 20 ms, files out."""

from __future__ import annotations

import array
import math
import wave
from itertools import pairwise
from pathlib import Path

import pytest

from edge.client import audio, speech
from edge.errors import UsageError


def tone(path: Path, *, rate: int, channels: int, seconds: float, width: int = 2) -> Path:
    """A WAV file of 440 Hz at half of full scale."""
    samples = [0.5 * math.sin(2 * math.pi * 440 * n / rate) for n in range(int(rate * seconds))]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        if width == 1:
            file.writeframes(bytes(round(128 + 127 * s) for s in samples for _ in range(channels)))
        else:
            scaled = array.array("h", (round(32767 * s) for s in samples for _ in range(channels)))
            file.writeframes(scaled.tobytes())
    return path


def samples_of(path: Path) -> array.array[int]:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2)
        return array.array("h", file.readframes(file.getnframes()))


def level(samples: array.array[int]) -> float:
    return math.sqrt(sum(s * s for s in samples) / len(samples))


def crossings(samples: array.array[int]) -> int:
    return sum(1 for a, b in pairwise(samples) if a < 0 <= b)


@pytest.mark.parametrize(
    "rate, channels, width", [(8_000, 1, 1), (16_000, 1, 2), (44_100, 2, 2), (48_000, 1, 2), (96_000, 2, 2)]
)
def test_any_wav_comes_back_as_long_as_loud_and_as_high_as_it_was(
    tmp_path: Path, rate: int, channels: int, width: int
) -> None:
    packets = audio.read_speech(
        tone(tmp_path / "in.wav", rate=rate, channels=channels, width=width, seconds=1.0)
    )
    # One second and the encoder's look-ahead of 6.5 ms.
    assert len(packets) in {50, 51}
    audio.write_wav(tmp_path / "out.wav", packets)
    samples = samples_of(tmp_path / "out.wav")
    assert len(samples) == len(packets) * audio.SAMPLES
    middle = samples[4_800:43_200]  # 0.8 s clear of the fade-in and of the padding
    assert crossings(middle) == pytest.approx(440 * 0.8, abs=2)
    assert level(middle) == pytest.approx(0.5 * 32767 / math.sqrt(2), rel=0.1)


def test_speech_costs_about_24_kilobits_a_second(tmp_path: Path) -> None:
    audio.write_wav(tmp_path / "train.wav", audio.read_speech(speech.recording("train")))
    packets = audio.read_speech(tmp_path / "train.wav")
    rate = sum(map(len, packets)) * 8 / (len(packets) * 0.020)
    assert 15_000 < rate < 33_000


def test_an_opus_file_is_taken_packet_by_packet_unchanged(tmp_path: Path) -> None:
    original = speech.recording("hello")
    copy = tmp_path / "hello.opus"
    copy.write_bytes(original.read_bytes())
    assert audio.read_speech(copy) == audio.read_speech(original)


def test_what_is_missing_or_not_opus_is_silent_and_moves_nothing_else(tmp_path: Path) -> None:
    packets: list[bytes | None] = list(
        audio.read_speech(tone(tmp_path / "in.wav", rate=48_000, channels=1, seconds=1.0))
    )
    packets[20:22] = [None, b"\xff" * 40]
    audio.write_wav(tmp_path / "out.wav", packets)
    samples = samples_of(tmp_path / "out.wav")
    assert len(samples) == len(packets) * audio.SAMPLES
    hole = slice(20 * audio.SAMPLES, 22 * audio.SAMPLES)
    assert not any(samples[hole])
    assert level(samples[30 * audio.SAMPLES : 40 * audio.SAMPLES]) > 8_000


def test_an_empty_recording_is_an_empty_file(tmp_path: Path) -> None:
    audio.write_wav(tmp_path / "out.wav", [])
    assert len(samples_of(tmp_path / "out.wav")) == 0


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 4096, b"#EXTM3U\nhttp://192.0.2.1/a.wav\n"])
def test_what_is_not_audio_is_a_usage_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"broken\.wav"):
        audio.read_speech(path)


def test_a_missing_file_and_an_unwritable_place_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.wav"):
        audio.read_speech(tmp_path / "nowhere.wav")
    with pytest.raises(UsageError, match=r"no-such-folder"):
        audio.write_wav(tmp_path / "no-such-folder" / "out.wav", [])


def test_a_wav_without_a_sample_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no audio"):
        audio.read_speech(tone(tmp_path / "in.wav", rate=48_000, channels=1, seconds=0))
