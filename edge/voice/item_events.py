"""What the caller and the owner are told of response items, besides their audio: that they begin, and how they end."""

from collections import deque
from collections.abc import Sequence

from edge.voice import control
from edge.voice.anatomy import Turn
from edge.voice.downlink import REMEMBERED, Dropped, Finished
from edge.voice.events import ResponseCancelled, TurnTimed

Telling = control.Event | ResponseCancelled | TurnTimed
"""Control events are for the caller, the others for the owner."""


class ItemEvents:
    """Endings are remembered: a connection that is lost may take the news of some with it."""

    def __init__(self) -> None:
        self._endings: deque[tuple[int, list[control.Event]]] = deque(maxlen=REMEMBERED)

    def begun(self, number: int) -> list[control.Event]:
        """The backend begins to say an item."""
        response = control.Response(id=control.response_id(number), status="in_progress")
        item = control.Item(id=control.item_id(number), status="in_progress")
        return [
            control.ResponseCreated(response=response),
            control.OutputItemAdded(response_id=response.id, item=item),
        ]

    def became(self, news: Finished | Dropped | Turn) -> Sequence[Telling]:
        """What has become of an item."""
        match news:
            case Finished(item, frames, cut):
                # One that is cut is not said to be incomplete: the caller would throw away what it has of it.
                ending = _ending(item, frames, "completed")
                self._endings.append((item, ending))
                return [*ending, _response_done(item, "cancelled" if cut else "completed")]
            case Dropped():
                return self._dropped(news)
            case Turn():
                return [_turn_timed(news), TurnTimed(news)]

    def again(self, first: int) -> list[control.Event]:
        """The endings of ``first`` and later items, for a caller that may have missed them."""
        return [event for item, ending in self._endings if item >= first for event in ending]

    def _dropped(self, news: Dropped) -> Sequence[Telling]:
        """An item ends before it has been heard. If all of it had been written, its response was done before."""
        item, account = news.item, news.account
        cleared = control.OutputCleared(response_id=control.response_id(item))
        ending: list[control.Event] = [cleared, *_ending(item, news.frames, "incomplete")]
        self._endings.append((item, ending))
        barge_in = control.BargedIn(
            item_id=control.item_id(item),
            played_ms=account.played_ms,
            generated_bytes=account.generated_bytes,
            wire_bytes=account.wire_bytes,
            wasted_bytes=account.wasted_bytes,
            saved_bytes=account.saved_bytes,
            cancel_ms=account.cancel_ms,
        )
        done = [] if news.finished else [_response_done(item, "cancelled")]
        return [*ending, barge_in, *done, ResponseCancelled(item, account.played_ms, account)]


def _ending(number: int, frames: int, status: control.ItemStatus) -> list[control.Event]:
    response, item = control.response_id(number), control.item_id(number)
    return [
        control.OutputAudioDone(response_id=response, item_id=item, frames=frames),
        control.OutputItemDone(response_id=response, item=control.Item(id=item, status=status)),
    ]


def _response_done(number: int, status: control.ResponseStatus) -> control.Event:
    return control.ResponseDone(response=control.Response(id=control.response_id(number), status=status))


def _turn_timed(turn: Turn) -> control.Event:
    return control.TurnTimed(
        response_id=control.response_id(turn.item),
        item_id=control.item_id(turn.item),
        backend_ms=turn.backend_ms,
        wire_ms=turn.wire_ms,
        played_ms=turn.played_ms,
        edge_added_ms=turn.edge_added_ms,
    )
