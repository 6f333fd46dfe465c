"""HTTP/3 requests on their way in: a header section, a body, and an end."""

from dataclasses import dataclass, field

from aioquic.h3.events import DataReceived, HeadersReceived

from edge.quic.events import RequestReceived

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class _Request:
    headers: Headers
    body: bytearray = field(default_factory=bytearray)


class Requests:
    """Those of one connection. How much they may hold is the business of who feeds them."""

    def __init__(self, connection: int) -> None:
        self._connection = connection
        self._arriving: dict[int, _Request] = {}
        self._unanswered: set[int] = set()
        self.were_none = True

    def receive(self, event: HeadersReceived | DataReceived) -> RequestReceived | None:
        """The next part of a request; the whole of it when that was the last one."""
        stream_id = event.stream_id
        if isinstance(event, HeadersReceived) and not is_trailer(event):
            self._arriving[stream_id] = _Request(event.headers)
            self.were_none = False
        request = self._arriving.get(stream_id)
        if request is None:
            return None
        if isinstance(event, DataReceived):
            request.body += event.data
        if not event.stream_ended:
            return None
        del self._arriving[stream_id]
        self._unanswered.add(stream_id)
        fields = read_headers(request.headers)
        return RequestReceived(
            self._connection,
            stream_id,
            method=fields.get(":method", ""),
            path=fields.get(":path", ""),
            authority=fields.get(":authority", ""),
            headers=without_pseudo(fields),
            body=bytes(request.body),
        )

    def answer(self, stream_id: int) -> bool:
        """Whether this one waits for its answer, which it gets only once."""
        if stream_id not in self._unanswered:
            return False
        self._unanswered.discard(stream_id)
        return True

    def forget(self, stream_id: int) -> None:
        """The client has given up on it."""
        self._arriving.pop(stream_id, None)
        self._unanswered.discard(stream_id)


def read_headers(headers: Headers) -> dict[str, str]:
    """By name; the engine lets only names in lower case pass. Repeated ones are one list (RFC 9110 section 5.3)."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def without_pseudo(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if not name.startswith(":")}


def is_trailer(event: HeadersReceived) -> bool:
    """Only a request's own header section has pseudo-header fields (RFC 9114 section 4.3)."""
    return not event.headers or not event.headers[0][0].startswith(b":")
