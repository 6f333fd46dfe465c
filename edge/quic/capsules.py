"""Capsules: what the ends of a WebTransport session say about it on its CONNECT stream (RFC 9297 section 3.2).

    capsule = type (varint) | length (varint) | value

Only the one that ends a session means something here; all others, made-up ones among them, are passed over
without being kept.
"""

from dataclasses import dataclass

from aioquic.buffer import (  # type: ignore[attr-defined]  # it is the documented place
    Buffer,
    BufferReadError,
    encode_uint_var,
)

CLOSE_SESSION = 0x2843
MAX_REASON_BYTES = 1024
CODE_BYTES = 4


class CapsuleError(ValueError):
    """These bytes are not capsules, or not ones that may come here."""


@dataclass(frozen=True, slots=True)
class CloseSession:
    """The session is over; ``code`` is the application's, of 32 bits."""

    code: int
    reason: str

    def encode(self) -> bytes:
        """The capsule; of a reason that is too long, as much as may be sent."""
        reason = self.reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
        value = self.code.to_bytes(CODE_BYTES, "big") + reason
        return encode_uint_var(CLOSE_SESSION) + encode_uint_var(len(value)) + value


class CapsuleReader:
    """Reads one direction of a CONNECT stream; keeps no more than one `CloseSession` takes."""

    def __init__(self) -> None:
        self._unread = b""
        self._to_skip = 0

    def receive(self, data: bytes) -> CloseSession | None:
        """The next bytes of the stream; what they close the session with, if they do.

        Raises `CapsuleError` when that is malformed or not the last.
        """
        buffer = Buffer(data=self._unread + data)
        read = 0
        try:
            while True:
                skipped = min(self._to_skip, buffer.capacity - read)
                self._to_skip -= skipped
                read += skipped
                buffer.seek(read)
                kind, length = buffer.pull_uint_var(), buffer.pull_uint_var()
                if kind == CLOSE_SESSION:
                    if not CODE_BYTES <= length <= CODE_BYTES + MAX_REASON_BYTES:
                        raise CapsuleError(f"{length} bytes in a close capsule")
                    return _close(buffer.pull_bytes(length), is_last=buffer.eof())
                self._to_skip = length
                read = buffer.tell()
        except BufferReadError:
            self._unread = buffer.data_slice(read, buffer.capacity)
            return None


def _close(value: bytes, *, is_last: bool) -> CloseSession:
    if not is_last:
        raise CapsuleError("data behind a close capsule")
    try:
        return CloseSession(int.from_bytes(value[:CODE_BYTES], "big"), value[CODE_BYTES:].decode())
    except UnicodeDecodeError as error:
        raise CapsuleError("the reason of a close capsule is not UTF-8") from error
