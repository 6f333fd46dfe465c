"""Speak every shipped text again: ``python -m edge.client.speech.make_speech``.

Needs ``flite`` (Debian package of that name). The result does not depend on the day or the machine beyond
the versions of flite and libopus, so running it twice changes nothing.
"""

import array
import math
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import av

from edge.backend import opusfile
from edge.client import speech
from edge.voice.frame import FRAME_MS

VOICE = "rms"
RATE = 48_000
BITRATE = 24_000
LEVEL_DB = -20.0
"""Loudness after normalization: root mean square of what is spoken, relative to full scale."""
PEAK_DB = -1.0
SILENCE_BELOW = 300
"""A sample quieter than this (of 32768) is a pause and says nothing about how loud the speech is."""

_HERE = Path(__file__).parent
TEXTS = (
    _HERE.parents[1] / "backend" / "story.txt",
    *(_HERE / f"{name}.txt" for name in speech.NAMES + speech.QUESTIONS),
)


def speak(text: str) -> av.AudioFrame:
    """``text`` in the voice of `VOICE`: mono, 16 bit, 48 kHz."""
    with tempfile.TemporaryDirectory() as directory:
        spoken = Path(directory) / "spoken.wav"
        subprocess.run(["flite", "-voice", VOICE, "-t", text, "-o", str(spoken)], check=True)
        with wave.open(str(spoken)) as recording:
            samples, rate = recording.readframes(recording.getnframes()), recording.getframerate()
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    resampled = [*resampler.resample(_frame(samples, rate)), *resampler.resample(None)]
    return _frame(b"".join(bytes(part.planes[0])[: part.samples * 2] for part in resampled), RATE)


def normalize(frame: av.AudioFrame) -> av.AudioFrame:
    """The same speech at `LEVEL_DB`, less if a peak would pass `PEAK_DB`."""
    samples = array.array("h", bytes(frame.planes[0])[: frame.samples * 2])
    spoken = [sample for sample in samples if abs(sample) >= SILENCE_BELOW]
    level = math.sqrt(sum(sample * sample for sample in spoken) / len(spoken))
    peak = max(abs(sample) for sample in spoken)
    gain = min(_amplitude(LEVEL_DB) / level, _amplitude(PEAK_DB) / peak)
    return _frame(array.array("h", (round(sample * gain) for sample in samples)).tobytes(), frame.sample_rate)


def write_opus(frame: av.AudioFrame, path: Path) -> None:
    """Encode as packets of 20 ms. The "bitexact" flag keeps date and dice out of the file."""
    options = {"application": "voip", "frame_duration": str(FRAME_MS)}
    with av.open(str(path), "w", format="ogg", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono", options=options)
        stream.bit_rate = BITRATE
        container.mux([*stream.encode(frame), *stream.encode(None)])


def _frame(samples: bytes, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples) // 2, align=1)
    frame.planes[0].update(samples)
    frame.sample_rate = rate
    return frame


def _amplitude(level_db: float) -> float:
    return 32768 * math.pow(10, level_db / 20)


def main() -> None:
    for text in TEXTS:
        target = text.with_suffix(".opus")
        write_opus(normalize(speak(text.read_text(encoding="utf-8"))), target)
        packets = opusfile.read_packets(target)
        seconds = len(packets) * FRAME_MS / 1000
        sys.stderr.write(f"{target.name}: {seconds:.1f} s, {sum(map(len, packets))} bytes of Opus\n")


if __name__ == "__main__":
    main()
