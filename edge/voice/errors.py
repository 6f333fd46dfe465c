"""What a peer can do wrong, and the numbers by which a call or a stream of it is ended."""

from enum import IntEnum

from edge.errors import EdgeError


class Code(IntEnum):
    """Application error codes: of RESET_STREAM, of STOP_SENDING, and of closing the session."""

    OK = 0
    CANCELLED = 1
    DEADLINE = 2
    SESSION_CLOSED = 3
    GOING_AWAY = 4
    TOO_FAR_BEHIND = 5
    UNAUTHORIZED = 7
    LIMIT = 8
    OVERLOAD = 9
    PROTOCOL_ERROR = 16


class WireError(EdgeError):
    """The peer broke the protocol in a way that leaves nothing to go on with; the session closes with ``code``.

    ``where`` names the place in its bytes ("group stream 6, packet 2"), ``problem`` what is wrong there.
    """

    def __init__(self, where: str, problem: str, code: Code = Code.PROTOCOL_ERROR) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem
        self.code = code
