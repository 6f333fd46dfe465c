"""A client facing an endpoint, with nothing between them: for looking at what either sends."""

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import QuicEvent
from sim.world import ALPN, PORT, SERVER_NAME, SERVICE_V4, make_identity

from edge.quic import Endpoint, Event, Path
from edge.quic.probing import ProbingConnection

CLIENT = ("192.0.2.1", 40_000)


class Direct:
    """``sent`` and ``answers`` are all datagrams so far of the client and the endpoint, with the local address
    of the node. ``changes`` are fields of the client's `QuicConfiguration`."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        alpn: str = ALPN,
        to: str = SERVICE_V4,
        client_class: type[QuicConnection] = ProbingConnection,
        **changes: object,
    ) -> None:
        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=[alpn], server_name=SERVER_NAME, cadata=make_identity()[1]
        )
        for name, value in changes.items():
            setattr(configuration, name, value)
        self.endpoint = endpoint
        self.client = client_class(configuration=configuration)
        self.now = 0.0
        self.address = CLIENT
        self.events: list[Event] = []
        self.client_events: list[QuicEvent] = []
        self.sent: list[tuple[bytes, str]] = []
        self.answers: list[tuple[bytes, str]] = []
        self._to = to

    def connect(self) -> "Direct":
        """Complete the handshake, or as much of it as the endpoint allows."""
        self.client.connect((self._to, PORT), self.now)
        self.exchange()
        return self

    def exchange(self) -> None:
        """Deliver both ways until nobody has anything to say; each flight takes a millisecond."""
        while self._client_to_endpoint() | self._endpoint_to_client():
            self.now += 0.001

    def pass_time(self, seconds: float) -> None:
        """Let timers fire, and deliver what comes of it."""
        end = self.now + seconds
        while True:
            timers = [t for t in (self.client.get_timer(), self.endpoint.get_timer()) if t is not None]
            if not timers or min(timers) > end:
                break
            self.now = max(self.now + 0.0005, min(timers))
            if (timer := self.client.get_timer()) is not None and timer <= self.now:
                self.client.handle_timer(self.now)
            self.endpoint.handle_timer(self.now)
            self.exchange()
        self.now = max(self.now, end)

    def deliver(self, data: bytes, to: str | None = None, *, source: tuple[str, int] | None = None) -> None:
        """Hand the endpoint a datagram of our own making."""
        path = Path(*(source or self.address), local=to or self._to)
        self.endpoint.receive_datagram(data, path, self.now)
        self._drain()

    def _client_to_endpoint(self) -> bool:
        datagrams = self.client.datagrams_to_send(self.now)
        for data, (host, _) in datagrams:
            self.sent.append((data, host))
            self.deliver(data, host)
        return bool(datagrams)

    def _endpoint_to_client(self) -> bool:
        datagrams = self.endpoint.datagrams_to_send(self.now)
        self._drain()
        for data, path in datagrams:
            self.answers.append((data, path.local))
            if (path.host, path.port) == self.address:
                self.client.receive_datagram(data, (path.local, PORT), self.now)
        while (event := self.client.next_event()) is not None:
            self.client_events.append(event)
        return bool(datagrams)

    def _drain(self) -> None:
        while (event := self.endpoint.next_event()) is not None:
            self.events.append(event)
