"""The agent's half of the conversation in which the caller speaks: frames come in, turns as words go out."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from edge.backend.base import Failed, Interrupted, Signal, SpeechStarted, SpeechStopped
from edge.backend.demo.captions import StableWords, understanding, understood
from edge.backend.demo.ear import Ear, Heard
from edge.backend.demo.endpointer import WINDOW_FRAMES, Endpointer
from edge.backend.demo.floor import BARGE_IN_MS, Floor
from edge.backend.demo.listener import Listener, RecogniserLost
from edge.backend.demo.settings import DemoSettings
from edge.voice.frame import FRAME_MS, Frame

Wanted = Literal["always", "if understood", "never"]
"""An answer to a turn: a caller that commits waits for one; what a voice detector took for speech may be none."""


class Hearing:
    """One call's. ``turn`` is called with the words of each of the caller's turns, "" if it wanted to be heard and was not."""

    def __init__(
        self,
        settings: DemoSettings,
        floor: Floor,
        clock: Callable[[], float],
        *,
        signal: Callable[[Signal], None],
        stop_speaking: Callable[[], None],
        turn: Callable[[str], None],
    ) -> None:
        self.listener = Listener(self._show)
        self._floor = floor
        self._clock = clock
        self._signal = signal
        self._stop_speaking = stop_speaking
        self._turn = turn
        self._ear = Ear()
        self._endpointer = Endpointer(None)
        self._stable = StableWords()
        self._utterance = 0
        self._at_ms = 0  # how much of it has been heard
        self._turns = 0  # that it has had
        self._over_agent = False  # the turn in hand began while the agent was heard
        self._understanding: dict[asyncio.Task[None], int] = {}  # turns, and of which utterance
        self.set(settings)
        self.listener.start()

    def set(self, settings: DemoSettings) -> None:
        self._barge_in = settings.barge_in
        self._endpointer.silence_ms = settings.silence_ms if settings.turn_detection == "server_vad" else None

    @property
    def is_busy(self) -> bool:
        """There are turns whose words are not known yet."""
        return bool(self._understanding)

    def hear(self, frames: Sequence[Frame]) -> None:
        """What the caller says."""
        for frame in frames:
            if frame.utterance != self._utterance:
                self._utterance, self._turns = frame.utterance, 0
            for heard in self._ear.hear([frame]):
                self._at_ms = heard.at_ms
                self._hear(heard)

    def commit(self) -> None:
        """The caller's turn is over now. If it has said nothing at all, it hears so."""
        if self._endpointer.speaking:
            self._end_turn("always")
        elif self._turns == 0:
            self._turn("")
        self._turns = 0

    def clear(self, utterance: int) -> None:
        """Nothing that was heard of it and not yet understood shall be answered."""
        for task, of in self._understanding.items():
            if of == utterance:
                task.cancel()
        if self._endpointer.speaking and self._utterance == utterance:
            self._end_turn("never")

    async def close(self) -> None:
        for task in self._understanding:
            task.cancel()
        await asyncio.gather(*self._understanding, return_exceptions=True)
        self.listener.close()

    def _hear(self, heard: Heard) -> None:
        now = self._clock()
        taken = self._floor.is_taken(now)
        if taken and not self._barge_in:
            return
        if self._floor.hear(heard.voice, now):
            self._stop_speaking()
            self._signal(Interrupted())
        change = self._endpointer.hear(heard.voice)
        if change == "started":
            self._over_agent = taken
            self._stable = StableWords()
            self._signal(SpeechStarted(max(0, heard.at_ms - WINDOW_FRAMES * FRAME_MS)))
            for pcm in self._ear.before:
                self.listener.hear(pcm)
        elif self._endpointer.speaking or change == "stopped":
            self.listener.hear(heard.pcm)
        if change == "stopped":
            cough = self._over_agent and self._endpointer.voice_ms < BARGE_IN_MS
            self._end_turn("never" if cough else "if understood")

    def _end_turn(self, answer: Wanted) -> None:
        self._signal(SpeechStopped(max(0, self._at_ms - self._endpointer.silent_ms)))
        self._endpointer.end()
        self._turns += 1
        final = self.listener.finish()
        task = asyncio.create_task(self._understand(final, self._utterance, answer))
        self._understanding[task] = self._utterance
        task.add_done_callback(lambda _: self._understanding.pop(task))

    async def _understand(self, final: asyncio.Future[str], utterance: int, answer: Wanted) -> None:
        try:
            words = await final
        except RecogniserLost as error:
            self._stop_speaking()
            self._signal(Failed("recogniser_lost", str(error)))
            return
        if answer == "always" or (words and answer == "if understood"):
            self._signal(understood(utterance, words))
            self._turn(words)

    def _show(self, words: str) -> None:
        delta = self._stable.more(words)
        if delta:
            self._signal(understanding(self._utterance, delta))
