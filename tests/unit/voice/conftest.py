"""An edge's session between a caller that is a list of records and a carrier that is a list of actions."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from edge.voice import (
    EdgeEvent,
    EdgeSession,
    Frame,
    PlayoutReport,
    Presented,
    SendControl,
    SessionUpdated,
    control,
    records,
)
from edge.voice.wire import encode_datagram

NOW = 50.0


class Driven:
    """``now`` moves when a test moves it."""

    def __init__(self, **options: Any) -> None:
        self.session = EdgeSession("call-1", **options)
        self.now = NOW

    def receive(self, *sent: control.Event | dict[str, Any]) -> None:
        """The caller says ``sent`` on the control stream."""
        for event in sent:
            self.session.receive_control(records.encode(event), False, self.now)

    def events(self) -> list[EdgeEvent]:
        return list(iter(self.session.next_event, None))

    def actions(self) -> list[Any]:
        return list(iter(self.session.next_action, None))

    def said(self, done: list[Any] | None = None) -> list[dict[str, Any]]:
        """What the session says on the control stream, in JSON, with whatever else it does left out."""
        stream = records.RecordStream()
        sends = [
            action for action in (self.actions() if done is None else done) if isinstance(action, SendControl)
        ]
        return [msgspec.json.decode(record) for action in sends for record in stream.receive(action.data)]

    def names(self) -> list[str]:
        return [event["type"] for event in self.said()]

    def speak(self, count: int, *, end: bool = False, size: int = 30) -> int:
        """A new item of ``count`` frames; what comes of it is left to be looked at."""
        item = self.session.begin_item()
        self.session.speak(item, [Frame(item, seq, seq * 20, bytes(size)) for seq in range(count)], self.now)
        if end:
            self.session.end_item(item, self.now)
        return item

    def report(self, item: int, played_ms: int, buffered_ms: int = 0, *, received: int, ts_ms: int) -> None:
        """The caller has ``received`` frames of ``item`` and has played ``played_ms``."""
        report = PlayoutReport(item, played_ms, buffered_ms, 0, max(0, received - 1) // 5, ts_ms)
        self.session.receive_datagram(encode_datagram(report), self.now)

    def clear(self) -> None:
        """Forget what has been told and asked so far."""
        self.events()
        self.actions()


@pytest.fixture
def open_session() -> Callable[..., Driven]:
    """Sessions whose caller has said hello and read the answers; the arguments are those of `EdgeSession`."""

    def make(**options: Any) -> Driven:
        driven = Driven(**options)
        driven.receive(control.SessionUpdate(session={}))
        assert [type(event) for event in driven.events()] == [Presented, SessionUpdated]
        driven.clear()
        return driven

    return make


@pytest.fixture
def new_session() -> Callable[..., Driven]:
    """Sessions that nobody has spoken to yet."""
    return Driven
