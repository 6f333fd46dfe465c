"""Who comes in: every row of the gate's table."""

import pytest
from sim.world import KEYS, make_identity

from edge.overload import Verdict
from edge.quic.config import EndpointConfig
from edge.quic.gate import Admit, AskAgain, Decision, Gate, Refuse
from edge.quic.header import VERSION_1, LongHeader, PacketType
from edge.quic.packets import CONNECTION_REFUSED, INVALID_TOKEN
from edge.quic.path import Path
from edge.quic.secrets import Secrets
from edge.quic.tokens import Proved

SECRETS = Secrets(KEYS, server_id=b"server 1", nonce_start=0)
TOKENS = SECRETS.tokens
PATH = Path("192.0.2.1", 4433, "198.51.100.1")
CHOSEN, ORIGINAL, RETRY_CID = b"chosen by client", b"original", b"issued for a retry"
REFUSED, INVALID = Refuse(CONNECTION_REFUSED), Refuse(INVALID_TOKEN)
GOOD = TOKENS.for_retry(PATH, ORIGINAL, RETRY_CID, unix_time=100.0, nonce=b"n" * 12)
EXPIRED = TOKENS.for_retry(PATH, ORIGINAL, RETRY_CID, unix_time=0.0, nonce=b"n" * 12)
EARLIER = TOKENS.for_return(PATH.host, unix_time=50.0, nonce=b"m" * 12)
FOREIGN = b"token of another server"


def make_gate(verdict: Verdict, *, proof: bool = True) -> Gate:
    config = EndpointConfig(identity=make_identity()[0], alpn=("x",), max_connections=10, max_handshakes=4)
    return Gate(
        config,
        lambda _now: verdict,
        SECRETS,
        proof=proof,
        unix_time=lambda now: now + 100.0,
        entropy=lambda count: b"n" * count,
    )


def judge(
    verdict: Verdict = Verdict.ACCEPT,
    *,
    token: bytes = b"",
    proof: bool = True,
    connections: int = 0,
    handshakes: int = 0,
) -> Decision:
    gate = make_gate(verdict, proof=proof)
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
    assert judge(verdict, token=GOOD, handshakes=3) == Admit(ORIGINAL, RETRY_CID, proved=True)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_token_that_is_not_for_him_ends_it(verdict: Verdict) -> None:
    assert judge(verdict, token=EXPIRED) == INVALID


@pytest.mark.parametrize("token", [b"", FOREIGN])
@pytest.mark.parametrize(
    "verdict, handshakes, expected",
    [
        (Verdict.ACCEPT, 0, Admit(CHOSEN, None, proved=False)),
        (Verdict.ACCEPT, 1, Admit(CHOSEN, None, proved=False)),
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
        assert TOKENS.open(decision.token, PATH, decision.retry_cid, unix_time=100.0) == Proved(CHOSEN)
    else:
        assert decision == expected


@pytest.mark.parametrize("handshakes", [0, 3])
def test_without_proof_nobody_is_sent_a_retry(handshakes: int) -> None:
    assert judge(Verdict.RETRY, proof=False, handshakes=handshakes) == Admit(CHOSEN, None, proved=False)


@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.RETRY])
def test_who_was_here_before_need_not_prove_its_address_again(verdict: Verdict) -> None:
    assert judge(verdict, token=EARLIER, handshakes=3) == Admit(CHOSEN, None, proved=True)
    assert judge(Verdict.REFUSE, token=EARLIER) == REFUSED


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.ACCEPT])
def test_an_earlier_token_proves_an_address_once(verdict: Verdict) -> None:
    gate = make_gate(verdict)

    def decide(token: bytes) -> Decision:
        header = LongHeader(PacketType.INITIAL, VERSION_1, CHOSEN, b"scid", token)
        return gate.judge(header, PATH, 0.0, connections=0, handshakes=0)

    again = TOKENS.for_return(PATH.host, unix_time=60.0, nonce=b"o" * 12)
    assert decide(EARLIER) == decide(again) == Admit(CHOSEN, None, proved=True)
    for used in (EARLIER, again):
        if verdict is Verdict.RETRY:
            assert isinstance(decide(used), AskAgain)
        else:
            assert decide(used) == Admit(CHOSEN, None, proved=False)
