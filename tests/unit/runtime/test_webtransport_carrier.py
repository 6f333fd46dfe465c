"""A voice session on a page's WebTransport session: what reaches the one, and what leaves on the other."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from sim.direct import Direct
from sim.nodes import make_endpoint
from sim.page import Page, http_code

from edge.quic import SessionClosed, SessionRequested
from edge.runtime.webtransport_carrier import WebTransportCarrier
from edge.voice import Code


class Session:
    """Notes what it is told, without the time."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.told.append((name.removeprefix("receive_"), *arguments[:-1]))


class Visit:
    """A page whose session was accepted, and the carrier of its call."""

    def __init__(self) -> None:
        self.page = Page()
        self.direct = Direct(make_endpoint(), alpn="h3")
        self.direct.client = self.page  # type: ignore[assignment]
        self.direct.connect()
        self.page.ask()
        self.direct.exchange()
        (asked,) = [event for event in self.direct.events if isinstance(event, SessionRequested)]
        self.direct.endpoint.accept_session(asked.connection, asked.session)
        self.carrier = WebTransportCarrier(self.direct.endpoint, asked)
        self.session = Session()
        self.carrier.call = SimpleNamespace(session=self.session)  # type: ignore[assignment]
        self.exchange()

    def exchange(self) -> None:
        self.direct.exchange()
        self.direct.pass_time(0.2)
        for event in self.direct.events:
            self.carrier.receive(event, self.direct.now)
        self.direct.events.clear()
        self.direct.exchange()


def test_what_the_page_does_reaches_the_session() -> None:
    visit = Visit()
    page, session = visit.page, visit.session
    control = page.open(b"hello", unidirectional=False)
    visit.exchange()
    group = page.open(b"speech", unidirectional=True, fin=True)
    visit.exchange()
    page.say(b"report")
    late = page.open(b"late", unidirectional=True)
    visit.exchange()
    page.engine.reset_stream(late, http_code(Code.DEADLINE))
    page.engine.send_stream_data(control, b"bye")
    visit.exchange()
    assert session.told[:2] == [("control", b"hello", False), ("stream", group, b"speech", True)]
    assert set(session.told[2:]) == {
        ("datagram", b"report"),
        ("stream", late, b"late", False),
        ("reset", late, Code.DEADLINE),
        ("control", b"bye", False),
    }
    assert visit.carrier.origin == "https://page.example"
    assert (visit.carrier.rtt_s() or 0) > 0


def test_what_the_session_says_reaches_the_page() -> None:
    visit = Visit()
    page, carrier = visit.page, visit.carrier
    carrier.send_control(b"created, ")
    carrier.send_control(b"too early; ")
    carrier.send_stream(0, b"one", True)
    carrier.send_stream(1, b"two", False)
    carrier.send_datagram(b"frame")
    assert carrier.unsent_bytes > 6
    visit.exchange()
    control = page.open(b"hello", unidirectional=False)
    visit.exchange()
    carrier.send_control(b"updated")
    carrier.expire_stream(0)
    carrier.expire_stream(1)
    visit.exchange()
    one, two = (stream_id for stream_id, data in page.heard.items() if data in (b"one", b"two"))
    assert page.heard[control] == b"created, too early; updated"
    assert page.datagrams == [b"frame"]
    assert page.resets == {two: http_code(Code.DEADLINE)}
    assert one in page.ended
    assert carrier.unsent_bytes == 0


def test_a_page_that_no_longer_listens_is_known_by_the_sessions_number_of_the_stream() -> None:
    visit = Visit()
    visit.carrier.send_stream(0, b"one", False)
    visit.carrier.send_stream(1, b"two", False)
    visit.exchange()
    two = next(stream_id for stream_id, data in visit.page.heard.items() if data == b"two")
    visit.page.engine.stop_stream(two, http_code(Code.CANCELLED))
    visit.exchange()
    assert visit.session.told == [("stop", 1, Code.CANCELLED)]


def test_a_second_bidirectional_stream_is_turned_away() -> None:
    visit = Visit()
    visit.page.open(b"hello", unidirectional=False)
    visit.exchange()
    other = visit.page.open(b"and", unidirectional=False)
    visit.exchange()
    assert visit.page.stops == {other: http_code(Code.PROTOCOL_ERROR)}
    assert visit.page.resets == {other: http_code(Code.PROTOCOL_ERROR)}
    assert visit.session.told == [("control", b"hello", False)]


def test_closing_says_why() -> None:
    visit = Visit()
    visit.carrier.close(Code.GOING_AWAY, "the node is drained")
    visit.direct.exchange()
    assert visit.page.read_close() == (Code.GOING_AWAY, "the node is drained")
    (closed,) = [event for event in visit.direct.events if isinstance(event, SessionClosed)]
    assert not closed.by_peer
