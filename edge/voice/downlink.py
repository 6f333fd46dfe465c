"""The edge's side of what the caller hears: speech not yet written or not yet heard, let out by the lead window.

`turns` has the theory, `reply` one item, `way` how it travels, `lead` how far ahead, `barge_in` what it cost.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from edge.voice import wire
from edge.voice.actions import Action
from edge.voice.anatomy import Turn, TurnTimes
from edge.voice.barge_in import BargeIn
from edge.voice.deadline import Deadlines
from edge.voice.frame import FRAME_MS, Frame
from edge.voice.lead import Lead, LeadWindow
from edge.voice.reply import Reply
from edge.voice.speech import Speech
from edge.voice.turns import RESUME_S, Stage, Trigger, can
from edge.voice.way import Ways
from edge.voice.wire import PlayoutReport

RING_MS = 30_000
CHUNK_MS = 1000
"""The most that is spoken at once. While there is room for that much in the ring, audio is wanted."""
REMEMBERED = 64
"""Items that are over and can still be truncated."""


@dataclass(frozen=True, slots=True)
class Finished:
    """All ``frames`` of an item are on the wire, for the first time. It is not over until they are played.

    ``cut``: there would have been more.
    """

    item: int
    frames: int
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """An item is cancelled, after ``frames`` of it were on the wire. ``finished``: `Finished` has been told of it."""

    item: int
    frames: int
    account: BargeIn
    finished: bool


Progress = Action | Finished | Dropped | Turn


class Downlink:
    """Items in the order begun; each goes out whole before the next starts. `turns` tells what can happen to one."""

    def __init__(self, lead: Lead, deadlines: Deadlines) -> None:
        self.window = LeadWindow(lead)
        self.deadlines = deadlines
        """Assign others at any time: they hold from the next item on."""
        self._rtt_s: float | None = None
        self._times = TurnTimes()
        self._items: deque[Reply] = deque()
        self._begun = 0
        self._ways = Ways()
        self._attached = True
        self._over: dict[int, int] = {}  # item -> milliseconds received of it
        self._told: list[Progress] = []  # by what is no pump

    # --- the backend's speech --------------------------------------------------------------------------

    @property
    def wants_audio(self) -> bool:
        waiting_ms = sum(item.speech.waiting for item in self._items) * FRAME_MS
        return waiting_ms + CHUNK_MS <= RING_MS

    def begin_at(self, number: int, frames: int, now: float) -> None:
        """Go on for a caller that has ``frames`` of item ``number`` and all before it; nothing has been said here yet.

        With frames the item is begun, and goes on or is cut.
        """
        self._begun = number if frames else number - 1
        if frames:
            self._items.append(Reply(Speech(number, frames), self.deadlines.downlink_ms))
            self.window.adopt(number, frames * FRAME_MS, now)

    def cut(self, number: int) -> None:
        """Nobody can say the rest of this item."""
        item = self._find(number)
        if item is not None:
            item.speech.ended = item.cut = True

    def begin(self) -> int:
        """A new item's number, counted from 1."""
        self._begun += 1
        self._items.append(Reply(Speech(self._begun), self.deadlines.downlink_ms))
        return self._begun

    def speak(self, number: int, frames: Sequence[Frame], now: float) -> None:
        """Put frames of one codec into the ring; for an item that is gone (cancelled) they are dropped.

        Raises ValueError, and takes none, if a payload cannot be a frame of its codec or the codec changes.
        """
        item = self._find(number)
        if item is None or not frames:
            return
        codec = frames[0].codec if item.speech.generated == item.speech.start else item.speech.codec
        if any(frame.codec != codec for frame in frames):
            raise ValueError(f"item {number} began as {codec.name} and cannot change its codec")
        for frame in frames:
            wire.encode_packet(frame.payload, codec)
        item.speech.codec = codec
        item.speech.give([frame.payload for frame in frames])
        self._tell(self._times.audio_given(number, now))

    def end(self, number: int) -> None:
        """No more frames will come for this item."""
        item = self._find(number)
        if item is not None:
            item.speech.ended = True

    # --- the caller's word -----------------------------------------------------------------------------

    def set_rtt(self, rtt_s: float) -> None:
        """The carrier's smoothed round-trip time."""
        self._rtt_s = rtt_s
        self.window.set_rtt(rtt_s)

    def speech_ended(self, at: float) -> None:
        """The caller has stopped speaking: what the backend says next is the answer, and is timed (`Turn`)."""
        self._times.speech_ended(at)

    def report(self, report: PlayoutReport, now: float) -> bool:
        """How far the caller has come; False if a later report has been taken already."""
        if not self.window.report(report, now):
            return False
        reported = self._find(report.item)
        if reported is not None and reported.speech.at:
            for item in self._items:
                if item.number < report.item:
                    item.speech.whole_heard()
            reported.speech.reported(report, self.window.played_of(report.item))
            self._tell(self._times.reported(report.item, reported.speech.played_ms, now, self._rtt_s))
        self._retire()
        return True

    def truncation_ms(self, number: int, audio_end_ms: int) -> int | None:
        """Where a transcript is cut when the caller says ``audio_end_ms``; None for an item not known any more."""
        item = self._find(number)
        received_ms = item.speech.received_ms if item else self._over.get(number)
        return None if received_ms is None else min(audio_end_ms, received_ms)

    # --- interruptions ---------------------------------------------------------------------------------

    def interrupt(self, number: int | None, now: float) -> list[Action]:
        """The caller interrupts an item, or with None all. It can be taken back for `RESUME_S`."""
        done: list[Action] = []
        for item in self._items:
            if number in (None, item.number) and can(item.stage, Trigger.INTERRUPTED):
                done += item.leave()
                item.move(Trigger.INTERRUPTED)
                item.paused_until = now + RESUME_S
                self.window.hold()
        return done

    def resume(self, number: int, frames: int) -> bool:
        """The interruption was none: go on at frame ``frames`` of item ``number``; what is before it is whole.

        False if nothing is interrupted any more: the cancellation stands.
        """
        paused = [item for item in self._items if item.stage is Stage.PAUSED]
        for item in paused:
            whole = self._rewind(item, number, frames)
            item.move(Trigger.KEPT if whole else Trigger.RESUMED)
        return bool(paused)

    def lapse(self) -> list[Action | Dropped]:
        """The caller goes on to something else: what it has interrupted it will not take back any more."""
        paused = [item for item in self._items if item.stage is Stage.PAUSED]
        return [dropped for item in paused for dropped in self._drop(item, Trigger.LAPSED)]

    def cancel(self, number: int | None) -> list[Action | Dropped]:
        """An item, or with None all, shall not be heard any further, and that is final."""
        done: list[Action | Dropped] = []
        for item in [item for item in self._items if number in (None, item.number)]:
            done += item.leave()
            done += self._drop(item, Trigger.STOPPED)
        return done

    # --- the carrier -----------------------------------------------------------------------------------

    def detach(self) -> None:
        """The carrier is gone, with all streams. Nothing is written and no timer runs until `attach`."""
        self._attached = False
        for item in self._items:
            item.way = None
            if item.stage is Stage.SPEAKING:
                item.move(Trigger.CARRIER_LOST)

    def attach(self, number: int, frames: int) -> None:
        """A new carrier, with its own streams, to a caller that has ``frames`` of item ``number`` and all before it."""
        self.detach()
        self._attached = True
        self._ways = Ways()
        self.window.reconnected()
        for item in self._items:
            whole = self._rewind(item, number, frames)
            if item.stage is Stage.SENT and not whole:
                item.move(Trigger.MISSING)

    @property
    def is_written(self) -> bool:
        """Whether all that was begun is on the wire to its end."""
        return all(item.stage is Stage.SENT for item in self._items)

    def item_of(self, stream: int) -> int | None:
        """The item that travels on ``stream``."""
        return next((item.number for item in self._items if item.way and item.way.runs_on(stream)), None)

    # --- writing ---------------------------------------------------------------------------------------

    def pump(self, now: float) -> list[Progress]:
        """What the window lets out now, and what the clock decides."""
        if not self._attached:
            return []
        done, self._told = self._told, []
        done += self._ways.handle_timer(now)
        for item in [item for item in self._items if item.stage is not Stage.SENT]:
            if item.stage is Stage.PAUSED and now >= item.paused_until:
                done += self._drop(item, Trigger.LAPSED)
                continue
            if item.stage is Stage.PAUSED or not self._write(item, now, done):
                break
        self._retire()
        return done

    def get_timer(self) -> float | None:
        """When `pump` will have something to do, if the clock alone can tell."""
        if not self._attached:
            return None
        timers = (self._ways.get_timer(), self._next_step_at())
        return min((timer for timer in timers if timer is not None), default=None)

    def _next_step_at(self) -> float | None:
        item = next((item for item in self._items if item.stage is not Stage.SENT), None)
        if item is None:
            return None
        if item.stage is Stage.PAUSED:
            return item.paused_until
        return self.window.opens_at(item.quantum_ms) if item.speech.waiting else None

    def _write(self, item: Reply, now: float, done: list[Progress]) -> bool:
        """Write what may be written of ``item``; whether that was the last of it."""
        speech = item.speech
        count = self._releasable(item, now)
        ends = speech.ended and count == speech.waiting
        if not count and not ends:
            return False
        if item.way is None:
            item.way = self._ways.open(speech, item.deadline_ms)
            item.move(Trigger.OPENED)
        self._ways.choose(item.deadline_ms, self._rtt_s)
        done += item.way.write(speech.take(count), ends, self.window.ahead_ms(now), now)
        if count:
            self.window.write(item.number, count * FRAME_MS, now)
            self._times.written(item.number, now)
        if ends:
            item.move(Trigger.WRITTEN)
            if not item.finished:
                item.finished = True
                done.append(Finished(item.number, speech.generated, item.cut))
        return ends

    def _releasable(self, item: Reply, now: float) -> int:
        """Number of frames. Where the window is the brake, frames go in groups: five to a packet, not one."""
        budget_ms = self.window.budget_ms(now)
        if budget_ms < item.quantum_ms:
            return 0
        return min(budget_ms // FRAME_MS, item.speech.waiting)

    # --- an item's steps -------------------------------------------------------------------------------

    def _rewind(self, item: Reply, number: int, frames: int) -> bool:
        whole = item.rewind(number, frames)
        self.window.rewind(item.number, item.speech.at * FRAME_MS)
        return whole

    def _drop(self, item: Reply, trigger: Trigger) -> list[Dropped]:
        cancel_ms = None if self._rtt_s is None else round(self._rtt_s * 500, 1)
        item.move(trigger)
        self._forget(item)
        return [Dropped(item.number, item.speech.wire, item.speech.account(cancel_ms), item.finished)]

    def _retire(self) -> None:
        """Forget what has been heard to its end."""
        for item in list(self._items):
            if item.is_heard:
                item.move(Trigger.HEARD)
                self._forget(item)

    def _forget(self, item: Reply) -> None:
        self._items.remove(item)
        self.window.discard(item.number)
        self._tell(self._times.over(item.number))
        self._over[item.number] = item.speech.received_ms
        if len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]

    def _tell(self, turn: Turn | None) -> None:
        if turn is not None:
            self._told.append(turn)

    def _find(self, number: int) -> Reply | None:
        return next((item for item in self._items if item.number == number), None)
