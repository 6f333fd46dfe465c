"""The caller's side of what it says: utterances, numbered, written, and kept until the edge has them.

The edge confirms an utterance when it has heard it to its end. Until then, and for at most 10 s of speech, the caller
can say it again on another connection.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from edge.voice import wire
from edge.voice.actions import ExpireStream, ResetStream, SendDatagram, SendStream
from edge.voice.deadline import worth_datagrams
from edge.voice.errors import WireError
from edge.voice.frame import FRAME_MS, FRAMES_PER_GROUP, Codec, Frame
from edge.voice.groups import GroupSender
from edge.voice.ledger import FrameLedger, LedgerCount

KEPT_FRAMES = 500
"""10 s: longer than anyone goes on talking into a dead line."""


@dataclass(frozen=True, slots=True)
class Commit:
    """To be said on the control stream: the utterance is over, with ``frames`` in ``groups``."""

    utterance: int
    groups: int
    frames: int


@dataclass(frozen=True, slots=True)
class Clear:
    """To be said on the control stream: the utterance is taken back, after ``groups`` groups of it were begun."""

    utterance: int
    groups: int


Step = SendStream | SendDatagram | ResetStream | Commit | Clear


@dataclass(frozen=True, slots=True)
class Rewound:
    """``steps`` say everything again that was kept; ``whole`` is False if it begins later than what is missing."""

    steps: list[Step]
    whole: bool


@dataclass(slots=True)
class _Utterance:
    """``kept`` begins where a group does. ``before``: what had been said when it began."""

    number: int
    before: FrameLedger
    frames: int = 0  # said
    kept: deque[Frame] = field(default_factory=deque)
    end: Commit | Clear | None = None

    def is_kept_from(self, seq: int) -> bool:
        """Whether all that is wanted of it from frame ``seq`` on can be said again."""
        return isinstance(self.end, Clear) or self.frames - len(self.kept) <= seq


class StreamNumbers(Iterator[int]):
    """Of the streams that this end opens; they begin anew with each connection."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._next = 0

    def __next__(self) -> int:
        number, self._next = self._next, self._next + 1
        return number


