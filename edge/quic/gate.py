"""Whether a newcomer comes in: the overload control's verdict, our own limits and the token he brings.

    brings                 verdict    handshakes            becomes
    anything               any        at the limit          refused, as with connections at theirs
    a token not for him    any        below                 closed with INVALID_TOKEN
    a good token           any        below                 admitted: he passed when he got it
    nothing                REFUSE     below                 refused
    nothing                RETRY      below                 sent a Retry
    nothing                ACCEPT     above half the limit  sent a Retry: forged addresses end here
    nothing                ACCEPT     below                 admitted

Without a token key nobody is sent a Retry; who would have been is admitted.
"""

from collections.abc import Callable
from dataclasses import dataclass

from edge.overload import Verdict
from edge.quic.config import EndpointConfig
from edge.quic.header import LongHeader
from edge.quic.packets import CONNECTION_REFUSED, INVALID_TOKEN
from edge.quic.path import Path
from edge.quic.tokens import NONCE_LENGTH, InvalidToken, RetryTokens


@dataclass(frozen=True, slots=True)
class Admit:
    """Begin a connection. The client checks both CIDs against the ones it used (RFC 9000 section 7.3)."""

    original_cid: bytes
    retry_cid: bytes | None


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Send a Retry: come back to this connection ID and bring this token."""

    retry_cid: bytes
    token: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with CONNECTION_CLOSE and keep nothing."""

    code: int


Decision = Admit | AskAgain | Refuse


class Gate:
    """``admission`` is asked once for each newcomer without a token. ``unix_time`` turns `now` into the
    wall-clock time that tokens are dated with; ``issue`` makes connection IDs and ``entropy`` random bytes.
    """

    def __init__(
        self,
        config: EndpointConfig,
        admission: Callable[[float], Verdict],
        tokens: RetryTokens | None,
        *,
        unix_time: Callable[[float], float],
        issue: Callable[[], bytes],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._config = config
        self._admission = admission
        self._tokens = tokens
        self._unix_time = unix_time
        self._issue = issue
        self._entropy = entropy

    def judge(
        self, header: LongHeader, path: Path, now: float, *, connections: int, handshakes: int
    ) -> Decision:
        """Decide about an Initial packet that belongs to no connection."""
        config = self._config
        if connections >= config.max_connections or handshakes >= config.max_handshakes:
            return Refuse(CONNECTION_REFUSED)
        try:
            original_cid = self._redeem(header, path, now)
        except InvalidToken:
            return Refuse(INVALID_TOKEN)
        if original_cid is not None:
            return Admit(original_cid, header.destination_cid)
        verdict = self._admission(now)
        if verdict is Verdict.REFUSE:
            return Refuse(CONNECTION_REFUSED)
        crowded = handshakes * 2 >= config.max_handshakes
        if self._tokens is not None and (verdict is Verdict.RETRY or crowded):
            return self._ask_again(self._tokens, header, path, now)
        return Admit(header.destination_cid, None)

    def recognises(self, header: LongHeader, path: Path, now: float) -> bool:
        """Whether this client follows a Retry, ours or another node's."""
        try:
            return self._redeem(header, path, now) is not None
        except InvalidToken:
            return False

    def _ask_again(self, tokens: RetryTokens, header: LongHeader, path: Path, now: float) -> AskAgain:
        retry_cid = self._issue()
        token = tokens.seal(
            path,
            header.destination_cid,
            retry_cid,
            unix_time=self._unix_time(now),
            nonce=self._entropy(NONCE_LENGTH),
        )
        return AskAgain(retry_cid, token)

    def _redeem(self, header: LongHeader, path: Path, now: float) -> bytes | None:
        if self._tokens is None or not header.token:
            return None
        unix_time = self._unix_time(now)
        return self._tokens.open(header.token, path, header.destination_cid, unix_time=unix_time)
