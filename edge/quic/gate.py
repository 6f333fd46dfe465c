"""Whether a newcomer comes in: the overload control's verdict, our own limits and the token he brings.

    brings                 verdict    handshakes            becomes
    anything               any        at the limit          refused, as with connections at theirs
    a Retry's token,       any        below                 closed with INVALID_TOKEN
      but not for him
    a Retry's token        any        below                 admitted: he passed when he got it
    nothing, too often     any        below                 sent a Retry, as his address may be forged
    anything else          REFUSE     below                 refused
    an earlier token       other      below                 admitted
    nothing                RETRY      below                 sent a Retry
    nothing                ACCEPT     above half the limit  sent a Retry: forged addresses end here
    nothing                ACCEPT     below                 admitted

An *earlier token* is one of NEW_TOKEN, which he got at the end of a handshake; one that has been here already is nothing
(RFC 9000 section 8.1.4), for somebody else may have his address now. Without ``proof`` nobody is sent a Retry;
who would have been is admitted. Whose address has its share of connections is refused in any case, and so is a good
token that comes too often. Both are counted of addresses that are proved, so that nobody can use up another's share.
"""

from collections.abc import Callable
from dataclasses import dataclass

from edge.overload import Verdict
from edge.overload.clients import Rates, Shares, client_of
from edge.quic.config import EndpointConfig
from edge.quic.header import LongHeader
from edge.quic.packets import CONNECTION_REFUSED, INVALID_TOKEN
from edge.quic.path import Path
from edge.quic.secrets import Secrets
from edge.quic.tickets import StrikeRegister
from edge.quic.tokens import NONCE_LENGTH, InvalidToken, Proved


@dataclass(frozen=True, slots=True)
class Admit:
    """Begin a connection. The client checks both CIDs against the ones it used (RFC 9000 section 7.3)."""

    original_cid: bytes
    retry_cid: bytes | None
    proved: bool
    """He has shown that he receives what is sent to his address."""


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Send a Retry: come back to this connection ID and bring this token."""

    retry_cid: bytes
    token: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with CONNECTION_CLOSE and keep nothing. ``crowded``: because of all the others from that address."""

    code: int
    crowded: bool = False


Decision = Admit | AskAgain | Refuse


class Gate:
    """``admission`` is asked once for each newcomer that follows no Retry. ``proof``: whether any is sent. ``unix_time``
    turns `now` into the wall-clock time that tokens are dated with; ``entropy`` makes random bytes.
    """

    def __init__(
        self,
        config: EndpointConfig,
        admission: Callable[[float], Verdict],
        secrets: Secrets,
        *,
        proof: bool,
        unix_time: Callable[[float], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self.shares = Shares(config.per_address) if config.per_address is not None else None
        """Connections by client: told here, and counted by whoever begins and ends them."""
        at_once = max(1, int(2 * config.per_address_per_s))
        self._newcomers, self._returned = (Rates(config.per_address_per_s, at_once) for _ in range(2))
        # What was issued before this process began may have been used here; once more is not often.
        self._returns = StrikeRegister(config.max_tickets, began_at=0.0)
        self._config = config
        self._admission = admission
        self._secrets = secrets
        self._proof = proof
        self._unix_time = unix_time
        self._entropy = entropy

    def judge(
        self, header: LongHeader, path: Path, now: float, *, connections: int, handshakes: int
    ) -> Decision:
        """Decide about an Initial packet that belongs to no connection."""
        config = self._config
        if connections >= config.max_connections or handshakes >= config.max_handshakes:
            return Refuse(CONNECTION_REFUSED)
        client = client_of(path.host)
        if self.shares is not None and not self.shares.has_room(client):
            return Refuse(CONNECTION_REFUSED, crowded=True)
        try:
            proved = self._redeem(header, path, now)
        except InvalidToken:
            return Refuse(INVALID_TOKEN)
        if proved is not None and proved.original_cid is None:
            is_first_use = self._returns.strike(header.token, proved.issued_at)
            proved = proved if is_first_use else None
        rates = self._newcomers if proved is None else self._returned
        comes_often = self.shares is not None and not rates.take(client, now)
        if proved is not None and comes_often:
            return Refuse(CONNECTION_REFUSED, crowded=True)
        if proved is not None and proved.original_cid is not None:
            return Admit(proved.original_cid, header.destination_cid, proved=True)
        verdict = self._admission(now)
        if verdict is Verdict.REFUSE:
            return Refuse(CONNECTION_REFUSED)
        crowded = comes_often or handshakes * 2 >= config.max_handshakes
        if self._proof and proved is None and (verdict is Verdict.RETRY or crowded):
            return self._ask_again(header, path, now)
        return Admit(header.destination_cid, None, proved=proved is not None)

    def recognises(self, header: LongHeader, path: Path, now: float) -> bool:
        """Whether this client follows a Retry, ours or another node's."""
        try:
            proved = self._redeem(header, path, now)
        except InvalidToken:
            return False
        return proved is not None and proved.original_cid is not None

    def _ask_again(self, header: LongHeader, path: Path, now: float) -> AskAgain:
        retry_cid = self._secrets.issue()
        token = self._secrets.tokens.for_retry(
            path,
            header.destination_cid,
            retry_cid,
            unix_time=self._unix_time(now),
            nonce=self._entropy(NONCE_LENGTH),
        )
        return AskAgain(retry_cid, token)

    def _redeem(self, header: LongHeader, path: Path, now: float) -> Proved | None:
        if not header.token:
            return None
        unix_time = self._unix_time(now)
        return self._secrets.tokens.open(header.token, path, header.destination_cid, unix_time=unix_time)
