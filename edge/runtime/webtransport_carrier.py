"""A voice session in a browser: WebTransport on HTTP/3."""

from __future__ import annotations

from edge.quic import Endpoint, Event, SessionRequested, StreamDataReceived
from edge.runtime.carriers import CarrierName, QuicCarrier
from edge.voice import Code

PATH = "/v1/voice"


class WebTransportCarrier(QuicCarrier):
    """A session that was accepted: the endpoint's verbs and events are its own, as on a raw connection.

    Stream 0 is the page's CONNECT request, so the control stream is the first bidirectional one that it opens; it
    has no use for another.
    """

    name: CarrierName = "webtransport"

    def __init__(self, endpoint: Endpoint, asked: SessionRequested) -> None:
        super().__init__(endpoint, asked.connection)
        self.origin = asked.origin or None
        self._session = asked.session
        self._control: int | None = None
        self._unsaid = b""  # on the control stream, until the page has opened it

    def receive(self, event: Event, now: float) -> None:
        if not isinstance(event, StreamDataReceived) or event.stream_id & 2:
            super().receive(event, now)
            return
        if self._control is None:
            self._control = event.stream_id
            self.send_control(self._unsaid)
        if event.stream_id != self._control:
            self._endpoint.stop_stream(self._connection, event.stream_id, Code.PROTOCOL_ERROR)
            self._endpoint.reset_stream(self._connection, event.stream_id, Code.PROTOCOL_ERROR)
        elif self.call is not None:
            self.call.session.receive_control(event.data, event.fin, now)

    def send_control(self, data: bytes) -> None:
        if self._control is None:
            self._unsaid += data
        else:
            self._endpoint.send_stream(self._connection, self._control, data)

    def close(self, code: int, reason: str) -> None:
        self._endpoint.close_session(self._connection, self._session, code, reason)
