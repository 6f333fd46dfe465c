"""The shipped recordings: playable, of the promised length and loudness, and what their packages contain."""

import array
import math
from pathlib import Path

import av
import pytest

from edge.backend import story
from edge.backend.opusfile import read_packets
from edge.client import speech
from edge.voice import FRAME_MS

STORY = Path(story.__file__).parent / "story.opus"
RECORDINGS = [
    (STORY, 45, 60),
    (speech.recording("hello"), 2, 4),
    (speech.recording("train"), 7, 9),
    *((speech.recording(name), 1, 3) for name in speech.QUESTIONS),
]


@pytest.mark.parametrize(
    "path,shortest_s,longest_s", RECORDINGS, ids=lambda value: getattr(value, "stem", "")
)
def test_length(path: Path, shortest_s: float, longest_s: float) -> None:
    assert shortest_s <= len(read_packets(path)) * FRAME_MS / 1000 <= longest_s


@pytest.mark.parametrize("path", [path for path, *_ in RECORDINGS], ids=lambda path: path.stem)
def test_it_plays_at_a_decent_level(path: Path) -> None:
    """Decoded by FFmpeg as any player would: speech at -20 dB, nothing clipped."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
    samples = array.array("h")
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name in ("opus", "libopus")
        for decoded in container.decode(audio=0):
            for frame in resampler.resample(decoded):
                samples.frombytes(bytes(frame.planes[0])[: frame.samples * 2])
    spoken = [sample for sample in samples if abs(sample) >= 300]
    level_db = 20 * math.log10(math.sqrt(sum(s * s for s in spoken) / len(spoken)) / 32768)
    assert -22 <= level_db <= -18
    assert max(map(abs, spoken)) < 32767


@pytest.mark.parametrize("path", [path for path, *_ in RECORDINGS], ids=lambda path: path.stem)
def test_its_words_lie_beside_it(path: Path) -> None:
    words_per_s = len(path.with_suffix(".txt").read_text().split()) / (len(read_packets(path)) * 0.02)
    assert 2 <= words_per_s <= 4


def test_the_two_callers_say_different_things() -> None:
    hello, train = (read_packets(speech.recording(name)) for name in speech.NAMES)
    assert hello != train[: len(hello)]
