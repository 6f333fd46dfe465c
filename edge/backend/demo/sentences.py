"""Spoken text: its sentences, and which of their words have been heard at a given moment. Pure."""

import re
from dataclasses import dataclass

from edge.voice.frame import FRAME_MS

LONGEST = 300
"""Characters of one sentence; what is longer is cut between words, so that speech begins early all the same."""

_BETWEEN = re.compile(r"(?<=[.!?])\s+")
_PAUSE = 3
"""Letters' worth of time that a comma takes."""


def split(text: str) -> list[str]:
    """The sentences of ``text``, none longer than `LONGEST`."""
    return [part for sentence in _BETWEEN.split(text.strip()) for part in _cut(sentence)]


def _cut(sentence: str) -> list[str]:
    parts, rest = [], sentence
    while len(rest) > LONGEST:
        at = rest.rfind(" ", 1, LONGEST + 1)
        at = at if at > 0 else LONGEST
        parts.append(rest[:at])
        rest = rest[at:].lstrip()
    return [*parts, rest] if rest else parts


@dataclass(frozen=True, slots=True)
class Sentence:
    """``text`` spoken in ``frames`` of 20 ms, of which those from ``begins`` to before ``ends`` sound."""

    text: str
    frames: int
    begins: int
    ends: int

    def heard(self, frames: int) -> str:
        """The words that were over after the first ``frames``.

        The sentence's ends are known to the frame. Within it words are taken to be as long as they are written,
        which is right to about a word.
        """
        if frames >= self.ends:
            return self.text
        words = self.text.split()
        weights = [len(word) + 1 + (_PAUSE if word[-1] in ",;:" else 0) for word in words]
        reached = sum(weights) * (frames - self.begins) / max(1, self.ends - self.begins)
        count = 0
        for weight in weights:
            reached -= weight
            if reached < 0:
                break
            count += 1
        return " ".join(words[:count])


class Speech:
    """What was said in one item, in answer to ``intent``, and how far it was heard."""

    def __init__(self, intent: str) -> None:
        self.intent = intent
        self._sentences: list[Sentence] = []
        self._heard_frames: int | None = None

    def add(self, sentence: Sentence) -> None:
        """The next one."""
        self._sentences.append(sentence)

    def truncate(self, played_ms: int) -> None:
        """No more than ``played_ms`` was heard; what is added later was not heard at all."""
        frames = played_ms // FRAME_MS
        self._heard_frames = frames if self._heard_frames is None else min(frames, self._heard_frames)

    @property
    def heard_ms(self) -> int:
        """Of the item's speech, in whole frames."""
        said = sum(sentence.frames for sentence in self._sentences)
        return FRAME_MS * (said if self._heard_frames is None else min(said, self._heard_frames))

    def text(self) -> str:
        """The words that were heard."""
        left, heard = self.heard_ms // FRAME_MS, []
        for sentence in self._sentences:
            if left <= 0:
                break
            heard.append(sentence.heard(left))
            left -= sentence.frames
        return " ".join(filter(None, heard))
