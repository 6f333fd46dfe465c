"""The caller's speech as ``input_audio_buffer.append``: PCM16, base64, 100 ms at a time."""

import base64
from collections.abc import Sequence
from typing import Final

from edge.backend.dialect import Outbox
from edge.backend.openai.session import PCM_RATE_HZ
from edge.backend.opus import Decoder
from edge.voice.frame import Frame

BATCH_MS: Final = 100
"""Also the least that a backend takes for a turn."""

_BYTES_PER_MS = PCM_RATE_HZ * 2 // 1000
_BATCH = BATCH_MS * _BYTES_PER_MS


class Uplink:
    """Puts what is heard into ``outgoing``. The backend counts milliseconds since the connection was made."""

    def __init__(self, outgoing: Outbox) -> None:
        self._outgoing = outgoing
        self._decoder = Decoder(PCM_RATE_HZ)
        self._batch = bytearray()
        self._appended_ms = 0
        self._utterance: int | None = None
        self._utterance_at_ms = 0
        self._uncommitted = 0  # bytes

    def hear(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            if frame.utterance != self._utterance:
                self._utterance, self._utterance_at_ms = frame.utterance, self._position_ms()
            self._add(self._decoder.decode_frames([frame]))

    def commit(self) -> bool:
        """All of a turn is with the backend now. False if there is nothing of it."""
        if not self._uncommitted:
            return False
        if self._uncommitted < _BATCH:
            self._add(bytes(_BATCH - self._uncommitted))
        self._flush()
        self._uncommitted = 0
        return True

    def fall_silent(self, duration_ms: int) -> None:
        """Let the backend hear that the caller has stopped, who sends nothing then."""
        self._add(bytes(duration_ms * _BYTES_PER_MS))
        self._flush()

    def clear(self) -> None:
        """Take back what the backend has not been sent yet."""
        self._batch.clear()
        self._uncommitted = 0

    def reset(self) -> None:
        """A new connection counts from zero."""
        self.clear()
        self._appended_ms = 0
        self._utterance = None

    def in_utterance_ms(self, position_ms: int) -> int:
        """The backend's ``position_ms`` as time since the latest utterance began."""
        return max(0, min(position_ms, self._position_ms()) - self._utterance_at_ms)

    def _position_ms(self) -> int:
        return self._appended_ms + len(self._batch) // _BYTES_PER_MS

    def _add(self, pcm: bytes) -> None:
        self._batch += pcm
        self._uncommitted += len(pcm)
        while len(self._batch) >= _BATCH:
            self._append(bytes(self._batch[:_BATCH]))
            del self._batch[:_BATCH]

    def _flush(self) -> None:
        if self._batch:
            self._append(bytes(self._batch))
            self._batch.clear()

    def _append(self, pcm: bytes) -> None:
        # Nothing in base64 needs escaping in JSON.
        audio = base64.b64encode(pcm).decode("ascii")
        self._outgoing.put(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')
        self._appended_ms += len(pcm) // _BYTES_PER_MS
