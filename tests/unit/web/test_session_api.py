"""What a node answers to plain requests, as a function: no socket is here."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from edge.runtime.session_api import MAX_BODY, Answer, ApiSettings, Request, answer, pinnable_hash

JSON = {"content-type": "application/json"}


def post(body: bytes = b"", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "/v1/session", named, body)


def said(given: Answer) -> dict[str, Any]:
    assert given.headers["content-type"] == "application/json"
    assert given.headers["cache-control"] == "no-store"
    return dict(json.loads(given.body))


def test_a_session_names_the_unicast_address(api: ApiSettings, tls_files: tuple[Path, Path]) -> None:
    given = answer(post(authorization="Bearer good"), api)
    assert given.status == 200
    der = ssl.PEM_cert_to_DER_cert(tls_files[0].read_text())
    assert said(given) == {
        "url": "https://unicast.example:4433/v1/voice",
        "ws_url": "wss://unicast.example:4433/v1/voice",
        "token": "good",
        "lead_ms": 1000,
        "deadline_ms": 500,
        "expires_at": 2e9,
        "cert_hash": base64.b64encode(hashlib.sha256(der).digest()).decode(),
    }


def test_what_is_not_known_is_null_and_a_hash_of_no_use_is_left_out(api: ApiSettings) -> None:
    given = said(answer(post(), replace(api, certificate_hash=None, deadline_ms=None, lead_ms="auto")))
    assert (given["token"], given["expires_at"], given["deadline_ms"]) == (None, None, None)
    assert given["lead_ms"] == "auto"
    assert "cert_hash" not in given


@pytest.mark.parametrize(
    "request_,token",
    [
        (post(authorization="bearer  good "), "good"),
        (post(b'{"token": "good"}', content_type="application/json; charset=utf-8"), "good"),
        (post(b'{"token": "good"}', authorization="Bearer good", content_type="application/json"), "good"),
        (post(b"{}", content_type="application/json"), None),
    ],
)
def test_the_token_comes_as_a_bearer_or_in_the_body(
    api: ApiSettings, request_: Request, token: str | None
) -> None:
    given = answer(request_, api)
    assert given.status == 200
    assert said(given)["token"] == token


@pytest.mark.parametrize(
    "request_,status,says",
    [
        (post(authorization="Bearer bad"), 401, "the token is not valid: it is bad"),
        (post(authorization="Basic Z29vZA=="), 401, "Authorization: Bearer TOKEN"),
        (post(authorization="Bearer"), 401, "Authorization: Bearer TOKEN"),
        (post(b'{"token":"good"}', authorization="Bearer bad", **JSON), 400, "two different tokens"),
        (post(b"token=good"), 415, "application/json"),
        (post(b"{", **JSON), 400, "body: "),
        (post(b"[" * 10_000, **JSON), 400, "body: "),
        (post(b'{"token":3}', **JSON), 400, "$.token"),
        (post(b'{"tokn":"good"}', **JSON), 400, "tokn"),
        (post(b" " * (MAX_BODY + 1), **JSON), 413, str(MAX_BODY)),
        (Request("GET", "/v1/session"), 405, "OPTIONS, POST"),
        (Request("POST", "/livez"), 405, "GET, HEAD"),
        (Request("GET", "/v1/../livez"), 404, "is not here"),
        (Request("GET", "/" + "x" * 9999), 404, "is not here"),
    ],
)
def test_errors_have_a_status_and_a_reason(
    api: ApiSettings, request_: Request, status: int, says: str
) -> None:
    given = answer(request_, api)
    assert given.status == status
    assert says in said(given)["error"]
    assert len(given.body) < 300
    assert ("www-authenticate" in given.headers) == (status == 401)
    assert ("allow" in given.headers) == (status == 405)


def test_pages_of_allowed_origins_can_read_the_answer_errors_too(api: ApiSettings) -> None:
    for asked, status in (
        (post(origin="https://app.example"), 200),
        (post(b"x", origin="https://app.example"), 415),
    ):
        given = answer(asked, api)
        assert given.status == status
        assert given.headers["access-control-allow-origin"] == "https://app.example"
        assert given.headers["vary"] == "origin"


def test_pages_of_other_origins_get_nothing(api: ApiSettings) -> None:
    for origin in ("https://evil.example", "null"):
        for method in ("POST", "OPTIONS"):
            given = answer(
                Request(method, "/v1/session", {"origin": origin, "authorization": "Bearer good"}), api
            )
            assert given.status == 403
            assert "access-control-allow-origin" not in given.headers
            assert origin in said(given)["error"]


def test_a_preflight_allows_what_the_request_needs(api: ApiSettings) -> None:
    given = answer(
        Request(
            "OPTIONS",
            "/v1/session",
            {
                "origin": "https://app.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type",
            },
        ),
        api,
    )
    assert (given.status, given.body) == (204, b"")
    assert given.headers["access-control-allow-origin"] == "https://app.example"
    assert given.headers["access-control-allow-methods"] == "POST"
    assert given.headers["access-control-allow-headers"] == "authorization, content-type"


def test_proof_of_life(api: ApiSettings) -> None:
    given = answer(Request("GET", "/livez"), api)
    assert given.status == 200
    assert said(given) == {"status": "ok", "node": "unit"}
    assert answer(Request("HEAD", "/livez"), api).status == 200


def certificate(key: Any, lifetime: timedelta) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voice.example")])
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + lifetime)
        .sign(key, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM)


def test_only_a_certificate_that_browsers_pin_has_a_hash() -> None:
    p256, fortnight = ec.generate_private_key(ec.SECP256R1()), timedelta(days=14)
    pinned = certificate(p256, fortnight)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pinned.decode())).digest()
    assert pinnable_hash(pinned) == base64.b64encode(digest).decode()
    assert pinnable_hash(pinned + certificate(p256, timedelta(days=400))) == pinnable_hash(pinned)  # a chain
    assert pinnable_hash(certificate(p256, fortnight + timedelta(seconds=1))) is None
    assert pinnable_hash(certificate(ec.generate_private_key(ec.SECP384R1()), fortnight)) is None
    assert pinnable_hash(certificate(rsa.generate_private_key(65537, 2048), fortnight)) is None
