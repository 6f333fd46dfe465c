"""What a worker is told in tests and benchmarks that run one: an echo on loopback, whatever is not said otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from edge.forward import ReturnPath
from edge.keys import KeyRing, render
from edge.overload.limits import Limits
from edge.runtime.messages import AuthSettings, WorkerSettings

KEYS = KeyRing.new(bytes(range(32)), datetime(2026, 1, 1, tzinfo=UTC))


def worker_settings(certificate: bytes, key: bytes, **changes: Any) -> WorkerSettings:
    """``certificate`` and ``key`` are PEM; ``changes`` are fields of the settings. The keys are no secrets."""
    usual = WorkerSettings(
        node="unit",
        worker=0,
        sockets={},
        service=[],
        preferred_v4=None,
        preferred_v6=None,
        unicast_url="https://voice.example",
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