class UtteranceWriter:
    """Says frames as they come and numbers them: utterances from 1, frames of an utterance from 0.

    The results are to be carried out in their order.
    """

    def __init__(self, codec: Codec, streams: Iterator[int], deadline_ms: int | None) -> None:
        self._codec = codec
        self._sender = GroupSender(streams)
        self._deadline_ms = deadline_ms
        self._next_deadline_ms = deadline_ms
        self._rtt_s: float | None = None
        self.said = FrameLedger()
        """To the edge that has the call now, or as good as."""
        self._utterances = deque([_Utterance(1, FrameLedger())])  # not confirmed; the last is the one in hand
        self._kept = 0
        self._connected = True

    @property
    def datagrams(self) -> bool:
        """Whether the next group goes in datagrams."""
        return worth_datagrams(self._deadline_ms, self._rtt_s)

    @property
    def in_hand(self) -> int:
        """The utterance that is being said, or will be."""
        return self._in_hand.number

    @property
    def unconfirmed(self) -> int:
        """The oldest utterance that the edge has not settled, be it the next one."""
        return self._utterances[0].number

    def set_deadline(self, deadline_ms: int | None) -> None:
        """What a frame is worth from the next group on; None from the next utterance on, or before the first word.

        Both ends keep to that: what was said with a deadline may be lost, so it cannot be waited for without end.
        """
        self._next_deadline_ms = deadline_ms
        if deadline_ms is not None or (self._in_hand.number == 1 and not self._in_hand.frames):
            self._deadline_ms = deadline_ms

    def set_rtt(self, rtt_s: float) -> None:
        """The carrier's smoothed round-trip time."""
        self._rtt_s = rtt_s

    def write(self, payloads: Sequence[bytes], now: float) -> tuple[list[Frame], list[Step]]:
        """The frames that ``payloads`` become, and what carries them. Raises ValueError for an impossible size."""
        utterance = self._in_hand
        frames = [
            Frame(utterance.number, seq, seq * FRAME_MS, payload, self._codec)
            for seq, payload in enumerate(payloads, utterance.frames)
        ]
        steps: list[Step] = [*self._send(frames, now)]
        self.said.record(frames)
        utterance.frames += len(frames)
        utterance.kept += frames
        self._kept += len(frames)
        while self._kept > KEPT_FRAMES:
            self._forget_group()
        return frames, steps

    def commit(self, now: float) -> tuple[int, list[Step]]:
        """End the utterance; its number. Raises ValueError if nothing has been said since the last one."""
        utterance = self._in_hand
        if not utterance.frames:
            raise ValueError("nothing has been said since the last commit")
        groups = -(-utterance.frames // FRAMES_PER_GROUP)
        utterance.end = Commit(utterance.number, groups, utterance.frames)
        steps: list[Step] = (
            [*self._sender.end(now, self._deadline_ms), utterance.end] if self._connected else []
        )
        self._begin()
        return utterance.number, steps

    def clear(self) -> tuple[int, list[Step]]:
        """Take the utterance in hand back; its number. Raises ValueError if nothing has been said of it."""
        utterance = self._in_hand
        if not utterance.frames:
            raise ValueError("nothing has been said since the last commit")
        utterance.end = Clear(utterance.number, -(-utterance.frames // FRAMES_PER_GROUP))
        self._kept -= len(utterance.kept)
        utterance.kept.clear()
        steps: list[Step] = [*self._sender.cancel(utterance.number), utterance.end] if self._connected else []
        self._begin()
        return utterance.number, steps

    def confirm(self, utterance: int) -> None:
        """The edge has settled an utterance, and all before it, to the end."""
        while self._utterances[0].number <= utterance and self._utterances[0].end is not None:
            self._kept -= len(self._utterances.popleft().kept)

    def detach(self) -> None:
        """The carrier is gone: what is said from now on is kept for `rewind`."""
        self._connected = False
        self._sender.forget()

    def rewind(self, utterance: int, frames: int, now: float) -> Rewound:
        """Go on with another carrier, for an edge that has ``frames`` of ``utterance`` and all before it.

        Raises `WireError` if that cannot be.
        """
        place = f"continued at frame {frames} of utterance {utterance}"
        self.confirm(utterance - 1)
        first = self._utterances[0]
        if first.number != utterance or frames > first.frames:
            raise WireError(place, f"{first.frames} frames of utterance {first.number} were said")
        self._connected = True
        whole = first.is_kept_from(frames) and all(
            said.is_kept_from(0) for said in islice(self._utterances, 1, None)
        )
        steps: list[Step] = []
        for said in self._utterances:
            missing = [frame for frame in said.kept if said is not first or frame.seq >= frames]
            steps += self._send(missing, now)
            if said.end is not None:
                steps += [*self._sender.end(now, self._deadline_ms), said.end]
        return Rewound(steps, whole)

    def frames_of(self, utterance: int) -> int | None:
        """How many an utterance has; None once it is confirmed."""
        return next((said.frames for said in self._utterances if said.number == utterance), None)

    @property
    def open_ms(self) -> int:
        """How much has been said that the edge has not settled to the end of an utterance."""
        return sum(utterance.frames for utterance in self._utterances) * FRAME_MS

    def said_until(self, frames: int | None) -> LedgerCount:
        """What was said, or of that the first ``frames`` frames: what is behind them, another edge is told again.

        What was confirmed counts in any case, and so does all if it is not known frame by frame any more.
        """
        ledger = self._utterances[0].before.copy()
        said = [frame for utterance in self._utterances for frame in utterance.kept]
        if frames is None or ledger.frames + len(said) != self.said.frames:
            return self.said.count()
        ledger.record(said[: max(0, frames - ledger.frames)])
        return ledger.count()

    def count_anew(self) -> None:
        """There is another edge, which has heard none of what is said again."""
        self.said = FrameLedger()
        for utterance in self._utterances:
            utterance.before = self.said.copy()
            self.said.record(utterance.kept)

    def get_timer(self) -> float | None:
        """When the next stream expires."""
        return self._sender.get_timer()

    def handle_timer(self, now: float) -> list[ExpireStream]:
        """The streams whose time is over."""
        return self._sender.handle_timer(now)

    @property
    def _in_hand(self) -> _Utterance:
        return self._utterances[-1]

    def _send(self, frames: list[Frame], now: float) -> list[SendStream | SendDatagram]:
        if not self._connected:
            for frame in frames:
                wire.encode_packet(frame.payload, frame.codec)  # refused now, and not when it is said
            return []
        self._sender.datagrams = self.datagrams
        return self._sender.write(frames, now, self._deadline_ms)

    def _begin(self) -> None:
        self._utterances.append(_Utterance(self._in_hand.number + 1, self.said.copy()))
        self._deadline_ms = self._next_deadline_ms

    def _forget_group(self) -> None:
        oldest = next(utterance for utterance in self._utterances if utterance.kept)
        group = oldest.kept[0].seq // FRAMES_PER_GROUP
        while oldest.kept and oldest.kept[0].seq // FRAMES_PER_GROUP == group:
            oldest.kept.popleft()
            self._kept -= 1
