"""What can be done with the streams and datagrams of a connection, whatever wraps them on the wire."""

from typing import Protocol


class Streams(Protocol):
    """A QUIC connection or a WebTransport session on one. Stream IDs are QUIC's, codes the application's.

    ValueError and RuntimeError say that a stream does not take it: unknown, finished, of the other direction.
    """

    def open_stream(self, *, unidirectional: bool) -> int: ...

    def send_stream_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> None: ...

    def reset_stream(self, stream_id: int, error_code: int) -> None: ...

    def expire_stream(self, stream_id: int, error_code: int) -> None: ...

    def stop_stream(self, stream_id: int, error_code: int) -> None: ...

    def try_send_datagram(self, data: bytes) -> bool: ...
