"""What a session asks of the carrier it is on. Actions are done in the order in which they come."""

from dataclasses import dataclass

from edge.voice.errors import Code


@dataclass(frozen=True, slots=True)
class SendControl:
    """Bytes for the control stream, the first bidirectional stream of the caller."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SendStream:
    """Bytes for a unidirectional stream of this end.

    ``stream`` is the session's own number of it, counted from 0 in the order first used.
    """

    stream: int
    data: bytes
    fin: bool


@dataclass(frozen=True, slots=True)
class ResetStream:
    """Give up one of this end's streams."""

    stream: int
    code: Code


@dataclass(frozen=True, slots=True)
class ExpireStream:
    """Give up one of this end's finished streams if its time was too short.

    Unless the peer has acknowledged all of it (on TCP: the kernel has taken all of it), reset it with
    `Code.DEADLINE`. Only a carrier can see acknowledgements, so only a carrier can decide.
    """

    stream: int


@dataclass(frozen=True, slots=True)
class StopStream:
    """Ask the peer to give up one of its streams, named as `receive_stream` was given it."""

    peer_stream: int
    code: Code


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """An unreliable datagram; it may be dropped, never delayed."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CloseSession:
    """The last action: the call is over. ``reason`` is for a person."""

    code: Code
    reason: str


Action = SendControl | SendStream | ResetStream | ExpireStream | StopStream | SendDatagram | CloseSession
