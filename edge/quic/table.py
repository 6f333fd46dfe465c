"""Which connection a connection ID belongs to."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge.bucket import TokenBucket
from edge.quic.connection import EdgeConnection
from edge.quic.events import Outcome
from edge.quic.http3 import Http3Connection
from edge.quic.path import Path
from edge.quic.streams import Streams
from edge.quic.webtransport import WebTransportSession

PROMPT_PER_S, PROMPT_AT_ONCE = 200.0, 200.0
"""Datagrams of one connection that are read at once; a call sends at most 130 a second, acknowledgments and all."""
REMEMBERED_CIDS = 8
"""Retired connection IDs that still lead to their connection: packets sent before the peer retired them are
late, not a reason for a stateless reset. A peer can retire without end, so only the last are kept."""


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """A connection as seen from above. ``opened_at`` is on the endpoint's clock."""

    handle: int
    path: Path
    alpn: str
    outcome: Outcome
    established: bool
    opened_at: float


@dataclass(slots=True, eq=False)
class ConnectionRecord:
    """A row of the table: the engine's connection and what the endpoint knows beside it."""

    handle: int
    engine: EdgeConnection
    path: Path
    arrived_on_service: bool
    opened_at: float
    on_service: bool = field(init=False)
    alpn: str = ""
    http3: Http3Connection | None = None
    announced: bool = False
    """The owner knows of it: it has been told an event of it."""
    established: bool = False
    closed: bool = False
    """Either side has closed; the engine may still be draining."""
    leave_at: float | None = None
    """When it is closed, as the only thing it was for is over."""
    removed: bool = False
    dirty: bool = False
    """Has something to send, or a new deadline."""
    client: str | None = None
    """Whose share of connections it takes, once its address is proved."""
    budget: TokenBucket | None = None
    """Of packets that are read; None: of any number."""
    excess: int = 0
    """Packets that were dropped because they were beyond it."""
    prompt: TokenBucket = field(default_factory=lambda: TokenBucket(PROMPT_PER_S, PROMPT_AT_ONCE))
    """Of datagrams that are read at once; see `edge.quic.lanes`."""
    waiting: int = 0
    """Datagrams that are not, yet."""
    deadlines: list[float] = field(default_factory=list)
    cids: set[bytes] = field(default_factory=set)
    retired: deque[bytes] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.on_service = self.arrived_on_service

    @property
    def outcome(self) -> Outcome:
        if not self.arrived_on_service:
            return Outcome.DIRECT
        return Outcome.ON_ANYCAST if self.on_service else Outcome.MIGRATED

    @property
    def streams(self) -> Streams | None:
        """What the owner's streams are: the connection's own, or on HTTP/3 those of its session."""
        return self.engine if self.http3 is None else self.http3.session

    def session(self, session_id: int) -> WebTransportSession | None:
        session = None if self.http3 is None else self.http3.session
        return session if session is not None and session.id == session_id else None

    def info(self) -> ConnectionInfo:
        return ConnectionInfo(
            self.handle, self.path, self.alpn, self.outcome, self.established, self.opened_at
        )


class ConnectionTable:
    """Rows by handle and by connection ID. ``by_cid`` is public for the path that every packet takes."""

    def __init__(self) -> None:
        self.by_cid: dict[bytes, ConnectionRecord] = {}
        self._by_handle: dict[int, ConnectionRecord] = {}

    def __len__(self) -> int:
        return len(self._by_handle)

    def __iter__(self) -> Iterator[ConnectionRecord]:
        return iter(tuple(self._by_handle.values()))

    def find(self, handle: int) -> ConnectionRecord | None:
        """The connection, if it is open."""
        record = self._by_handle.get(handle)
        return None if record is None or record.closed else record

    def add(self, record: ConnectionRecord, cids: list[bytes]) -> None:
        self._by_handle[record.handle] = record
        for cid in cids:
            self.route(record, cid)

    def route(self, record: ConnectionRecord, cid: bytes) -> None:
        record.cids.add(cid)
        self.by_cid[cid] = record

    def retire(self, record: ConnectionRecord, cid: bytes) -> None:
        """The peer will not use ``cid`` again."""
        record.retired.append(cid)
        if len(record.retired) > REMEMBERED_CIDS:
            forgotten = record.retired.popleft()
            record.cids.discard(forgotten)
            self.by_cid.pop(forgotten, None)

    def remove(self, record: ConnectionRecord) -> None:
        record.removed = True
        del self._by_handle[record.handle]
        for cid in record.cids:
            # Two clients may have made up the same one; the second took it over.
            if self.by_cid.get(cid) is record:
                del self.by_cid[cid]
