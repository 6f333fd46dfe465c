"""Who gets a call: tokens, key sets, pages, and how often a token is good for."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.utils import base64url_encode

from edge.auth import Doorkeeper, Origins, TokenKeys, Unauthorized, doorkeeper
from edge.errors import UsageError

SECRET = bytes(range(32))
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def text(raw: bytes) -> str:
    return base64url_encode(raw).decode()


def shared(kid: str = "shared", secret: bytes = SECRET, **more: Any) -> dict[str, Any]:
    return {"kty": "oct", "kid": kid, "alg": "HS256", "k": text(secret), **more}


def public(kid: str = "public") -> dict[str, Any]:
    raw = SIGNER.public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": kid, "x": text(raw)}


def key_set(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": list(keys)})


def token(key: Any = SECRET, algorithm: str = "HS256", kid: str | None = "shared", **claims: Any) -> str:
    claims = {"exp": time.time() + 3600, "aud": "voice", **claims}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else {})


def keeper(jwks: str | None = key_set(shared(), public()), **more: Any) -> Doorkeeper:
    return Doorkeeper(
        keys=None if jwks is None else TokenKeys(jwks, "voice"),
        origins=more.pop("origins", Origins()),
        default="echo",
        backends={"demo"},
        unix_time=time.time,
        **more,
    )


def test_without_keys_everybody_is_let_in_and_a_token_means_nothing() -> None:
    grant = keeper(None).admit("nonsense", None, None)
    assert (grant.backend, grant.claims) == ("echo", {})


@pytest.mark.parametrize("good", [token(), token(SIGNER, "EdDSA", "public")], ids=["HS256", "EdDSA"])
def test_a_token_of_a_known_key_is_let_in_and_its_claims_are_kept(good: str) -> None:
    grant = keeper().admit(good, None, None)
    assert grant.claims["aud"] == "voice"


BODY = text(b'{"exp":99999999999,"aud":"voice"}')


def unsigned() -> str:
    return text(b'{"alg":"none","kid":"shared"}') + f".{BODY}."


def confused() -> str:
    """Signed by HMAC with the bytes of a public key, which everybody has."""
    signed = text(b'{"alg":"HS256","kid":"public"}') + "." + BODY
    mac = hmac.new(SIGNER.public_key().public_bytes_raw(), signed.encode(), hashlib.sha256)
    return f"{signed}.{text(mac.digest())}"


def bad_tokens() -> Iterator[tuple[str, str | None, str]]:
    yield "none", None, "asks for a token"
    yield "empty", "", "not valid"
    yield "garbage", "a.b.c", "not valid"
    yield "long", "x" * 5000, "longer than"
    yield "other key", token(bytes(32)), "Signature verification failed"
    yield "unknown key", token(kid="lost"), "does not know (kid)"
    yield "no key", token(kid=None), "does not know (kid)"
    yield "unsigned", unsigned(), "not valid"
    yield "confused", confused(), "not valid"
    yield "expired", token(exp=time.time() - 60), "expired"
    yield "early", token(nbf=time.time() + 3600), "not yet valid"
    yield "for others", token(aud="mail"), "its audience (aud) is not"
    yield "for nobody", token(aud=None), "aud"
    yield "for ever", token(exp=None), "exp"
    yield "calls", token(calls="many"), "$.calls"


@pytest.mark.parametrize("bad, why", [case[1:] for case in bad_tokens()], ids=[c[0] for c in bad_tokens()])
def test_what_is_not_a_valid_token_gets_no_call_and_is_told_why(bad: str | None, why: str) -> None:
    with pytest.raises(Unauthorized, match=why.replace("(", r"\(").replace(")", r"\)").replace("$", r"\$")):
        keeper().admit(bad, None, None)


def test_a_token_is_good_for_as_many_calls_as_it_says() -> None:
    door, twice = keeper(), token(calls=2, jti="one")
    door.admit(twice, None, None)
    door.check(twice)  # asking is free
    door.admit(token(calls=2, jti="one", sub="signed again"), None, None)
    with pytest.raises(Unauthorized, match=r"has had all the calls that it is good for \(2\)"):
        door.admit(twice, None, None)
    door.admit(token(calls=2, jti="another"), None, None)


def test_what_is_remembered_of_tokens_is_bounded_and_forgets_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doorkeeper, "MAX_REMEMBERED", 2)
    door = keeper()
    once = [token(calls=1, jti=str(number), exp=time.time() + 3600 + number) for number in range(3)]
    for one in once:
        door.admit(one, None, None)
    assert len(door._calls) == 2
    with pytest.raises(Unauthorized):
        door.admit(once[2], None, None)


def test_a_backend_is_the_tokens_choice_then_the_callers_then_the_nodes() -> None:
    door = keeper()
    assert door.admit(token(), "demo", None).backend == "demo"
    assert door.admit(token(backend="demo"), None, None).backend == "demo"
    with pytest.raises(Unauthorized, match="for the backend 'demo', not 'echo'"):
        door.admit(token(backend="demo"), "echo", None)
    with pytest.raises(Unauthorized, match="may not be chosen here; there are demo, echo"):
        door.admit(token(), "story", None)


@pytest.mark.parametrize(
    "jwks, why",
    [
        ("", "not a JSON Web Key Set"),
        ("{}", "not a JSON Web Key Set"),
        ('{"keys": []}', "not a JSON Web Key Set"),
        ('{"keys": 7}', "not a JSON Web Key Set"),
        (key_set(shared(kid="")), "key 0 has no key ID"),
        (key_set(shared(secret=b"short")), "too short for HS256"),
        (key_set(shared(alg="HS512", secret=bytes(64))), "HS256 and EdDSA"),
        (key_set(shared(), shared()), "twice"),
    ],
)
def test_a_key_set_that_cannot_be_used_says_which_key_and_why(jwks: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        TokenKeys(jwks)


@pytest.mark.parametrize(
    "origin, allowed",
    [
        (None, True),
        ("https://app.example", True),
        ("https://APP.example", True),
        ("https://app.example:8443", False),
        ("http://app.example", False),
        ("https://app.example.evil.test", False),
        ("https://voice.example", True),
        ("https://voice.example:4433", True),
        ("https://u-1.nodes.example", True),
        ("https://a.u-1.nodes.example", False),
        ("http://voice.example", False),
        ("https://192.0.2.1:4433", True),
        ("https://[2001:db8:0::1]:4433", True),
        ("https://192.0.2.2", False),
        ("null", False),
        ("", False),
        ("https://", False),
    ],
)
def test_pages_of_the_node_and_of_named_origins_may_call(origin: str | None, allowed: bool) -> None:
    own = ["voice.example", "*.nodes.example", "192.0.2.1", "2001:db8::1"]
    door = keeper(None, origins=Origins(["https://app.example/"], own))
    assert door.origins.allow(origin) is allowed
    if not allowed:
        with pytest.raises(Unauthorized, match=r"auth\.origins"):
            door.admit(None, None, origin)


# --- a call that goes on elsewhere --------------------------------------------------------------------------


def test_a_call_goes_on_with_the_token_it_began_with_though_it_has_expired() -> None:
    old = token(exp=time.time() - 1000, jti="one")
    began = keeper().admit(token(jti="one"), None, None)
    assert began.caller
    with pytest.raises(Unauthorized, match="expired"):
        keeper().admit(old, None, None)
    grant = keeper().readmit(old, "demo", None, began.caller)
    assert (grant.backend, grant.caller) == ("demo", began.caller)


def test_an_expired_token_of_somebody_else_continues_nothing() -> None:
    began = keeper().admit(token(jti="one"), None, None)
    with pytest.raises(Unauthorized, match="expired"):
        keeper().readmit(token(exp=time.time() - 1000, jti="two"), "demo", None, began.caller)
    assert keeper().readmit(token(jti="two"), "demo", None, began.caller)


@pytest.mark.parametrize("shown", [None, "nonsense", token(bytes(32))], ids=["none", "nonsense", "forged"])
def test_who_shows_no_good_token_continues_nothing(shown: str | None) -> None:
    began = keeper().admit(token(jti="one"), None, None)
    with pytest.raises(Unauthorized):
        keeper().readmit(shown, "demo", None, began.caller)


def test_going_on_is_no_other_call() -> None:
    good = token(jti="one", calls=1)
    here = keeper()
    began = here.admit(good, None, None)
    with pytest.raises(Unauthorized, match="all the calls"):
        here.admit(good, None, None)
    assert here.readmit(good, "demo", None, began.caller)


def test_what_is_not_offered_here_does_not_go_on_here() -> None:
    with pytest.raises(Unauthorized, match="may not be chosen"):
        keeper(None).readmit(None, "openai", None, "")
    with pytest.raises(Unauthorized, match="pages of"):
        keeper(None).readmit(None, "demo", "https://evil.example", "")
