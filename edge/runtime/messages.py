"""What a supervisor and its workers say to each other.

One Unix stream socket a worker, one JSON record a line, each a tagged struct of this file; nothing else
crosses. A worker that loses this socket has lost its supervisor and stops.

The two may be of different versions, for a node's workers can be replaced without it (`edgectl node reload`). Fields and
kinds that one end does not know are ignored. So a field that is added has a default, and a kind that is added may go
unheard; any other change raises `PROTOCOL`, and a worker that speaks another one says so and does not serve.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal, get_args

import msgspec

from edge.errors import EdgeError
from edge.forward import ReturnPath
from edge.overload import Gate, LoadSample
from edge.overload.limits import Limits
from edge.quic import CidProfile
from edge.runtime.hand_over import State as HandOverState
from edge.voice.control import GoAwayReason
from edge.voice.deadline import Preset
from edge.voice.ledger import LedgerCount

PROTOCOL = 1
LINE_LIMIT = 4 * 1024 * 1024  # bytes; the longest record is a list of calls


Owners = dict[str, list[tuple[str, int]]]
"""Server ID in hex -> where that node takes packets of others, (host, port)."""


class AuthSettings(msgspec.Struct, frozen=True):
    """Who may call; see `edge.auth`. ``keys``: what the key file holds, or "" where no token is asked for."""

    keys: str
    audience: str | None
    origins: tuple[str, ...]


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker must know to serve; ``node.py`` derives it from the node's configuration."""

    node: str
    worker: int  # its slot, and the octet of its connection IDs
    siblings: list[int]  # octets of this node's workers, its own among them
    sockets: dict[str, int]  # local address -> file descriptor in the worker
    service: list[str]  # those of them that are anycast
    preferred_v4: tuple[str, int] | None
    preferred_v6: tuple[str, int] | None
    unicast_url: str
    unicast_url_v6: str | None  # for who calls over IPv6; None where there is no such address
    unicast_goaway: bool  # ask callers that stay on the service address to go there
    certificate: bytes  # PEM chain
    private_key: bytes  # PEM
    server_id: bytes
    keys: str  # the key ring, as in its file
    cid_profile: CidProfile
    nonce_start: int
    idle_timeout_s: float
    max_connections: int
    max_handshakes: int
    backend: str
    backends: dict[str, dict[str, Any]]  # all that may be chosen, that one among them -> its settings
    lead_ms: int | Literal["auto"]
    deadline: Preset
    resume_s: float
    forward_sockets: dict[str, int]  # unicast address -> file descriptor in the worker
    owners: Owners
    return_path: ReturnPath
    listeners: dict[str, int]  # local address -> file descriptor of a TCP socket in the worker
    plain_listener: str  # the one of them that has no TLS, or ""
    page: bool
    auth: AuthSettings
    limits: Limits

    @property
    def descriptors(self) -> list[int]:
        """The files that the worker has to inherit."""
        return [
            *self.sockets.values(),
            *self.forward_sockets.values(),
            *self.listeners.values(),
        ]


class Message(msgspec.Struct, frozen=True):
    """What may cross. Every subclass is tagged by its name."""


class Start(Message, frozen=True, tag=True):
    """Supervisor to worker, once."""

    settings: WorkerSettings
    protocol: int = PROTOCOL


class SetGate(Message, frozen=True, tag=True):
    """Supervisor to worker: how to treat newcomers from now on."""

    gate: Gate


class SetKeys(Message, frozen=True, tag=True):
    """Supervisor to worker: the key ring from now on, as in its file."""

    keys: str


class SetOwners(Message, frozen=True, tag=True):
    """Supervisor to worker: the fleet from now on."""

    owners: Owners


class SetSiblings(Message, frozen=True, tag=True):
    """Supervisor to worker: the octets of this node's workers, as they are from now on."""

    siblings: list[int]


class ListCalls(Message, frozen=True, tag=True):
    """Supervisor to worker: answer with `Calls`."""

    request: int


