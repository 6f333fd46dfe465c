"""What WebTransport adds to the wire of HTTP/3 (draft-ietf-webtrans-http3, sections 4 and 9).

A stream of a session begins with a mark and the session ID, which is the stream ID of its CONNECT request:

    unidirectional   0x54 | session ID | data      a stream type of HTTP/3
    bidirectional    0x41 | session ID | data      looks like a frame of HTTP/3, and takes the rest of the stream

The browsers that came first go by draft 02, Safari by later ones. All of this is the same in both; they differ in
the setting that announces it and in response headers.
"""

from dataclasses import dataclass

from aioquic.buffer import (  # type: ignore[attr-defined]  # it is the documented place
    Buffer,
    BufferReadError,
    encode_uint_var,
)

UNIDIRECTIONAL_MARK = 0x54
BIDIRECTIONAL_MARK = 0x41
PROTOCOL = b"webtransport"
"""Of the extended CONNECT that asks for a session (RFC 9220)."""

SETTINGS = {0xC671706A: 1, 0x14E9CD29: 1}
"""How many sessions a connection may have, as drafts 07 and 13 call it; aioquic says the same for draft 02.
More than one would ask for flow control of sessions."""
ACCEPTED = [(b"sec-webtransport-http3-draft", b"draft02")]

BUFFERED_STREAM_REJECTED = 0x3994BD84
SESSION_GONE = 0x170D7B68

_FIRST_CODE = 0x52E4A40FA8DB
_LAST_CODE = 0x52E5AC983162


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """``session``: None on a stream that is HTTP/3's own. ``size``: bytes before the data."""

    session: int | None
    size: int


_OF_HTTP = StreamHeader(None, 0)


def read_stream_header(stream_id: int, data: bytes) -> StreamHeader | None:
    """Whose a peer's stream is, by its first bytes; None when they are too few to tell."""
    buffer = Buffer(data=data)
    try:
        if buffer.pull_uint_var() != _mark(stream_id):
            return _OF_HTTP
        return StreamHeader(buffer.pull_uint_var(), buffer.tell())
    except BufferReadError:
        return None


def stream_header(stream_id: int, session: int) -> bytes:
    """What our own stream begins with."""
    return encode_uint_var(_mark(stream_id)) + encode_uint_var(session)


def to_http_code(code: int) -> int:
    """The error code that stands for an application's, of 32 bits, in RESET_STREAM and STOP_SENDING."""
    return _FIRST_CODE + code + code // 0x1E


def from_http_code(code: int) -> int:
    """The application's code; 0 for one that HTTP/3 itself gave, which says nothing to an application."""
    # Every 31st code is reserved for nothing in particular (RFC 9114 section 8.1).
    if not _FIRST_CODE <= code <= _LAST_CODE or (code - 0x21) % 0x1F == 0:
        return 0
    offset = code - _FIRST_CODE
    return offset - offset // 0x1F


def _mark(stream_id: int) -> int:
    return UNIDIRECTIONAL_MARK if stream_id & 2 else BIDIRECTIONAL_MARK
