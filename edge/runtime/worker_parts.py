"""What a worker is made of, out of what it was told: its endpoint, its doorkeeper, its backends."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from importlib.resources import files

from edge.auth import Doorkeeper, Origins, TokenKeys
from edge.backend.base import load_backend
from edge.keys import KeyRing
from edge.overload import Verdict
from edge.quic import Endpoint, EndpointConfig, Identity, Secrets
from edge.runtime.call_settings import BackendChoice
from edge.runtime.calls import CallTable
from edge.runtime.messages import WorkerSettings
from edge.runtime.page import Page
from edge.runtime.session_api import VOICE_PATH, Answer, ApiSettings, Request, answer, pinnable_hash
from edge.runtime.tls_listener import TlsLimits
from edge.runtime.web import Web, WebSettings
from edge.voice import ALPN, PRESETS

PACKETS_PER_S = 500.0
"""Of one connection: a call takes 70, and ten times real time is as fast as recordings need to be."""


def make_endpoint(
    settings: WorkerSettings,
    keys: KeyRing,
    verdict: Callable[[float], Verdict],
    unix_time: Callable[[float], float],
    peers: Container[bytes],
    siblings: Container[int],
) -> Endpoint:
    return Endpoint(
        EndpointConfig(
            identity=Identity.from_pem(settings.certificate, settings.private_key),
            alpn=(ALPN, "h3"),
            early_data_alpn=ALPN,
            service=frozenset(settings.service),
            preferred_v4=settings.preferred_v4,
            preferred_v6=settings.preferred_v6,
            idle_timeout=settings.idle_timeout_s,
            max_connections=settings.max_connections,
            max_handshakes=settings.max_handshakes,
            per_address=settings.limits.per_address,
            per_address_per_s=settings.limits.per_address_per_s,
            packets_per_s=PACKETS_PER_S,
        ),
        Secrets(
            keys,
            server_id=settings.server_id,
            worker=settings.worker,
            nonce_start=settings.nonce_start,
            profile=settings.cid_profile,
        ),
        admission=verdict,
        proof=True,
        unix_time=unix_time,
        began_at=time.time(),
        peers=peers,
        siblings=siblings,
    )


def make_doorkeeper(settings: WorkerSettings) -> Doorkeeper:
    auth = settings.auth
    return Doorkeeper(
        keys=TokenKeys(auth.keys, auth.audience) if auth.keys else None,
        origins=Origins.of_certificate(settings.certificate, auth.origins),
        default=settings.backend,
        backends=settings.backends.keys(),
        unix_time=time.time,
    )


@dataclass(frozen=True, slots=True)
class Site:
    """What is answered to plain requests, over TCP and over HTTP/3 alike."""

    api: ApiSettings
    page: Page | None

    def answer(self, request: Request) -> Answer:
        if self.page is not None and request.path in self.page:
            return self.page.answer(request)
        return answer(request, self.api)


def make_site(settings: WorkerSettings, doorkeeper: Doorkeeper) -> Site:
    return Site(_api(settings, doorkeeper), Page(files("edge.web")) if settings.page else None)


def make_webs(
    settings: WorkerSettings,
    site: Site,
    calls: CallTable,
    *,
    admits: Callable[[], bool],
    changed: Callable[[], None],
) -> list[Web]:
    """One server with TLS for all addresses, and one without for the one that is to have none, if there is one."""
    sockets = {
        address: socket.socket(fileno=descriptor) for address, descriptor in settings.listeners.items()
    }
    plain = sockets.pop(settings.plain_listener, None)
    common = WebSettings(
        api=site.api,
        certificate=settings.certificate,
        private_key=settings.private_key,
        page=site.page,
        service=frozenset(settings.service),
        admits=admits,
        changed=changed,
        limits=TlsLimits(
            per_address=settings.limits.per_address, per_address_per_s=settings.limits.per_address_per_s
        ),
    )
    webs = [Web(common, sockets.values(), calls)] if sockets else []
    if plain is not None:
        api = replace(site.api, ws_url=f"ws://{settings.plain_listener}{VOICE_PATH}")
        webs.append(Web(replace(common, api=api, tls=False), [plain], calls))
    return webs


def _api(settings: WorkerSettings, doorkeeper: Doorkeeper) -> ApiSettings:
    def expires_at(token: str | None) -> float | None:
        claims = doorkeeper.check(token)
        return claims.expires_at if claims is not None else None

    return ApiSettings(
        node=settings.node,
        unicast_url=settings.unicast_url,
        lead_ms=settings.lead_ms,
        deadline_ms=PRESETS[settings.deadline].uplink_ms,
        certificate_hash=pinnable_hash(settings.certificate),
        check_token=expires_at,
        origin_allowed=doorkeeper.origins.allow,
    )


def make_backends(settings: WorkerSettings) -> dict[str, BackendChoice]:
    return {name: BackendChoice(load_backend(name), table) for name, table in settings.backends.items()}
