"""The caller's side of what it hears: item streams, groups and datagrams in any order become frames in one order.

How long a missing frame is waited for depends on how it travels. On a stream it is on its way until it is given up,
and worth its deadline *after it is due*: not before the playout has come to it, and that much longer. A datagram is
not sent again, so behind one that is missing only the reordering of a network is waited for.
"""

from dataclasses import replace

from edge.voice.deadline import PRESETS
from edge.voice.events import FramesReceived, ItemDone
from edge.voice.reassembly import Reassembly
from edge.voice.slots import Delivered
from edge.voice.units import Ended, Limits
from edge.voice.units import Progress as Settled
from edge.voice.wire import AudioDatagram, GroupHeader, ItemHeader

MAX_ITEMS = 2048  # more than fit into the edge's ring and the lead window, be each a single frame
MAX_HELD_BYTES = 1024 * 1024
"""What an edge can make a caller hold of later items while an earlier one is incomplete."""

_REORDERING_MS = PRESETS["live"].downlink_ms or 0
_PLACE = "control stream"

Progress = FramesReceived | ItemDone


class ItemReader:
    """Delivers each frame once, by item and index, or counts it as lost; items count from 1 and none is left out.

    ``deadline_ms`` is the downlink's, and may be assigned at any time.
    """

    def __init__(self, deadline_ms: int | None = None) -> None:
        self.deadline_ms = deadline_ms
        self._units = Reassembly(
            Limits(units=MAX_ITEMS, groups=MAX_ITEMS, held_bytes=MAX_HELD_BYTES),
            None,
            noun="item",
            streams=(ItemHeader, GroupHeader),
        )
        self._streams: dict[int, None] = {}  # until their FIN or reset; a set in order
        self._unwanted: set[int] = set()
        self._in_datagrams = False  # the last frame came so
        self._interrupted: list[int] | None = None
        self._withheld: list[Settled] = []
        self._told = 0  # frames of the item in hand

    # --- what is known ---------------------------------------------------------------------------------

    @property
    def position(self) -> tuple[int, int]:
        """The item in hand and how many of its frames are settled; all items before it are whole."""
        return self._units.position

    @property
    def lost(self) -> int:
        """Frames that were declared lost."""
        return self._units.lost

    @property
    def late(self) -> int:
        """Frames that came after they were declared lost."""
        return self._units.late

    # --- what the carrier brings -----------------------------------------------------------------------

    def receive(self, stream_id: int, data: bytes, fin: bool, now: float) -> list[Progress]:
        """Bytes of one of the edge's streams; the result is what they let through."""
        self._streams[stream_id] = None
        settled = self._units.receive(stream_id, data, fin, now)
        if fin:
            del self._streams[stream_id]
        self._in_datagrams = False
        return self._tell(settled)

    def receive_datagram(self, datagram: AudioDatagram, now: float) -> list[Progress]:
        """One datagram of speech."""
        self._in_datagrams = True
        return self._tell(self._units.receive_datagram(datagram, now))

    def reset(self, stream_id: int, code: int, now: float) -> list[Progress]:
        """The edge gave a stream up: a group whose time is over, or an item, of which it says more by event."""
        self._streams.pop(stream_id, None)
        return self._tell(self._units.reset(stream_id, code, now))

    def detach(self) -> None:
        """The carrier is gone, with all streams. The edge goes on from `position`."""
        self._streams.clear()
        self._units.detach()

    def forget(self) -> None:
        """There is another edge, which knows `position` and nothing else."""
        self._unwanted.clear()
        self._units.forget()

    # --- what the edge says by event -------------------------------------------------------------------

    def expect(self, number: int) -> None:
        """An item has begun; its audio may have come before or may never come."""
        self._units.begin(number, _PLACE)

    def finish(self, number: int, frames: int, now: float) -> list[Progress]:
        """An item has ``frames`` frames, which is news where it travels in groups."""
        if number < self.position[0] or number in self._unwanted:
            return []
        return self._tell(self._units.end(number, frames, now, _PLACE))

    def cancel(self, number: int, now: float) -> list[Progress]:
        """No more of an item shall be heard, whatever still comes."""
        if number >= self.position[0]:
            self._unwanted.add(number)
        return self._tell(self._units.drop(number, now, _PLACE))

    # --- interruptions ---------------------------------------------------------------------------------

    def pause(self) -> tuple[list[int], list[int]]:
        """Withhold what comes: the caller interrupts. The items begun, and the streams that still bring them."""
        self._interrupted = self._units.begun
        return self._interrupted, list(self._streams)

    def resume(self) -> list[Progress]:
        """It was no interruption: what has come meanwhile is heard, and the edge goes on from `position`."""
        self._interrupted = None
        withheld, self._withheld = self._withheld, []
        return self._tell(withheld)

    def silence(self, now: float) -> list[Progress]:
        """It was one: nothing more of what had begun when it was made shall be heard."""
        interrupted, self._interrupted = self._interrupted or [], None
        withheld, self._withheld = self._withheld, []
        done: list[Progress] = []
        for event in withheld:
            if event.unit not in interrupted:
                done += self._tell([event])
            elif isinstance(event, Ended):
                done += self._tell([replace(event, dropped=True)])
        for item in interrupted:
            done += self.cancel(item, now)
        return done

    # --- time ------------------------------------------------------------------------------------------

    def get_timer(self, dry_at: float) -> float | None:
        """When `settle` will give a hole up, if the playout has nothing to play but that from ``dry_at`` on."""
        since = self._units.missing_since
        if since is None or self._interrupted is not None:
            return None
        if self._in_datagrams:
            return since + (_REORDERING_MS if self.deadline_ms is None else self.deadline_ms) / 1000
        return None if self.deadline_ms is None else max(since, dry_at) + self.deadline_ms / 1000

    def settle(self, now: float, dry_at: float) -> list[Progress]:
        """Declare the hole in front lost if its time is over, and deliver what is behind it.

        Play that, and call it again: the next hole is due later.
        """
        lost_at = self.get_timer(dry_at)
        return [] if lost_at is None or lost_at > now else self._tell(self._units.skip(now))

    # ---------------------------------------------------------------------------------------------------

    def _tell(self, settled: list[Settled]) -> list[Progress]:
        if self._interrupted is not None:
            self._withheld += settled
            return []
        done: list[Progress] = []
        for event in settled:
            if isinstance(event, Delivered):
                self._told += len(event.frames)
                done.append(FramesReceived(event.unit, event.frames))
            elif isinstance(event, Ended):
                done.append(ItemDone(event.unit, self._told, event.dropped, event.lost))
                self._unwanted.discard(event.unit)
                self._told = 0
        return done
