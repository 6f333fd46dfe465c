"""The agent: one call's turns, from what is heard to what is said.

listening --- speech ends, or a commit ---> understanding --- words ---> speaking --- all said ---> listening
speaking --- the caller speaks over it ---> listening: `Interrupted`, and what was not heard is forgotten
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from edge.backend.base import (
    BackendContext,
    BackendInput,
    BackendReply,
    Cancelled,
    Cleared,
    ClientEvent,
    Committed,
    ResponseRequested,
    Truncated,
    settings_of,
)
from edge.backend.demo import captions, intents
from edge.backend.demo.floor import Floor
from edge.backend.demo.hearing import Hearing
from edge.backend.demo.settings import DemoSettings, updated
from edge.backend.demo.speaking import Speaking
from edge.backend.demo.voice import Voice
from edge.voice.frame import Frame
from edge.voice.ledger import FrameLedger

MAX_LETTERS = 512
"""Of four bytes each at most, in a handle."""
VOICE = Voice()
"""Of all calls of a worker: what one caller has heard need not be synthesized for the next."""


class DemoBackend:
    """Answers every turn of its caller. Raises `UsageError` if its settings are wrong."""

    Settings = DemoSettings
    continues = False

    def __init__(
        self, context: BackendContext, *, voice: Voice = VOICE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings_of(context, DemoSettings)
        self._signal = context.signal
        self._clock = clock
        self._floor = Floor()
        self._speaking = Speaking(voice, self._floor, clock, context.first_item, context.handle.decode())
        self.hearing = Hearing(
            self._settings,
            self._floor,
            clock,
            signal=context.signal,
            stop_speaking=self._speaking.stop,
            turn=self._answer,
        )
        self.heard = FrameLedger()
        self.said = FrameLedger()

    def hear(self, frames: Sequence[Frame]) -> None:
        self.heard.record(frames)
        self.hearing.hear(frames)

    def notify(self, event: BackendInput) -> None:
        match event:
            case Committed():
                self.hearing.commit()
            case Cleared(utterance=utterance):
                self.hearing.clear(utterance)
            case Cancelled(item=item, played_ms=heard_ms) | Truncated(item=item, audio_end_ms=heard_ms):
                self._truncate(item, heard_ms)
            case ResponseRequested() if not self._is_busy():
                self._speaking.say(intents.GREETING)
            case ClientEvent(fields={"type": "session.update", "session": dict(session)}):
                self._update(session)
            case _:
                pass

    async def replies(self) -> AsyncIterator[BackendReply]:
        """One item for each answer; it is spoken as fast as it is pulled."""
        async for reply in self._speaking.replies(self.said):
            yield reply

    def handle(self) -> bytes:
        """Its last words that were heard, or the last of them."""
        return self._speaking.last_heard()[-MAX_LETTERS:].encode()

    async def close(self) -> None:
        self._speaking.close()
        await self.hearing.close()

    def _answer(self, words: str) -> None:
        self._speaking.say(
            intents.answer(words, now=datetime.now().astimezone(), heard=self._speaking.last_heard())
        )

    def _is_busy(self) -> bool:
        """A response that is asked for now is the one that is coming anyway."""
        return self.hearing.is_busy or self._speaking.is_busy or self._floor.is_taken(self._clock())

    def _truncate(self, item: int, heard_ms: int) -> None:
        text = self._speaking.truncate(item, heard_ms)
        if text is not None:
            self._signal(captions.said(item, text))

    def _update(self, session: Mapping[str, Any]) -> None:
        try:
            self._settings = updated(self._settings, session)
        except msgspec.ValidationError as error:
            self._signal(captions.refused(f"session: {error}"))
            return
        self.hearing.set(self._settings)
