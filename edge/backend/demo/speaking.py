"""The agent's half of the conversation in which it speaks itself: answers go in, replies come out as they are pulled."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from edge.backend.base import BackendReply, Failed, ItemBegun, ItemEnded, ItemFrames
from edge.backend.demo import captions, sentences
from edge.backend.demo.floor import Floor
from edge.backend.demo.intents import Answer
from edge.backend.demo.sentences import Speech
from edge.backend.demo.voice import Voice, VoiceError
from edge.voice.frame import FRAME_MS, Frame
from edge.voice.ledger import FrameLedger

REMEMBERED_ITEMS = 8
WAITING_ANSWERS = 4
"""To a caller that does not wait for the answers to its questions; of more the oldest are not given."""
LAST_WORDS = "last words"
"""The answer to this intent is not remembered: it repeats another."""


class Speaking:
    """One call's. Items count from ``first_item``; ``before`` was heard of an agent whose place this one takes."""

    def __init__(
        self, voice: Voice, floor: Floor, clock: Callable[[], float], first_item: int, before: str = ""
    ) -> None:
        self._voice = voice
        self._floor = floor
        self._clock = clock
        self._item = first_item - 1  # the latest begun
        self._answers: deque[Answer] = deque(maxlen=WAITING_ANSWERS)
        self._before = before
        self._speeches: dict[int, Speech] = {}
        self._speaking = False
        self._speaking_item: int | None = None
        self._stopped = False  # what is being said
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def is_busy(self) -> bool:
        """There is something to say."""
        return self._speaking or bool(self._answers)

    def say(self, answer: Answer) -> None:
        """Behind what is being said."""
        self._answers.append(answer)
        self._changed.set()

    def stop(self) -> None:
        """Say nothing more of what there is to say."""
        self._answers.clear()
        self._stopped = True
        self._floor.leave()

    def truncate(self, item: int, played_ms: int) -> str | None:
        """Stop ``item``, and forget what was not heard of it. Returns what was; None if it is not remembered."""
        if item == self._speaking_item:
            self._stopped = True
        if item == self._item:
            self._floor.leave()
        speech = self._speeches.get(item)
        if speech is None:
            return None
        speech.truncate(played_ms)
        return speech.text()

    def last_heard(self) -> str:
        """The latest words that the caller has heard."""
        texts = (speech.text() for speech in reversed(self._speeches.values()) if speech.intent != LAST_WORDS)
        return next(filter(None, texts), self._before)

    def close(self) -> None:
        self.stop()
        self._closed = True
        self._changed.set()

    async def replies(self, said: FrameLedger) -> AsyncIterator[BackendReply]:
        """Answer after answer, one item each, until `close`. ``said`` counts the frames."""
        while not self._closed:
            if not self._answers:
                self._changed.clear()
                await self._changed.wait()
                continue
            answer = self._answers.popleft()
            self._speaking, self._stopped = True, False
            async with aclosing(self._speak(answer)) as replies:
                async for reply in replies:
                    if self._stopped:
                        break
                    if isinstance(reply, ItemFrames):
                        said.record(reply.frames)
                        self._floor.give(len(reply.frames) * FRAME_MS, self._clock())
                    yield reply
            self._speaking, self._speaking_item = False, None

    async def _speak(self, answer: Answer) -> AsyncGenerator[BackendReply, None]:
        speech = Speech(answer.intent)
        seq = 0
        try:
            for text in sentences.split(answer.text):
                spoken = await self._voice.speak(text, keep=answer.fixed)
                if self._stopped:
                    return
                if seq == 0:
                    self._begin(speech)
                    yield ItemBegun(self._item)
                speech.add(spoken.sentence)
                yield captions.saying(self._item, text if seq == 0 else f" {text}")
                while packets := await spoken.more():
                    yield ItemFrames(self._item, self._frames(seq, packets))
                    seq += len(packets)
        except VoiceError as error:
            yield Failed("speech_failed", str(error))
            return
        yield captions.said(self._item, speech.text())
        yield ItemEnded(self._item)

    def _begin(self, speech: Speech) -> None:
        self._item += 1
        self._speaking_item = self._item
        self._speeches[self._item] = speech
        if len(self._speeches) > REMEMBERED_ITEMS:
            del self._speeches[next(iter(self._speeches))]

    def _frames(self, seq: int, packets: list[bytes]) -> list[Frame]:
        return [Frame(self._item, at, at * FRAME_MS, packet) for at, packet in enumerate(packets, seq)]
