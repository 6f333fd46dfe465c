"""How well speech came through: words that a recogniser gets wrong, and PESQ.

The recogniser is given a sentence as a whole and then takes its cepstral means from that alone: a verdict depends on
the sentence and on which of its frames were lost, and on nothing that was heard before.
"""

from dataclasses import dataclass
from functools import cache

import jiwer
import numpy as np
import pocketsphinx
from voice.recordings import RATE_HZ, Sentence, hear

try:
    from pesq import NoUtterancesError, pesq
except ImportError:
    pesq = None


LOWEST = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one sentence; ``pesq`` is wideband MOS-LQO (P.862.2), 1.0 to 4.6, or None where it was not installed."""

    words: int
    wrong: int
    pesq: float | None


def judge(sentence: Sentence, there: tuple[bool, ...]) -> Verdict:
    """``there`` says which packets arrived."""
    pcm = hear(sentence, there)
    measured = jiwer.process_words(sentence.text, recognise(pcm) or "-")
    wrong = measured.substitutions + measured.deletions + measured.insertions
    return Verdict(len(sentence.text.split()), wrong, quality(sentence.pcm, pcm))


def recognise(pcm: bytes) -> str:
    """The words in it."""
    decoder = _decoder()
    decoder.start_utt()
    decoder.process_raw(pcm, no_search=False, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


def quality(reference: bytes, degraded: bytes) -> float | None:
    """PESQ against what flite said; the lowest mark where nothing is left in which it could find speech."""
    if pesq is None:
        return None
    if not any(degraded):
        return LOWEST
    try:
        return float(pesq(RATE_HZ, np.frombuffer(reference, "<i2"), np.frombuffer(degraded, "<i2"), "wb"))
    except NoUtterancesError:
        return LOWEST


@cache
def _decoder() -> pocketsphinx.Decoder:
    return pocketsphinx.Decoder(samprate=RATE_HZ, loglevel="FATAL")
