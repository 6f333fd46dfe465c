"""What a worker and its calls are told in tests and benchmarks: an echo on loopback, whatever is not said otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from edge.auth import Doorkeeper, Origins, TokenKeys
from edge.backend.base import BackendFactory
from edge.backend.echo import EchoBackend
from edge.forward import ReturnPath
from edge.keys import KeyRing, render
from edge.overload.limits import Limits
from edge.runtime.call import Call
from edge.runtime.call_settings import BackendChoice, CallSettings
from edge.runtime.messages import AuthSettings, WorkerSettings
from edge.runtime.resuming import Resuming
from edge.voice import PRESETS

KEYS = KeyRing.new(bytes(range(32)), datetime(2026, 1, 1, tzinfo=UTC))


def worker_settings(certificate: bytes, key: bytes, **changes: Any) -> WorkerSettings:
    """``certificate`` and ``key`` are PEM; ``changes`` are fields of the settings. The keys are no secrets."""
    usual = WorkerSettings(
        node="unit",
        worker=0,
        siblings=[0],
        sockets={},
        service=[],
        preferred_v4=None,
        preferred_v6=None,
        unicast_url="https://voice.example",
        unicast_url_v6=None,
        unicast_goaway=False,
        certificate=certificate,
        private_key=key,
        server_id=bytes(7) + b"\x01",
        cid_profile="edge",
        nonce_start=0,
        keys=render(KEYS),
        idle_timeout_s=30.0,
        max_connections=1000,
        max_handshakes=256,
        backend="echo",
        backends={"echo": {}},
        lead_ms=1000,
        deadline="chat",
        resume_s=30.0,
        forward_sockets={},
        owners={},
        return_path=ReturnPath.DIRECT,
        listeners={},
        plain_listener="",
        page=False,
        auth=AuthSettings("", None, ()),
        limits=Limits(),
    )
    return msgspec.structs.replace(usual, **changes)


def call_settings(
    clock: Callable[[], float],
    changed: Callable[[Call], None],
    *,
    backend: BackendFactory = EchoBackend,
    keys: TokenKeys | None = None,
    **changes: Any,
) -> CallSettings:
    """``backend`` answers everybody; whoever calls needs no token unless there are ``keys``."""
    usual = CallSettings(
        node="unit",
        worker=0,
        unicast_url="https://unit",
        lead_ms=1000,
        deadlines=PRESETS["chat"],
        resume_s=30.0,
        backends={"it": BackendChoice(backend)},
        doorkeeper=Doorkeeper(
            keys=keys, origins=Origins(), default="it", backends=set(), unix_time=time.time
        ),
        resuming=Resuming(KEYS, server_id=bytes(7) + b"\x01", worker=0, unix_time=time.time),
        limits=Limits(),
        clock=clock,
        changed=changed,
        observe=lambda *_: None,
    )
    return replace(usual, **changes)