class HandOver(Message, frozen=True, tag=True):
    """Supervisor to worker: ask the calls to go on elsewhere, see `CallTable.hand_over`.

    ``urls`` are for callers over IPv4, ``urls_v6`` for the others; None is the service address.
    """

    urls: list[str | None]
    urls_v6: list[str | None]
    reason: GoAwayReason
    within_ms: int
    leave: bool


class CallOff(Message, frozen=True, tag=True):
    """Supervisor to worker: ask no more calls for this reason."""

    reason: GoAwayReason


class CloseCalls(Message, frozen=True, tag=True):
    """Supervisor to worker: end the calls that are up."""

    reason: str


class Leave(Message, frozen=True, tag=True):
    """Supervisor to worker: others take the newcomers now, also those on TCP; keep the calls that are up."""


class Stop(Message, frozen=True, tag=True):
    """Supervisor to worker: close what is open and leave."""

    reason: str


class Ready(Message, frozen=True, tag=True):
    """Worker to supervisor: the sockets are being read, by the code of this version."""

    version: str = ""


class Failed(Message, frozen=True, tag=True):
    """Worker to supervisor: it cannot serve, and ends."""

    reason: str


class Report(Message, frozen=True, tag=True):
    """Worker to supervisor, several times a second: load, and counters that only grow."""

    load: LoadSample
    counters: dict[str, int]  # monotonic since the worker started
    connections: dict[str, int]  # by outcome: migrated, on_anycast, direct
    generations: dict[int, int]  # of keys -> connections with connection IDs of it
    keys: int  # the version of the key ring
    calls: dict[str, int]  # by carrier: quic, webtransport, websocket
    observations: dict[str, list[float]]  # since the last report: what histograms are made of


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call as this node counted it; frames are counted where the backend takes and gives them.

    ``hand_over``: what has become of asking its caller to go elsewhere, ``hand_over_url`` where, None for the service
    address or nowhere; ``hand_over_ms`` from the question until it was let go, None if it was not.
    ``frames_lost``: what the caller said and was given up here.
    """

    call_id: str
    worker: int
    carrier: str
    outcome: str
    age_s: float
    ended: bool
    hand_over: HandOverState = ""
    hand_over_url: str | None = None
    hand_over_ms: float | None = None
    frames_lost: int = 0
    heard: LedgerCount
    said: LedgerCount


class Calls(Message, frozen=True, tag=True):
    """Worker to supervisor: the calls that are up, and the last ones that ended."""

    request: int
    calls: list[CallRecord]


ToWorker = (
    Start
    | SetGate
    | SetKeys
    | SetOwners
    | SetSiblings
    | ListCalls
    | HandOver
    | CallOff
    | CloseCalls
    | Leave
    | Stop
)
ToSupervisor = Ready | Failed | Report | Calls

encode = msgspec.json.Encoder().encode
_to_worker = msgspec.json.Decoder(ToWorker)
_to_supervisor = msgspec.json.Decoder(ToSupervisor)
_kinds_to_worker = {kind.__name__ for kind in get_args(ToWorker)}
_kinds_to_supervisor = {kind.__name__ for kind in get_args(ToSupervisor)}


class _Any(msgspec.Struct, frozen=True):
    """What every record has, of whatever version."""

    type: str = ""
    protocol: int = PROTOCOL


def decode_to_worker(line: bytes) -> ToWorker | None:
    """None for a kind that is not known here. Raises `msgspec.DecodeError`, and `EdgeError` for another protocol."""
    head = msgspec.json.decode(line, type=_Any)
    if head.protocol != PROTOCOL:
        raise EdgeError(
            f"this version's workers speak protocol {PROTOCOL}, the supervisor {head.protocol}: they cannot be changed "
            "while the node runs; restart the node"
        )
    return _to_worker.decode(line) if head.type in _kinds_to_worker else None


def decode_to_supervisor(line: bytes) -> ToSupervisor | None:
    """None for a kind that is not known here. Raises `msgspec.DecodeError`."""
    known = msgspec.json.decode(line, type=_Any).type in _kinds_to_supervisor
    return _to_supervisor.decode(line) if known else None


def write(writer: asyncio.StreamWriter, message: Message) -> None:
    """Queue one record."""
    writer.write(encode(message) + b"\n")
