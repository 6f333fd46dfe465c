"""The edge's side of what the caller says: what `Reassembly` delivers, and the ends that the caller tells."""

from dataclasses import dataclass

from edge.voice.errors import WireError
from edge.voice.events import FramesHeard, UtteranceCleared, UtteranceCommitted
from edge.voice.frame import FRAMES_PER_GROUP
from edge.voice.reassembly import Reassembly
from edge.voice.slots import Delivered
from edge.voice.units import Ended, Limits
from edge.voice.units import Progress as Received
from edge.voice.wire import AudioDatagram

Progress = FramesHeard | UtteranceCommitted | UtteranceCleared


@dataclass(frozen=True, slots=True)
class UplinkLimits:
    """What a caller can make the edge hold while earlier speech is missing. Beyond it the call is ended."""

    utterances: int = 64
    groups: int = 600  # a minute of speech; also the streams that are open at once
    held_bytes: int = 512 * 1024  # of payload


class Uplink:
    """Delivers each frame once, by utterance and seq; utterances count from 1 and none is left out.

    The frames that are next in turn are delivered as they arrive; later ones wait for them, as long as the deadline
    lets them. An utterance is over when it is committed and all of its frames are here or lost, or when it is
    cleared, and only then the next begins. Whatever contradicts that raises `WireError`.
    """

    def __init__(self, limits: UplinkLimits, deadline_ms: int | None) -> None:
        self._in_hand = 1  # one more than the last utterance that was committed or cleared
        self._heard_any = False
        self._reassembly = Reassembly(
            Limits(limits.utterances, limits.groups, limits.held_bytes), deadline_ms, noun="utterance"
        )

    def begin_at(self, utterance: int) -> None:
        """The first utterance here is this one; nothing has been heard yet."""
        self._in_hand = utterance
        self._reassembly.begin_at(utterance)

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has been heard yet."""
        return not self._heard_any and self._in_hand == 1

    @property
    def lost(self) -> int:
        """Frames that were declared lost, over the whole call."""
        return self._reassembly.lost

    @property
    def late(self) -> int:
        """Frames of those that came yet."""
        return self._reassembly.late

    @property
    def position(self) -> tuple[int, int]:
        """The utterance in hand and how many frames of it are settled; all before it are settled whole."""
        return self._reassembly.position

    def set_deadline(self, deadline_ms: int | None) -> None:
        """The caller's choice: for the utterance in hand, but no deadline only for those after it.

        What was said with a deadline may be lost, so it cannot be waited for without end; and what was committed
        before the choice keeps the deadline it was said with. The caller does the same (`UtteranceWriter`). Before
        anything is heard, there is nothing to which another deadline was given.
        """
        first = self._in_hand if deadline_ms is not None else self._in_hand + 1
        self._reassembly.set_deadline(deadline_ms, first if self._heard_any else 1)

    def receive(self, stream_id: int, data: bytes, fin: bool, now: float) -> list[Progress]:
        """Bytes of one of the caller's streams; the result is what they let through."""
        self._heard_any = True
        return _told(self._reassembly.receive(stream_id, data, fin, now))

    def receive_datagram(self, datagram: AudioDatagram, now: float) -> list[Progress]:
        """Speech in a datagram."""
        self._heard_any = True
        return _told(self._reassembly.receive_datagram(datagram, now))

    def reset(self, stream_id: int, code: int, now: float) -> list[Progress]:
        """The caller gave one of its streams up, by the deadline or because it cleared the utterance."""
        return _told(self._reassembly.reset(stream_id, code, now))

    def commit(self, utterance: int, groups: int, frames: int, now: float) -> list[Progress]:
        """The caller says that ``utterance`` consists of ``frames`` frames in ``groups`` groups."""
        place = f"commit of utterance {utterance}"
        if frames == 0:
            raise WireError(place, "it is empty")
        if groups != -(-frames // FRAMES_PER_GROUP):
            raise WireError(place, f"{frames} frames cannot be in {groups} groups")
        self._in_hand = max(self._in_hand, utterance + 1)
        return _told(self._reassembly.end(utterance, frames, now, place))

    def clear(self, utterance: int, now: float) -> list[Progress]:
        """The caller takes an utterance back, committed or not; one that is over cannot be."""
        self._in_hand = max(self._in_hand, utterance + 1)
        return _told(self._reassembly.drop(utterance, now, f"clear of utterance {utterance}"))

    def detach(self) -> None:
        """The caller's carrier is gone; it will say again what is behind `position`."""
        self._reassembly.detach()

    def get_timer(self) -> float | None:
        """When the frame that is missing is lost."""
        return self._reassembly.get_timer()

    def handle_timer(self, now: float) -> list[Progress]:
        """Declare lost whose time has come."""
        return _told(self._reassembly.handle_timer(now))


def _told(received: list[Received]) -> list[Progress]:
    """Losses are not told one by one: they are holes in seq, and counted at the end."""
    told: list[Progress] = []
    for event in received:
        if isinstance(event, Delivered):
            told.append(FramesHeard(event.frames))
        elif isinstance(event, Ended):
            told.append(
                UtteranceCleared(event.unit)
                if event.dropped
                else UtteranceCommitted(event.unit, event.frames, event.lost)
            )
    return told
