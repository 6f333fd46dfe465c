"""Who has the floor: whether the agent is being heard at the moment, and whether the caller speaks over it."""

from edge.voice.frame import FRAME_MS

ECHO_GUARD_S = 0.3
"""After it begins to be heard: an echo canceller hears nothing but the agent until it has learned its echo."""
BARGE_IN_MS = 250
"""So much voice over the agent's is an interruption; less is a cough."""


class Floor:
    """Times in seconds of one clock. What is played is guessed: from when it is given away, without a pause."""

    def __init__(self) -> None:
        self._since = self._until = float("-inf")
        self._voice_ms = 0

    def give(self, speech_ms: int, now: float) -> None:
        """More of the agent's speech is on its way to the caller."""
        if now >= self._until:
            self._since = self._until = now
            self._voice_ms = 0
        self._until += speech_ms / 1000

    def leave(self) -> None:
        """The agent is not heard any more."""
        self._until = float("-inf")

    def is_taken(self, now: float) -> bool:
        """By the agent."""
        return now < self._until

    def hear(self, voice: bool, now: float) -> bool:
        """Take 20 ms of the caller's; True if it interrupts with them."""
        if not self.is_taken(now) or now < self._since + ECHO_GUARD_S:
            self._voice_ms = 0
            return False
        self._voice_ms = max(0, self._voice_ms + (FRAME_MS if voice else -FRAME_MS))
        return self._voice_ms >= BARGE_IN_MS
