"""What a node answers to a plain HTTP request, over HTTP/3 and over HTTPS alike: `answer` is a pure function.

``GET /livez`` says that the worker runs. ``POST /v1/session`` says where to call: a node that was reached by its
anycast address names its unicast one, for clients that do not follow QUIC's preferred address. See
docs/reference/http.md.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edge.errors import RefusedError

MAX_BODY = 16 * 1024
"""Bytes of a request; a token has a few hundred."""
VOICE_PATH = "/v1/voice"
METHODS = {"/livez": "GET, HEAD", "/v1/session": "OPTIONS, POST"}
PREFLIGHT = {
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",  # seconds
}
"""Of the Fetch standard; which origins may ask at all is decided for every request."""
MAX_PINNED_LIFETIME = timedelta(days=14)

TokenCheck = Callable[[str | None], float | None]
"""When a token expires, in Unix seconds, None if never; raises `RefusedError` for one that gets no call."""


@dataclass(frozen=True, slots=True)
class Request:
    """Names in ``headers`` are lower case; ``path`` has no query."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Answer(NamedTuple):
    """``headers`` without Content-Length; the ``body`` of an answer to HEAD is not sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """What the answers say. ``unicast_url`` is ``https://NAME:port``; ``deadline_ms`` is the uplink's, None for none.

    ``ws_url``: where WebSockets are served, if not there, too.
    """

    node: str
    unicast_url: str
    lead_ms: int | str
    deadline_ms: int | None
    certificate_hash: str | None
    check_token: TokenCheck
    origin_allowed: Callable[[str], bool]
    ws_url: str | None = None


class SessionAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where and how to call. ``cert_hash`` is for WebTransport's serverCertificateHashes."""

    url: str
    ws_url: str
    token: str | None
    lead_ms: int | str
    deadline_ms: int | None
    expires_at: float | None
    cert_hash: str | msgspec.UnsetType = msgspec.UNSET


class _SessionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str | None = None


class _Refused(Exception):
    """The request is not one we answer; ``status`` says why."""

    def __init__(self, status: HTTPStatus, why: str, **headers: str) -> None:
        super().__init__(why)
        self.answer = error(status, why, **headers)


def answer(request: Request, settings: ApiSettings) -> Answer:
    """The answer to any request but the WebSocket's; never raises for what a client did."""
    common = {"cache-control": "no-store", "vary": "origin"}
    try:
        origin = request.headers.get("origin")
        if origin is not None:
            if not settings.origin_allowed(origin):
                raise _Refused(HTTPStatus.FORBIDDEN, f"pages of {origin} may not call this node")
            common["access-control-allow-origin"] = origin
        return _route(request, settings, common)
    except _Refused as refused:
        status, headers, body = refused.answer
        return Answer(status, {**common, **headers}, body)


def error(status: HTTPStatus, why: str, **headers: str) -> Answer:
    """An answer that says what is wrong; an underscore in a header's name is a hyphen.

    What it quotes of the request may be bytes that are no text: aiohttp makes lone surrogates of them.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    common = {"cache-control": "no-store", "content-type": "application/json"}
    return Answer(status, common | named, _json({"error": why.encode(errors="backslashreplace").decode()}))


def _route(request: Request, settings: ApiSettings, common: dict[str, str]) -> Answer:
    as_json = common | {"content-type": "application/json"}
    match request.path, request.method:
        case "/livez", "GET" | "HEAD":
            return Answer(HTTPStatus.OK, as_json, _json({"status": "ok", "node": settings.node}))
        case "/v1/session", "POST":
            return Answer(HTTPStatus.OK, as_json, _json(_session(request, settings)))
        case "/v1/session", "OPTIONS":
            return Answer(HTTPStatus.NO_CONTENT, common | PREFLIGHT, b"")
    if (allowed := METHODS.get(request.path)) is not None:
        raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} answers to {allowed}", allow=allowed)
    raise _Refused(HTTPStatus.NOT_FOUND, f"{request.path[:100]} is not here")


def _session(request: Request, settings: ApiSettings) -> SessionAnswer:
    token = _token(request)
    try:
        expires_at = settings.check_token(token)
    except RefusedError as refused:
        raise _Refused(HTTPStatus.UNAUTHORIZED, str(refused), www_authenticate="Bearer") from None
    url = f"{settings.unicast_url}{VOICE_PATH}"
    return SessionAnswer(
        url=url,
        ws_url=settings.ws_url or urlsplit(url)._replace(scheme="wss").geturl(),
        token=token,
        lead_ms=settings.lead_ms,
        deadline_ms=settings.deadline_ms,
        expires_at=expires_at,
        cert_hash=settings.certificate_hash or msgspec.UNSET,
    )


def _token(request: Request) -> str | None:
    """The token, as a Bearer (RFC 6750 section 2.1) or in the body."""
    bearer = None
    if (authorization := request.headers.get("authorization")) is not None:
        scheme, _, bearer = authorization.partition(" ")
        if scheme.lower() != "bearer" or not bearer.strip():
            raise _Refused(
                HTTPStatus.UNAUTHORIZED, "Authorization: Bearer TOKEN is asked for", www_authenticate="Bearer"
            )
        bearer = bearer.strip()
    in_body = _body(request).token
    if None not in (bearer, in_body) and bearer != in_body:
        raise _Refused(HTTPStatus.BAD_REQUEST, "two different tokens")
    return in_body if bearer is None else bearer


def _body(request: Request) -> _SessionBody:
    if len(request.body) > MAX_BODY:
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY} bytes")
    if not request.body:
        return _SessionBody()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is to be application/json")
    try:
        return msgspec.json.decode(request.body, type=_SessionBody)
    except (ValueError, RecursionError) as invalid:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"body: {invalid}") from None


def _json(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def pinnable_hash(certificate: bytes) -> str | None:
    """The base64 of the SHA-256 of the first PEM certificate, if browsers take it by its hash; None otherwise.

    They do for ECDSA on P-256 and a validity of at most two weeks (W3C WebTransport, "custom certificate
    requirements").
    """
    leaf = x509.load_pem_x509_certificates(certificate)[0]
    key = leaf.public_key()
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return None
    return (
        base64.b64encode(leaf.fingerprint(hashes.SHA256())).decode()
        if lifetime <= MAX_PINNED_LIFETIME
        else None
    )
