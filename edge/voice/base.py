"""What both ends of a call have in common: two queues, the control stream, and giving up on a broken peer."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from edge.voice import control, records
from edge.voice.actions import Action, CloseSession, SendControl
from edge.voice.errors import Code, WireError
from edge.voice.ledger import LedgerCount

Told = TypeVar("Told")
"""The union of events that a session tells its owner."""
Understood = TypeVar("Understood")
"""The union of control events that a session understands."""
P = ParamSpec("P")


class Receiver(Protocol):
    """A session as a carrier sees it: who gets what arrives. `Session` says what each method is for."""

    def receive_control(self, data: bytes, fin: bool, now: float) -> None: ...
    def receive_stream(self, stream_id: int, data: bytes, fin: bool, now: float) -> None: ...
    def receive_reset(self, stream_id: int, code: int, now: float) -> None: ...
    def receive_stop(self, stream: int, code: int, now: float) -> None: ...
    def receive_datagram(self, data: bytes, now: float) -> None: ...


class Session(ABC, Generic[Told, Understood]):
    """One end of a call, without I/O and without a clock.

    After every call that changes its state: drain `next_event`, then `next_action`, and call `handle_timer`
    when `get_timer` says so. ``now`` is in seconds of any clock that does not go backwards. Whatever the peer
    sends, `receive_*` raises nothing: a broken protocol ends the call by a `CloseSession` that says why.
    """

    def __init__(self, decoder: records.EventDecoder[Understood]) -> None:
        self.closed = False
        self.last_heard: float | None = None
        """When the peer last gave a sign of life."""
        self._now = 0.0
        """The moment of the step in hand; a session has no other clock."""
        self._decoder = decoder
        self._records = records.RecordStream()
        self._events: deque[Told] = deque()
        self._actions: deque[Action] = deque()

    def next_event(self) -> Told | None:
        """What has happened, oldest first; None when all is told."""
        return self._events.popleft() if self._events else None

    def next_action(self) -> Action | None:
        """What the carrier must do, in this order; None when all is asked."""
        return self._actions.popleft() if self._actions else None

    # --- the carrier's side ----------------------------------------------------------------------------

    def receive_control(self, data: bytes, fin: bool, now: float) -> None:
        """Bytes of the control stream; its end hangs up."""
        self._receive(now, self._on_control, data, fin)

    def receive_stream(self, stream_id: int, data: bytes, fin: bool, now: float) -> None:
        """Bytes of one of the peer's unidirectional streams, by the carrier's name for it."""
        self._receive(now, self._on_stream, stream_id, data, fin)

    def receive_reset(self, stream_id: int, code: int, now: float) -> None:
        """The peer gave up one of its streams."""
        self._receive(now, self._on_reset, stream_id, code)

    def receive_stop(self, stream: int, code: int, now: float) -> None:
        """The peer asks to give up one of our streams, by our own number of it (`SendStream.stream`)."""
        self._receive(now, self._on_stop, stream, code)

    def receive_datagram(self, data: bytes, now: float) -> None:
        """One whole datagram."""
        self._receive(now, self._on_datagram, data)

    def handle_timer(self, now: float) -> None:
        """The moment that `get_timer` named has come."""
        self._now = now
        self._settle()

    # --- verbs -----------------------------------------------------------------------------------------

    def send_control(self, event: control.Event | Mapping[str, Any]) -> None:
        """Send one event, or pass on a backend's; raises ValueError if it cannot be a record."""
        self._act(SendControl(records.encode(event)))

    def request_stats(self) -> None:
        """Ask the other end what it has counted; `StatsReceived` is the answer."""
        self.send_control(control.Stats())

    def answer_stats(self, heard: LedgerCount, said: LedgerCount) -> None:
        """Tell the other end what was counted here."""
        self.send_control(control.Stats(heard=heard, said=said))

    def close(self, code: Code = Code.OK, reason: str = "") -> None:
        """End the call; after this nothing is told, asked or taken in."""
        self._act(CloseSession(code, reason))
        self.closed = True

    # --- for the two ends ------------------------------------------------------------------------------

    @abstractmethod
    def get_timer(self) -> float | None:
        """When to call `handle_timer`, if nothing else happens before."""

    @abstractmethod
    def _on_event(self, event: Understood | records.OpenEvent) -> None: ...

    @abstractmethod
    def _on_event_error(self, error: records.EventError) -> None: ...

    @abstractmethod
    def _on_stream(self, stream_id: int, data: bytes, fin: bool) -> None: ...

    @abstractmethod
    def _on_reset(self, stream_id: int, code: int) -> None: ...

    @abstractmethod
    def _on_stop(self, stream: int, code: int) -> None: ...

    @abstractmethod
    def _on_datagram(self, data: bytes) -> None: ...

    @abstractmethod
    def _settle(self) -> None:
        """Every step ends with this: do what is due by now."""

    def _on_control(self, data: bytes, fin: bool) -> None:
        for record in self._records.receive(data):
            try:
                self._on_event(self._decoder.decode(record))
            except records.EventError as error:
                self._on_event_error(error)
        if fin:
            self.close(Code.OK, "the peer hung up")

    def _receive(self, now: float, step: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        if self.closed:
            return
        self._now = self.last_heard = now
        try:
            step(*args, **kwargs)
        except WireError as error:
            self._give_up(error)
        self._settle()

    def _give_up(self, error: WireError) -> None:
        self.close(error.code, str(error))

    def _act(self, action: Action) -> None:
        if not self.closed:
            self._actions.append(action)

    def _tell(self, event: Told) -> None:
        if not self.closed:
            self._events.append(event)
