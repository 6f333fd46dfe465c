"""What a caller hears: frames put in order, played by the clock, and silenced when the caller interrupts."""

from collections import deque
from collections.abc import Iterable

from edge.voice import wire
from edge.voice.errors import WireError
from edge.voice.events import FramesReceived, ItemDone, Underran
from edge.voice.items import ItemReader
from edge.voice.items import Progress as Read
from edge.voice.ledger import FrameLedger, LedgerCount
from edge.voice.playout import Playout
from edge.voice.turns import RESUME_S

REMEMBERED = 64
"""Interrupted items of which the edge may still say that it knows."""

Heard = FramesReceived | ItemDone | Underran


class Hearing:
    """The owner is told what each method returns, and after every step what `settle` does."""

    def __init__(self, start_ms: int) -> None:
        self.playout = Playout(start_ms)
        self.items = ItemReader()
        self.ledger = FrameLedger()
        self._lost_before = self._late_before = 0  # the ledger began
        self._final_at: float | None = None  # when an interruption cannot be taken back any more
        self._interrupted: list[int] = []
        self._refused: deque[int] = deque(maxlen=REMEMBERED)

    @property
    def refused(self) -> list[int]:
        """Items interrupted that the edge has not ended yet. It may not know: say it again on another connection."""
        return [*self._refused]

    @property
    def count(self) -> LedgerCount:
        """Frames heard, and lost."""
        return self.ledger.count().without(self.items.lost - self._lost_before)

    @property
    def late(self) -> int:
        """Frames that came after they had been declared lost."""
        return self.items.late - self._late_before

    # --- what the carrier brings -----------------------------------------------------------------------

    def receive(self, stream_id: int, data: bytes, fin: bool, now: float) -> list[Heard]:
        return self._play(self.items.receive(stream_id, data, fin, now), now)

    def reset(self, stream_id: int, code: int, now: float) -> list[Heard]:
        return self._play(self.items.reset(stream_id, code, now), now)

    def receive_datagram(self, data: bytes, now: float) -> list[Heard]:
        datagram = wire.decode_datagram(data)
        if not isinstance(datagram, wire.AudioDatagram):
            raise WireError("datagram", "a playout report, but the edge hears nothing")
        return self._play(self.items.receive_datagram(datagram, now), now)

    # --- what the edge says by event -------------------------------------------------------------------

    def finish(self, item: int, frames: int, now: float) -> list[Heard]:
        """``item`` has ``frames`` frames."""
        return self._play(self.items.finish(item, frames, now), now)

    def give_up(self, item: int, now: float) -> list[Heard]:
        """No more of ``item`` shall be heard; saying it twice changes nothing."""
        if item in self._refused:
            self._refused.remove(item)
        self.playout.flush(now, item)
        return self._play(self.items.cancel(item, now), now)

    # --- interruptions ---------------------------------------------------------------------------------

    def interrupt(self, now: float) -> tuple[list[int], list[int]]:
        """Fall silent: the items that are interrupted, and the streams that still bring some of them."""
        self.playout.pause(now)
        items, streams = self.items.pause()
        self._final_at = now + RESUME_S
        # One that has come whole may still be playing. By name, lest an answer be hit that the edge only begins.
        self._interrupted = sorted({*items, *self.playout.items})
        self._refused += (item for item in self._interrupted if item not in self._refused)
        return self._interrupted or [self.playout.item], streams

    def resume(self, now: float) -> list[Heard] | None:
        """It was no interruption: go on, as the edge does from `ItemReader.position`; None if it is too late."""
        if self._final_at is None or now >= self._final_at:
            return None
        self._final_at = None
        for item in self._interrupted:
            if item in self._refused:
                self._refused.remove(item)
        heard = self._play(self.items.resume(), now)
        self.playout.resume(now)
        return heard

    def detach(self, now: float) -> list[Heard]:
        """The carrier is gone: what is here is played on, and an interruption is final, as it is at the edge."""
        heard = self._silence(now) if self._final_at is not None else []
        self.items.detach()
        return heard

    def count_anew(self) -> None:
        """There is another edge, that goes on from `ItemReader.position`: what is here of that is played."""
        self.items.forget()
        self._refused.clear()
        self.ledger = FrameLedger()
        self._lost_before, self._late_before = self.items.lost, self.items.late

    # --- time ------------------------------------------------------------------------------------------

    def get_timer(self) -> float | None:
        """When the playout reaches its end, a hole is given up, or an interruption is final."""
        timers = (self.playout.get_timer(), self.items.get_timer(self.playout.dry_at), self._final_at)
        return min((at for at in timers if at is not None), default=None)

    def settle(self, now: float) -> list[Heard]:
        """What is so by now."""
        self.playout.advance(now)
        heard: list[Heard] = []
        if self._final_at is not None and now >= self._final_at:
            heard += self._silence(now)
        while given_up := self.items.settle(now, self.playout.dry_at):
            heard += self._play(given_up, now)
        while self.playout.gaps:
            heard.append(self.playout.gaps.popleft())
        return heard

    def _silence(self, now: float) -> list[Heard]:
        """The interruption was one. What is flushed was interrupted; what comes after it is heard."""
        self._final_at = None
        self.playout.flush(now)
        return self._play(self.items.silence(now), now)

    def _play(self, progress: Iterable[Read], now: float) -> list[Heard]:
        heard: list[Heard] = []
        for event in progress:
            if isinstance(event, FramesReceived):
                self.ledger.record(event.frames)
                self.playout.push(event.item, event.frames[-1].seq + 1, now)
            else:
                if event.lost and not event.cancelled:
                    # Perhaps at the very end, where no later frame tells of it.
                    self.playout.push(event.item, event.frames + event.lost, now)
                self.playout.end(event.item, now)
            heard.append(event)
        return heard
