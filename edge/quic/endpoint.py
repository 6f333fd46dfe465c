"""All QUIC connections of one worker, without a socket and without a clock.

A datagram finds its connection by the connection ID in its first packet; what finds none goes to `Reception`.

The owner calls, after anything that changes state: `next_event` until None, `datagrams_to_send`, `get_timer`.
Only connections that have something to say are asked for it, and only the nearest deadline is looked at, so
the cost of a datagram does not grow with the number of connections. Nothing a peer sends makes any method
raise: what the engine does not survive ends that one connection.
"""

from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Mapping
from itertools import count
from secrets import token_bytes
from typing import Any

from aioquic.quic import events as engine_events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicErrorCode

from edge.bucket import TokenBucket
from edge.keys import KeyRing
from edge.overload import Verdict
from edge.overload.clients import client_of
from edge.quic.config import EndpointConfig
from edge.quic.connection import MAX_STREAM_DATA, EdgeConnection
from edge.quic.counters import Counters
from edge.quic.engine import EXPIRED, MAX_REASON, MIN_TIMER_S, Termination
from edge.quic.events import (
    ConnectionClosed,
    Event,
    HandshakeBegun,
    HandshakeCompleted,
    PathChanged,
)
from edge.quic.gate import Gate
from edge.quic.header import LONG_HEADER_BIT, SUPPORTED_VERSIONS, LongHeader, parse_long_header
from edge.quic.http3 import ALPN as HTTP3
from edge.quic.http3 import EXCESSIVE_LOAD as HTTP3_EXCESSIVE_LOAD
from edge.quic.http3 import NO_ERROR as HTTP3_NO_ERROR
from edge.quic.http3 import Http3Connection
from edge.quic.http3_requests import Headers
from edge.quic.lanes import Lanes, Waiting
from edge.quic.path import Path
from edge.quic.reception import Answer, Newcomer, Reception
from edge.quic.secrets import Secrets
from edge.quic.streams import Streams
from edge.quic.table import ConnectionInfo, ConnectionRecord, ConnectionTable
from edge.quic.tickets import StrikeRegister
from edge.quic.timers import Timers
from edge.quic.translation import TRANSLATIONS
from edge.quic.webtransport import WebTransportSession

EXCESSIVE = 8
"""The error code of a connection that sends more packets than one may."""
MAX_EXCESS = 20_000
"""Packets that are dropped before that ends it: a sender that means well slows down when a few hundred are lost."""
LINGER_S = 1.0
"""From when a session is over and the peer knows until its connection is closed. A browser acknowledges the capsule
at once and tells its page a task later; a connection that closes in between is to the page one that was lost."""


def accept_all(_now: float) -> Verdict:
    """The admission of an endpoint that nobody protects."""
    return Verdict.ACCEPT


def same_clock(now: float) -> float:
    """For an owner whose `now` is wall-clock time already."""
    return now


