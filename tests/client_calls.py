"""Calls in memory, and a backend that tells the test what it heard."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from edge.backend.base import Committed
from edge.backend.echo import EchoBackend
from edge.client import audio, connect, speech
from edge.keys import KeyRing

PACKETS = audio.read_speech(speech.recording("hello"))
NAME = "voice.example"
OTHER_KEYS = KeyRing.new(bytes(range(1, 33)), datetime(2026, 1, 1, tzinfo=UTC))
"""Of a node that can open nothing of what the others have sealed."""


class Remembering(EchoBackend):
    """An echo that tells the test what it heard."""

    calls: ClassVar[list[Remembering]] = []

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self.utterances: list[int] = []
        Remembering.calls.append(self)

    def notify(self, event: Any) -> None:
        if isinstance(event, Committed):
            self.utterances.append(event.utterance)
        super().notify(event)


def call_to(world: Any, **options: Any) -> Any:
    return connect(NAME, ca=world.authority.ca, **{"carrier": "quic", "early_data": False, **options})
