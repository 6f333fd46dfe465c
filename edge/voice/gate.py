"""What an edge must not say yet: what it has to tell and to send waits here until it may.

Two things can be missing. Without *admission* nothing may have an effect: the handshake can be a replay (RFC 8446
section 8), the caller a stranger. Without a *control stream*, which only the caller can open, there is nothing to
write events on: at the beginning of a call, and between two connections of it.
"""

from edge.voice.actions import Action, CloseSession, SendControl
from edge.voice.errors import Code, WireError
from edge.voice.events import EdgeEvent, Presented

MAX_WAITING_BYTES = 512 * 1024
"""Of control records, while there is no stream for them."""


class Gate:
    """Lets events and actions through in order, now or when what is missing is there.

    ``max_held_bytes`` is what a caller may say before it is admitted: that is what its events are made of.
    """

    def __init__(self, *, admitted: bool, max_held_bytes: int) -> None:
        self._admitted = admitted
        self._max_held_bytes = max_held_bytes
        self._held_bytes = 0
        self._connected = False
        self._records: list[SendControl] = []
        self._records_bytes = 0
        self._actions: list[Action] = []
        self._events: list[EdgeEvent] = []

    def receive(self, data: bytes) -> None:
        """The caller says ``data``. Raises `WireError` if that is more than can be held."""
        if not self._admitted:
            self._held_bytes += len(data)
            if self._held_bytes > self._max_held_bytes:
                raise WireError("session", f"{self._held_bytes} bytes before it is admitted", Code.LIMIT)

    def tell(self, event: EdgeEvent) -> list[EdgeEvent]:
        """What the owner may be told now."""
        if self._admitted or isinstance(event, Presented):
            return [event]
        self._events.append(event)
        return []

    def ask(self, action: Action) -> list[Action]:
        """What the carrier may be asked now. Raises `WireError` for more than can wait.

        The end of a session waits for nothing: with it goes whatever explains it, to a caller that can hear it.
        """
        if isinstance(action, CloseSession):
            return [*(self._take_records() if self._connected else []), action]
        if isinstance(action, SendControl) and not (self._connected and self._admitted):
            self._keep(action)
            return []
        if not self._admitted:
            self._actions.append(action)
            return []
        return [action]

    def admit(self) -> tuple[list[EdgeEvent], list[Action]]:
        """The caller may be served: what has waited for that."""
        self._admitted = True
        events, self._events = self._events, []
        actions, self._actions = self._actions, []
        return events, [*(self._take_records() if self._connected else []), *actions]

    def connect(self) -> list[Action]:
        """The control stream is there: what has waited for it."""
        self._connected = True
        return [*self._take_records()] if self._admitted else []

    def disconnect(self) -> None:
        """The control stream is gone."""
        self._connected = False

    def forget_records(self) -> None:
        """What would have been written is not so any more."""
        self._take_records()

    def _keep(self, record: SendControl) -> None:
        self._records_bytes += len(record.data)
        if self._records_bytes > MAX_WAITING_BYTES:
            problem = f"more than {MAX_WAITING_BYTES} bytes of events while nobody can be told"
            raise WireError("control stream", problem, Code.LIMIT)
        self._records.append(record)

    def _take_records(self) -> list[SendControl]:
        records, self._records, self._records_bytes = self._records, [], 0
        return records
