"""What the backend says aloud: its items as ours, from their first audio to what the caller heard of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from edge.backend.base import BackendReply, ItemBegun, ItemEnded
from edge.backend.openai.ids import Names
from edge.backend.openai.session import PCM_RATE_HZ
from edge.backend.speaker import Speaker

REMEMBERED: Final = 64
"""Spoken items that can still be cut: more than wait to be heard, be each a single second."""


@dataclass(slots=True, eq=False)
class Spoken:
    """One item of the backend's. ``content_index`` is that of its audio."""

    id: str
    response: str
    speaker: Speaker
    content_index: int = 0
    ended: bool = False
    cancelled: bool = False


class Speech:
    """The items of one call; one is spoken at a time, for a caller has one ear."""

    def __init__(self, first_item: int, bitrate: int) -> None:
        self.names = Names()
        self._bitrate = bitrate
        self._next = first_item
        self._items: dict[str, Spoken] = {}  # by the backend's name
        self._current: Spoken | None = None

    @property
    def speaking(self) -> bool:
        """An item has begun and not ended."""
        return self._current is not None

    def find(self, item: str) -> Spoken | None:
        return self._items.get(item)

    def begin(self, item: str, response: str) -> Iterator[BackendReply]:
        """The backend begins to speak ``item``."""
        yield from self.end()
        number, self._next = self._next, self._next + 1
        spoken = Spoken(item, response, Speaker(number, PCM_RATE_HZ, self._bitrate))
        self._items[item] = self._current = spoken
        if len(self._items) > REMEMBERED:
            del self._items[next(iter(self._items))]
        self.names.add(number, item, response)
        yield ItemBegun(number)

    def end(self, *, item: str | None = None, response: str | None = None) -> Iterator[BackendReply]:
        """What is being spoken is over, if it is ``item`` or of ``response``, where one is given."""
        spoken = self._current
        if spoken is None or item not in (None, spoken.id) or response not in (None, spoken.response):
            return
        self._current = None
        yield from spoken.speaker.end()
        spoken.ended = spoken.speaker.silenced = True
        if not spoken.cancelled:
            yield ItemEnded(spoken.speaker.item)

    def silence(self) -> None:
        """No more is wanted of what is being spoken; `cancel` will tell how much of it was heard."""
        if self._current is not None:
            self._current.speaker.silenced = True

    def cancel(self, number: int) -> Spoken | None:
        """No more of our item ``number`` is wanted."""
        spoken = self._numbered(number)
        if spoken is not None:
            spoken.cancelled = spoken.speaker.silenced = True
        return spoken

    def truncation(self, number: int, heard_ms: int) -> dict[str, Any] | None:
        """The event by which the backend forgets what was not heard; None if it need not.

        It refuses to cut behind the end of what it has said, so what a caller says is bounded by that.
        """
        spoken = self._numbered(number)
        if spoken is None or (spoken.ended and heard_ms >= spoken.speaker.received_ms):
            return None
        return {
            "type": "conversation.item.truncate",
            "item_id": spoken.id,
            "content_index": spoken.content_index,
            "audio_end_ms": min(heard_ms, spoken.speaker.received_ms),
        }

    def received_ms(self, number: int) -> int:
        """What the backend has said of our item ``number``; 0 if it is not known (any more)."""
        spoken = self._numbered(number)
        return 0 if spoken is None else spoken.speaker.received_ms

    def forget(self) -> None:
        """The backend that knew these items is gone."""
        self._items.clear()
        self.names.clear()

    def _numbered(self, number: int) -> Spoken | None:
        return next((spoken for spoken in self._items.values() if spoken.speaker.item == number), None)
