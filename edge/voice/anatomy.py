"""Anatomy of a turn: how long the caller waited for an answer, and for whom.

    end of the caller's speech ... first audio from the backend ... first byte on the wire ... first played
                               backend_ms                       edge_added_ms                  network, playout

A turn begins when the caller's speech ends and belongs to the first item that begins to sound after that. What is said
unasked, was being said already, or goes on after the first item, is no turn and is not measured.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """Milliseconds since the end of the caller's speech; None for what has not happened or nobody knows.

    ``edge_added_ms`` is what the edge itself kept the answer waiting: from the backend's first audio to the wire.
    """

    item: int
    backend_ms: float
    wire_ms: float | None
    played_ms: float | None

    @property
    def edge_added_ms(self) -> float | None:
        return None if self.wire_ms is None else round(self.wire_ms - self.backend_ms, 1)


@dataclass(slots=True)
class _Answer:
    """Moments in seconds of the session's clock."""

    item: int
    asked_at: float
    backend_at: float
    wire_at: float | None = None
    played_at: float | None = None

    def turn(self) -> Turn:
        return Turn(
            self.item, self._since(self.backend_at), self._known(self.wire_at), self._known(self.played_at)
        )

    def _known(self, at: float | None) -> float | None:
        return None if at is None else self._since(at)

    def _since(self, at: float) -> float:
        return round((at - self.asked_at) * 1000, 1)


class TurnTimes:
    """Follows the turn in hand. What ends it returns the `Turn`; the rest returns nothing."""

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self._answer: _Answer | None = None
        self._latest = 0  # the latest item of which there is audio

    def speech_ended(self, at: float) -> None:
        """The caller has stopped speaking. Of several such moments before an answer the latest counts."""
        self._asked_at = at

    def audio_given(self, item: int, now: float) -> Turn | None:
        """The backend gave audio of ``item``; a turn before it, whose playing nobody reported, ends with that."""
        went_on, self._latest = item <= self._latest, max(item, self._latest)
        if self._asked_at is None or went_on:
            return None
        unheard = self._answer
        self._answer = _Answer(item, self._asked_at, now)
        self._asked_at = None
        return unheard.turn() if unheard else None

    def written(self, item: int, now: float) -> None:
        """Some of ``item`` went on the wire."""
        if self._answer and self._answer.item == item and self._answer.wire_at is None:
            self._answer.wire_at = now

    def reported(self, item: int, played_ms: int, now: float, rtt_s: float | None) -> Turn | None:
        """The caller says that ``item`` sounds, or did last; it said so half a round trip ago."""
        answer = self._answer
        if answer is None or item < answer.item:
            return None
        if item == answer.item and rtt_s is not None:
            # An estimate; but nothing is played before it was sent.
            answer.played_at = max(now - rtt_s / 2 - played_ms / 1000, answer.wire_at or 0.0)
        return self.over(answer.item)

    def over(self, item: int) -> Turn | None:
        """Nothing more will be known of ``item``."""
        if self._answer is None or self._answer.item != item:
            return None
        turn = self._answer.turn()
        self._answer = None
        return turn
