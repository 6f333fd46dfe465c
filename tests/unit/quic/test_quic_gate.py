"""Who comes in: every row of the gate's table."""

import pytest
from sim.world import make_identity

from edge.overload import Verdict
from edge.quic.config import EndpointConfig
from edge.quic.gate import Admit, AskAgain, Decision, Gate, Refuse
from edge.quic.header import VERSION_1, LongHeader, PacketType
from edge.quic.packets import CONNECTION_REFUSED, INVALID_TOKEN
from edge.quic.path import Path
from edge.quic.tokens import RetryTokens

TOKENS = RetryTokens(b"k" * 16)
PATH = Path("192.0.2.1", 4433, "198.51.100.1")
CHOSEN, ORIGINAL, RETRY_CID = b"chosen by client", b"original", b"issued for a retry"
REFUSED, INVALID = Refuse(CONNECTION_REFUSED), Refuse(INVALID_TOKEN)
GOOD = TOKENS.seal(PATH, ORIGINAL, RETRY_CID, unix_time=100.0, nonce=b"n" * 12)
EXPIRED = TOKENS.seal(PATH, ORIGINAL, RETRY_CID, unix_time=0.0, nonce=b"n" * 12)
FOREIGN = b"token of another server"


def judge(
    verdict: Verdict = Verdict.ACCEPT,
    *,
    token: bytes = b"",
    tokens: RetryTokens | None = TOKENS,
    connections: int = 0,
    handshakes: int = 0,
) -> Decision:
    config = EndpointConfig(
        identity=make_identity()[0], alpn=("x",), reset_key=b"", max_connections=10, max_handshakes=4
    )
    gate = Gate(
        config,
        lambda _now: verdict,
        tokens,
        unix_time=lambda now: now + 100.0,
        issue=lambda: RETRY_CID,
        entropy=lambda count: b"n" * count,
    )
    dcid = RETRY_CID if token in (GOOD, EXPIRED) else CHOSEN
    header = LongHeader(PacketType.INITIAL, VERSION_1, dcid, b"scid", token)
    return gate.judge(header, PATH, 0.0, connections=connections, handshakes=handshakes)


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("token", [b"", GOOD, EXPIRED])
@pytest.mark.parametrize("connections, handshakes", [(10, 0), (0, 4)])
def test_at_a_limit_everybody_is_refused(
    verdict: Verdict, token: bytes, connections: int, handshakes: int
) -> None:
    assert judge(verdict, token=token, connections=connections, handshakes=handshakes) == REFUSED


@pytest.mark.parametrize("verdict", list(Verdict))
def test_who_was_told_to_come_back_is_admitted_and_not_judged_twice(verdict: Verdict) -> None:
    assert judge(verdict, token=GOOD, handshakes=3) == Admit(ORIGINAL, RETRY_CID)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_token_that_is_not_for_him_ends_it(verdict: Verdict) -> None:
    assert judge(verdict, token=EXPIRED) == INVALID


@pytest.mark.parametrize("token", [b"", FOREIGN])
@pytest.mark.parametrize(
    "verdict, handshakes, expected",
    [
        (Verdict.ACCEPT, 0, Admit(CHOSEN, None)),
        (Verdict.ACCEPT, 1, Admit(CHOSEN, None)),
        (Verdict.ACCEPT, 2, AskAgain),
        (Verdict.RETRY, 0, AskAgain),
        (Verdict.REFUSE, 0, REFUSED),
    ],
)
def test_who_brings_nothing_of_ours_gets_the_verdict(
    token: bytes, verdict: Verdict, handshakes: int, expected: object
) -> None:
    decision = judge(verdict, token=token, handshakes=handshakes)
    if expected is AskAgain:
        assert isinstance(decision, AskAgain)
        assert TOKENS.open(decision.token, PATH, decision.retry_cid, unix_time=100.0) == CHOSEN
    else:
        assert decision == expected


@pytest.mark.parametrize("handshakes", [0, 3])
def test_without_a_token_key_nobody_is_sent_a_retry(handshakes: int) -> None:
    assert judge(Verdict.RETRY, tokens=None, handshakes=handshakes) == Admit(CHOSEN, None)
    assert judge(Verdict.ACCEPT, tokens=None, token=GOOD) == Admit(RETRY_CID, None)
