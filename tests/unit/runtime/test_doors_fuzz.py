"""Ten thousand random and mutated inputs at each door a stranger can knock at before there is a call, and the memory
that one caller can fill behind it. Elsewhere: the ways into a session (test_voice_session_fuzz.py), WebSocket frames
(test_voice_mux.py), capsules and streams of WebTransport and HTTP/3 (test_quic_webtransport_garbage.py).
"""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from mutation import mutate

from edge.auth import Doorkeeper, Origins, TokenKeys, Unauthorized
from edge.auth.tokens import MAX_TOKEN
from edge.runtime.session_api import MAX_BODY, ApiSettings, Request, answer
from edge.voice import Codec, EdgeSession, varint
from edge.voice.actions import CloseSession
from edge.voice.wire import AudioDatagram, GroupHeader, encode_datagram, encode_header, encode_packet

INPUTS = 10_000
KEYS = json.dumps({"keys": [{"kty": "oct", "kid": "k", "alg": "HS256", "k": "A" * 43}]})
KEY = jwt.PyJWKSet.from_json(KEYS).keys[0]


def mutated(dice: random.Random, seed: bytes) -> bytes:
    """A few bits, bytes or pieces of it are not what they were; now and then nothing of it is left."""
    if dice.random() < 0.05:
        return dice.randbytes(dice.randrange(80))
    return mutate(dice, seed)


# --- tokens ----------------------------------------------------------------------------------------------


def part(data: bytes) -> str:
    return jwt.utils.base64url_encode(data).decode()


GOOD = jwt.encode({"exp": 4_000_000_000, "calls": 10**6, "backend": "it"}, KEY, "HS256", headers={"kid": "k"})
TOKENS = [
    GOOD,
    jwt.encode({"exp": 1}, KEY, "HS256", headers={"kid": "k"}),
    jwt.encode({"exp": "soon", "calls": "many"}, KEY, "HS256", headers={"kid": "k"}),
    part(b'{"alg":"none","kid":"k"}') + "." + part(b'{"exp":9e99}') + ".",
    part(b'{"kid":' + b"[" * 1500) + ".e30.x",
    part(b'{"alg":"HS256","kid":"k"}') + "." + part(b"[" * 2500) + ".x",
    "x" * (MAX_TOKEN + 1),
]


def test_a_token_is_good_or_refused_with_a_reason() -> None:
    dice = random.Random(3)
    doorkeeper = Doorkeeper(
        keys=TokenKeys(KEYS), origins=Origins(), default="it", backends=set(), unix_time=time.time
    )
    granted, reasons = 0, set()
    for _ in range(INPUTS):
        # As headers bring it: bytes that are no UTF-8 become lone surrogates.
        token = mutated(dice, dice.choice(TOKENS).encode()).decode("utf-8", "surrogateescape")
        try:
            doorkeeper.admit(token, None, None)
        except Unauthorized as error:
            reasons.add(str(error))
        else:
            granted += 1
            assert token == GOOD
    assert granted
    assert all(0 < len(reason) < 500 for reason in reasons)


# --- the session API -------------------------------------------------------------------------------------


def check(token: str | None) -> float | None:
    if token not in (None, "good"):
        raise Unauthorized("the token is not valid")
    return 1.0


API = ApiSettings(
    node="n",
    unicast_url="https://n:443",
    lead_ms=1000,
    deadline_ms=500,
    certificate_hash=None,
    check_token=check,
    origin_allowed=lambda origin: origin == "https://page.example",
)
BODIES = [
    b"",
    b"{}",
    b'{"token":"good"}',
    b'{"token":"good"',
    b"[" * 5000,
    b'{"token":1e999}',
    b"x" * (MAX_BODY + 1),
]


def test_a_request_is_answered_whatever_it_is() -> None:
    dice = random.Random(4)
    headers = {
        "origin": [b"https://page.example", b"https://other.example", b"null"],
        "authorization": [b"Bearer good", b"bearer  good", b"Basic Z29vZA==", b"Bearer"],
        "content-type": [b"application/json", b"application/json; charset=utf-8", b"text/plain"],
    }
    seen = set()
    for _ in range(INPUTS):
        request = Request(
            dice.choice(["POST", "POST", "POST", "GET", "HEAD", "OPTIONS", "BREW", ""]),
            dice.choice(
                ["/v1/session", "/v1/session", "/livez", mutated(dice, b"/v1/session").decode("latin-1")]
            ),
            {
                name: (value if dice.random() < 0.7 else mutated(dice, value)).decode(
                    "utf-8", "surrogateescape"
                )
                for name, values in headers.items()
                if dice.random() < 0.6
                for value in [dice.choice(values)]
            },
            mutated(dice, dice.choice(BODIES)) if dice.random() < 0.5 else dice.choice(BODIES),
        )
        answered = answer(request, API)
        seen.add(int(answered.status))
        assert len(answered.body) < 2000
    assert seen == {200, 204, 400, 401, 403, 404, 405, 413, 415}


# --- memory ----------------------------------------------------------------------------------------------

SESSIONS, FILLS = 2, 1000
MAX_BYTES_EACH = 4 * 1024 * 1024
"""Half a megabyte of payload is held, 3000 frames and 600 streams with their objects, and what is to be told."""


def far_ahead(session: EdgeSession, dice: random.Random, number: int) -> None:
    """Speech with a hole in front."""
    packet = encode_packet(dice.randbytes(180), Codec.OPUS)
    header = encode_header(GroupHeader(1 + dice.randrange(60), 1 + dice.randrange(550), 0, Codec.OPUS))
    session.receive_stream(4 * number + 2, header + packet * 5, True, 0.0)


def half_packets(session: EdgeSession, dice: random.Random, number: int) -> None:
    """Streams that stay open, each with most of the largest packet."""
    header = encode_header(GroupHeader(1, 1 + number, 0, Codec.OPUS))
    session.receive_stream(4 * number + 2, header + varint.encode(1200) + dice.randbytes(1100), False, 0.0)


def datagrams(session: EdgeSession, dice: random.Random, number: int) -> None:
    datagram = AudioDatagram(1, 1 + dice.randrange(2900), 0, (dice.randbytes(900),))
    session.receive_datagram(encode_datagram(datagram), number / 100)


def half_a_record(session: EdgeSession, dice: random.Random, _number: int) -> None:
    session.receive_control(varint.encode(65536) + dice.randbytes(65000), False, 0.0)


def events_to_keep(session: EdgeSession, dice: random.Random, number: int) -> None:
    data = json.dumps({"type": "conversation.item.create", "text": dice.randbytes(15000).hex()}).encode()
    session.receive_control(varint.encode(len(data)) + data, False, number / 10)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("fill", [far_ahead, half_packets, datagrams, half_a_record, events_to_keep])
def test_one_caller_fills_so_much_memory_and_no_more(
    fill: Callable[[EdgeSession, random.Random, int], Any], held: bool
) -> None:
    dice = random.Random(8)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        sessions = []
        for _ in range(SESSIONS):
            session = EdgeSession("s", held=held)
            for number in range(FILLS):
                fill(session, dice, number)
                if not held:
                    while session.next_event() is not None:
                        pass
                if session.closed:
                    break
            sessions.append(session)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / SESSIONS < MAX_BYTES_EACH
    for session in sessions:
        if session.closed:
            *_, last = list(iter(session.next_action, None))
            assert isinstance(last, CloseSession)
            assert ": " in last.reason