class Endpoint:
    """`now` is in seconds and never goes backwards.

    ``admission(now)`` judges newcomers. With ``proof`` they can be sent a Retry. ``unix_time(now)`` has to give the
    wall-clock time, which is the one that the nodes of a fleet share, and ``began_at`` is when this endpoint began.
    ``peers`` are the server IDs of the fleet's other nodes; without them a handshake that began there looks like any
    newcomer. ``siblings`` are the octets of this node's other workers: what belongs to none of them is ours to answer.
    """

    def __init__(
        self,
        config: EndpointConfig,
        secrets: Secrets,
        *,
        admission: Callable[[float], Verdict] = accept_all,
        proof: bool = False,
        unix_time: Callable[[float], float] = same_clock,
        began_at: float = 0.0,
        peers: Container[bytes] = frozenset(),
        siblings: Container[int] = range(256),
        entropy: Callable[[int], bytes] = token_bytes,
    ) -> None:
        self.config = config
        self.counters = Counters()
        self._secrets = secrets
        self._unix_time = unix_time
        self._entropy = entropy
        gate = Gate(config, admission, secrets, proof=proof, unix_time=unix_time, entropy=entropy)
        self._shares = gate.shares
        self._reception = Reception(
            self.counters, secrets, gate, peers=peers, siblings=siblings, entropy=entropy
        )
        self._engine_config = _engine_config(config, secrets.cid_length)
        preferred = (config.preferred_v4, config.preferred_v6)
        self._preferred = preferred if any(preferred) else None
        self._cid_end = 1 + secrets.cid_length
        self._table = ConnectionTable()
        self._lanes = Lanes(self.counters)
        self._register = StrikeRegister(config.max_tickets, began_at)
        self._handshakes = 0
        self._handles = count(1)
        self._timers: Timers[ConnectionRecord] = Timers()
        self._events: deque[Event] = deque()
        self._dirty: list[ConnectionRecord] = []
        self._replies: list[tuple[bytes, Path]] = []
        self._own_events: dict[type[engine_events.QuicEvent], Callable[[ConnectionRecord, Any], None]] = {
            engine_events.ProtocolNegotiated: self._on_protocol_negotiated,
            engine_events.HandshakeCompleted: self._on_handshake_completed,
            engine_events.ConnectionIdIssued: self._on_cid_issued,
            engine_events.ConnectionIdRetired: self._on_cid_retired,
            engine_events.ConnectionTerminated: self._on_terminated,
        }

    # What the owner drives it with

    def receive_datagram(self, data: bytes, path: Path, now: float, *, forwarded: bool = False) -> bool:
        """A UDP payload arrived on ``path``, or elsewhere and was ``forwarded`` to us: then it is ours or nobody's.

        Whether it names a connection whose peer is known to be there.
        """
        header, record = self._whose(data)
        self._read(header, record, data, path, now, forwarded)
        return record is not None and record.established and record.path == path

    def queue_datagram(self, data: bytes, path: Path, now: float, *, forwarded: bool = False) -> bool:
        """As `receive_datagram`, but what can wait does, until `receive_waiting`; see `edge.quic.lanes`."""
        header, record = self._whose(data)
        can_wait = record is not None or header is not None
        if not can_wait or not self._lanes.holds_back(Waiting(data, path, record, forwarded), now):
            self._read(header, record, data, path, now, forwarded)
        return record is not None and record.established and record.path == path

    def receive_waiting(self, now: float) -> bool:
        """Read a little of what waits; whether there is more. To be called after each batch of `queue_datagram`."""
        for waiting in self._lanes.take():
            self.receive_datagram(waiting.data, waiting.path, now, forwarded=waiting.forwarded)
        return bool(self._lanes)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Path]]:
        """UDP payloads and the path each has to leave on: to its remote end, from its local address."""
        dirty, self._dirty = self._dirty, []
        datagrams, self._replies = self._replies, []
        for record in dirty:
            record.dirty = False
            if record.removed:
                continue
            try:
                datagrams += record.engine.datagrams_to_send(now)
                self._settle(record)
                self._arm(record, now)
            except Exception as error:  # noqa: BLE001 - the engine's bug ends this connection, not the others
                self._fail(record, error)
        self.counters.datagrams_out += len(datagrams)
        return datagrams

    def get_timer(self) -> float | None:
        """When to call `handle_timer`, at the latest."""
        return self._timers.next()

    def handle_timer(self, now: float) -> None:
        """Time has passed; calling it too early does no harm."""
        for record in self._timers.due(now):
            if record.removed:
                continue
            if not (record.established or record.closed) and now >= self._handshake_deadline(record):
                self._close_record(record, Termination(0, "handshake timeout", False, False))
                self._table.remove(record)
                continue
            try:
                at = record.engine.get_timer()
                if record.leave_at is not None and record.leave_at <= now and not record.closed:
                    record.engine.close(error_code=HTTP3_NO_ERROR)
                elif at is not None and at <= now:
                    record.engine.handle_timer(now)
                else:
                    self._arm(record, now)
                    continue
                self._settle(record)
                self._touch(record)
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(record, error)

    def next_event(self) -> Event | None:
        """What happened, oldest first; None when there is nothing more."""
        return self._events.popleft() if self._events else None

    # What the owner asks for. A handle that is unknown or closed is ignored.

    def open_stream(self, connection: int, unidirectional: bool = True) -> int:
        """The ID of a new stream; -1 when the connection is not open."""
        record = self._table.find(connection)
        if record is None or record.streams is None:
            return -1
        try:
            return record.streams.open_stream(unidirectional=unidirectional)
        except ValueError:
            return -1

    def send_stream(self, connection: int, stream_id: int, data: bytes, fin: bool = False) -> bool:
        """Write to a stream; False when it takes nothing more (reset, finished, unknown)."""
        return self._ask(connection, lambda streams: streams.send_stream_data(stream_id, data, fin))

    def reset_stream(self, connection: int, stream_id: int, code: int) -> bool:
        """Give up sending on a stream; what is not acknowledged may be lost."""
        return self._ask(connection, lambda streams: streams.reset_stream(stream_id, code))

    def expire_stream(self, connection: int, stream_id: int, code: int = EXPIRED) -> bool:
        """Give up sending on a stream, unless all of it including its end has been acknowledged."""
        return self._ask(connection, lambda streams: streams.expire_stream(stream_id, code))

    def stop_stream(self, connection: int, stream_id: int, code: int) -> bool:
        """Ask the peer to give up sending on a stream."""
        return self._ask(connection, lambda streams: streams.stop_stream(stream_id, code))

    def send_datagram(self, connection: int, data: bytes) -> bool:
        """Send unreliably; False when the peer does not take datagrams, it is too long, or too many wait."""
        return self._ask(connection, lambda streams: streams.try_send_datagram(data))

    def accept_session(
        self, connection: int, session: int, headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> bool:
        """Answer a `SessionRequested` with 200 and begin: its streams and datagrams are the connection's.

        False when nobody waits for it any more.
        """
        return self._decide(connection, session, lambda asked_for: asked_for.accept(headers))

    def refuse_session(self, connection: int, session: int, status: int) -> bool:
        """Answer a `SessionRequested` with an HTTP error status; False as above."""
        return self._decide(connection, session, lambda asked_for: asked_for.refuse(status))

    def close_session(self, connection: int, session: int, code: int = 0, reason: str = "") -> None:
        """End a WebTransport session. `SessionClosed` follows at once, the end of its connection after `LINGER_S`."""
        record = self._table.find(connection)
        found = None if record is None else record.session(session)
        if record is not None and found is not None:
            closed = found.close(code, reason)
            if closed is not None:
                self._events.append(closed)
                self._touch(record)

    def respond(self, connection: int, stream_id: int, status: int, headers: Headers, body: bytes) -> bool:
        """Answer a `RequestReceived`; False when nobody waits for it any more. Header names in lower case."""
        record = self._table.find(connection)
        if record is None or record.http3 is None:
            return False
        self._touch(record)
        return record.http3.respond(stream_id, status, headers, body)

    def close(self, connection: int, code: int = 0, reason: str = "") -> None:
        """Close with an application error code. `ConnectionClosed` follows at once."""
        record = self._table.find(connection)
        if record is not None:
            record.engine.close(error_code=code, reason_phrase=reason[:MAX_REASON])
            self._settle(record)
            self._touch(record)

    def close_all(self, code: int = 0, reason: str = "") -> None:
        """Close every connection."""
        for record in self._table:
            self.close(record.handle, code, reason)

    def set_keys(self, keys: KeyRing) -> None:
        """Make and accept what is made with this ring from now on; `renew` is for connections that have begun."""
        self._secrets.set_keys(keys)

    def renew(self, limit: int) -> None:
        """Have up to ``limit`` peers change to connection IDs of the generation in use, that have none of it."""
        for record in self._table:
            if limit and record.established and not record.closed and record.engine.is_outdated:
                record.engine.renew_cids()
                self._touch(record)
                limit -= 1

    def generations(self) -> Counter[int]:
        """How many connections have connection IDs of each generation; during a rotation one may count twice."""
        return Counter(
            generation
            for record in self._table
            if not record.closed
            for generation in record.engine.generations
        )

    @property
    def connections(self) -> Mapping[int, ConnectionInfo]:
        """All that are open or being opened, by handle, as they are now; built on each access."""
        return {record.handle: record.info() for record in self._table if not record.closed}

    def connection(self, connection: int) -> ConnectionInfo | None:
        """One of `connections`."""
        record = self._table.find(connection)
        return None if record is None else record.info()

    def unacknowledged(self, connection: int, stream_id: int) -> int:
        """Bytes written to a stream that the peer has not acknowledged."""
        record = self._table.find(connection)
        return 0 if record is None else record.engine.unacknowledged(stream_id)

    def rtt_s(self, connection: int) -> float | None:
        """Smoothed round-trip time in seconds, once it has been measured."""
        record = self._table.find(connection)
        return None if record is None else record.engine.round_trip

    def unsent_bytes(self, connection: int) -> int:
        """Bytes written to its streams and datagrams that have not been sent even once."""
        record = self._table.find(connection)
        return 0 if record is None else record.engine.unsent_bytes

    def awaits_credit(self, connection: int) -> bool:
        """Whether something waits because the peer does not read: its flow control lets no more of it leave."""
        record = self._table.find(connection)
        return record is not None and record.engine.awaits_credit

    # Connections

    def _whose(self, data: bytes) -> tuple[LongHeader | None, ConnectionRecord | None]:
        """Its header, if it begins with a long one that is whole, and the connection that it belongs to."""
        if data and not data[0] & LONG_HEADER_BIT:
            return None, self._table.by_cid.get(data[1 : self._cid_end])
        header = parse_long_header(data)
        return header, None if header is None else self._table.by_cid.get(header.destination_cid)

    def _read(
        self,
        header: LongHeader | None,
        record: ConnectionRecord | None,
        data: bytes,
        path: Path,
        now: float,
        forwarded: bool,
    ) -> None:
        self.counters.datagrams_in += 1
        if record is not None:
            self._deliver(record, data, path, now)
        elif header is not None:
            found = self._reception.receive_long(
                header, data, path, now, connections=len(self._table), handshakes=self._handshakes
            )
            if isinstance(found, Newcomer):
                self._accept(found, data, path, now)
            else:
                self._answer(found, path, forwarded)
        elif data and not data[0] & LONG_HEADER_BIT:
            self._answer(self._reception.receive_short(data, path, now), path, forwarded)
        else:
            self.counters.dropped_malformed += 1

    def _accept(self, newcomer: Newcomer, data: bytes, path: Path, now: float) -> None:
        on_service = path.local in self.config.service
        try:
            engine = EdgeConnection(
                configuration=self._engine_config,
                secrets=self._secrets,
                register=self._register,
                unix_time=self._unix_time,
                entropy=self._entropy,
                original_destination_cid=newcomer.admit.original_cid,
                retry_source_cid=newcomer.admit.retry_cid,
                preferred=self._preferred if on_service else None,
                early_data_alpn=self.config.early_data_alpn,
            )
            engine.receive_datagram(data, path, now)
        except Exception:  # noqa: BLE001 - nothing has begun, nothing is lost
            self.counters.engine_errors += 1
            return
        if not engine.has_begun:
            self.counters.dropped_undecryptable += 1
            return
        record = ConnectionRecord(next(self._handles), engine, path, on_service, now)
        if self.config.packets_per_s is not None:
            record.budget = TokenBucket(self.config.packets_per_s, self.config.packets_at_once)
        self._table.add(record, [newcomer.chosen_cid, *engine.initial_cids])
        self._handshakes += 1
        if newcomer.admit.proved:
            engine.trust_path()
            self._take_share(record)
        self._settle(record)
        self._touch(record)

    def _deliver(self, record: ConnectionRecord, data: bytes, path: Path, now: float) -> None:
        if record.budget is not None and not record.budget.take(1, now):
            self._drop(record)
            return
        try:
            record.engine.receive_datagram(data, path, now)
            self._settle(record)
        except Exception as error:  # noqa: BLE001 - the engine's bug ends this connection, not the others
            self._fail(record, error)
        else:
            self._touch(record)

    def _drop(self, record: ConnectionRecord) -> None:
        """A packet beyond the budget costs as little as can be: it is not even decrypted."""
        self.counters.dropped_excess += 1
        record.excess += 1
        if record.excess == MAX_EXCESS:
            code = EXCESSIVE if record.http3 is None else HTTP3_EXCESSIVE_LOAD
            self.close(record.handle, code, f"more than {self.config.packets_per_s:g} packets a second")

    def _take_share(self, record: ConnectionRecord) -> None:
        """Its address is proved: it counts as one of that client's."""
        if self._shares is not None and record.client is None:
            record.client = client_of(record.path.host)
            self._shares.add(record.client)

    def _settle(self, record: ConnectionRecord) -> None:
        """Take from the engine what has happened."""
        engine = record.engine
        if not record.announced and (alpn := engine.early_data_from) is not None:
            record.announced = True
            record.alpn = alpn
            self._events.append(HandshakeBegun(record.handle, record.path, alpn))
        for event in engine.take_events():
            handle_event = self._own_events.get(type(event))
            if handle_event is not None:
                handle_event(record, event)
            elif record.http3 is not None:
                self._events.extend(record.http3.receive(event))
            else:
                translate = TRANSLATIONS.get(type(event))
                if translate is not None:
                    self._events.append(translate(record.handle, event))
        if record.closed:
            return
        path = engine.validated_path
        if path is not record.path and path is not None and record.established:
            self._on_path(record, path)
        termination = engine.termination
        if termination is not None:
            self._close_record(record, termination)

    def _on_path(self, record: ConnectionRecord, path: Path) -> None:
        if path == record.path:
            return
        left_service = record.on_service
        record.path = path
        record.on_service = path.local in self.config.service
        if left_service and not record.on_service:
            self.counters.migrated += 1
        self._events.append(PathChanged(record.handle, path, record.on_service))

    def _on_protocol_negotiated(
        self, record: ConnectionRecord, event: engine_events.ProtocolNegotiated
    ) -> None:
        # Before the handshake is complete: a browser waits for our SETTINGS, and with our first flight it has them a
        # round trip earlier (RFC 9114, section 7.2.4).
        if event.alpn_protocol == HTTP3:
            record.http3 = Http3Connection(record.handle, record.engine)

    def _on_handshake_completed(
        self, record: ConnectionRecord, event: engine_events.HandshakeCompleted
    ) -> None:
        record.established = record.announced = True
        self._take_share(record)
        record.alpn = event.alpn_protocol or ""
        self._handshakes -= 1
        self.counters.handshakes_completed += 1
        self._events.append(
            HandshakeCompleted(record.handle, record.path, record.alpn, event.early_data_accepted)
        )

    def _on_cid_issued(self, record: ConnectionRecord, event: engine_events.ConnectionIdIssued) -> None:
        self._table.route(record, event.connection_id)

    def _on_cid_retired(self, record: ConnectionRecord, event: engine_events.ConnectionIdRetired) -> None:
        self._table.retire(record, event.connection_id)

    def _on_terminated(self, record: ConnectionRecord, _event: engine_events.ConnectionTerminated) -> None:
        # Draining is over, or the connection was idle for too long.
        self._table.remove(record)

    def _close_record(self, record: ConnectionRecord, termination: Termination) -> None:
        if record.closed:
            return
        record.closed = True
        if self._shares is not None and record.client is not None:
            self._shares.drop(record.client)
        if record.announced:
            self._events.append(
                ConnectionClosed(
                    record.handle,
                    termination.code,
                    termination.reason,
                    by_peer=termination.by_peer,
                    by_application=termination.by_application,
                )
            )
        if not record.established:
            self._handshakes -= 1
            self.counters.handshakes_failed += 1

    def _fail(self, record: ConnectionRecord, error: Exception) -> None:
        """Forget a connection whose engine can no longer be relied on; the peer will get a reset."""
        self.counters.engine_errors += 1
        reason = f"{type(error).__name__}: {error}"
        self._close_record(record, Termination(QuicErrorCode.INTERNAL_ERROR, reason, False, False))
        if not record.removed:
            self._table.remove(record)

    # Between the owner and the connections

    def _answer(self, found: Answer, path: Path, forwarded: bool) -> None:
        if isinstance(found, list):
            self._replies += [(data, path) for data in found]
        elif found is not None and forwarded:
            self.counters.dropped_looped += 1
        elif found is not None:
            self._events.append(found)

    def _decide(self, connection: int, session: int, verb: Callable[[WebTransportSession], bool]) -> bool:
        record = self._table.find(connection)
        found = None if record is None else record.session(session)
        if record is None or record.http3 is None or found is None or not verb(found):
            return False
        self._events.extend(record.http3.decide_session())
        self._touch(record)
        return True

    def _ask(self, connection: int, verb: Callable[[Streams], bool | None]) -> bool:
        """Whether it was done. ValueError and RuntimeError are what a stream refuses with."""
        record = self._table.find(connection)
        if record is None or record.streams is None:
            return False
        try:
            done = verb(record.streams)
        except (ValueError, RuntimeError):
            return False
        self._touch(record)
        return done is not False

    def _touch(self, record: ConnectionRecord) -> None:
        if not record.dirty:
            record.dirty = True
            self._dirty.append(record)

    def _arm(self, record: ConnectionRecord, now: float) -> None:
        at = record.engine.get_timer()
        if at is None:
            return
        if not record.established:
            at = min(at, self._handshake_deadline(record))
        elif record.http3 is not None and record.http3.is_done and not record.closed:
            record.leave_at = record.leave_at or now + LINGER_S
            at = min(at, record.leave_at)
        self._timers.arm(record, max(at, now + MIN_TIMER_S))

    def _handshake_deadline(self, record: ConnectionRecord) -> float:
        return record.opened_at + self.config.handshake_timeout


def _engine_config(config: EndpointConfig, cid_length: int) -> QuicConfiguration:
    identity = config.identity
    return QuicConfiguration(
        is_client=False,
        alpn_protocols=list(config.alpn),
        certificate=identity.certificate,
        certificate_chain=list(identity.chain),
        private_key=identity.key,
        connection_id_length=cid_length,
        idle_timeout=config.idle_timeout,
        initial_rtt=config.initial_rtt,
        max_datagram_frame_size=config.max_datagram_frame_size,
        max_stream_data=MAX_STREAM_DATA,
        supported_versions=list(SUPPORTED_VERSIONS),
    )
