"""What a supervisor and its workers say to each other.

One Unix stream socket a worker, one JSON record a line, each a tagged struct of this file; nothing else
crosses. A worker that loses this socket has lost its supervisor and stops.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec

from edge.forward import ReturnPath
from edge.overload import Gate, LoadSample
from edge.overload.limits import Limits
from edge.quic import CidProfile
from edge.runtime.hand_over import State as HandOverState
from edge.voice.control import GoAwayReason
from edge.voice.deadline import Preset
from edge.voice.ledger import LedgerCount

LINE_LIMIT = 4 * 1024 * 1024  # bytes; the longest record is a list of calls


Owners = dict[str, list[tuple[str, int]]]
"""Server ID in hex -> where that node takes packets of others, (host, port)."""


class AuthSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may call; see `edge.auth`. ``keys``: what the key file holds, or "" where no token is asked for."""

    keys: str
    audience: str | None
    origins: tuple[str, ...]


class WorkerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a worker must know to serve; ``node.py`` derives it from the node's configuration."""

    node: str
    worker: int
    sockets: dict[str, int]  # local address -> file descriptor in the worker
    service: list[str]  # those of them that are anycast
    preferred_v4: tuple[str, int] | None
    preferred_v6: tuple[str, int] | None
    unicast_url: str
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
    """What may cross. Every subclass is strict and tagged by its name."""


class Start(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Supervisor to worker, once."""

    settings: WorkerSettings


class SetGate(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Supervisor to worker: how to treat newcomers from now on."""

    gate: Gate


class SetKeys(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Supervisor to worker: the key ring from now on, as in its file."""

    keys: str


class SetOwners(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Supervisor to worker: the fleet from now on."""

    owners: Owners


class ListCalls(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Supervisor to worker: answer with `Calls`."""

    request: int


class HandOver(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Supervisor to worker: ask the calls to go on elsewhere, see `CallTable.hand_over`.

    ``urls`` are for callers over IPv4, ``urls_v6`` for the others; None is the service address.
    """

    urls: list[str | None]
    urls_v6: list[str | None]
    reason: GoAwayReason
    within_ms: int
    leave: bool


class CloseCalls(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Supervisor to worker: end the calls that are up."""

    reason: str


class Stop(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Supervisor to worker: close what is open and leave."""

    reason: str


class Ready(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Worker to supervisor: the sockets are being read."""


class Report(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Worker to supervisor, several times a second: load, and counters that only grow."""

    load: LoadSample
    counters: dict[str, int]  # monotonic since the worker started
    connections: dict[str, int]  # by outcome: migrated, on_anycast, direct
    generations: dict[int, int]  # of keys -> connections with connection IDs of it
    keys: int  # the version of the key ring
    calls: dict[str, int]  # by carrier: quic, webtransport, websocket
    observations: dict[str, list[float]]  # since the last report: what histograms are made of


class CallRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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


class Calls(Message, frozen=True, forbid_unknown_fields=True, tag=True):
    """Worker to supervisor: the calls that are up, and the last ones that ended."""

    request: int
    calls: list[CallRecord]


encode = msgspec.json.Encoder().encode
decode_to_worker = msgspec.json.Decoder(
    Start | SetGate | SetKeys | SetOwners | ListCalls | HandOver | CloseCalls | Stop
).decode
decode_to_supervisor = msgspec.json.Decoder(Ready | Report | Calls).decode


def write(writer: asyncio.StreamWriter, message: Message) -> None:
    """Queue one record."""
    writer.write(encode(message) + b"\n")
