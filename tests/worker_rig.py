"""What a worker is told in tests and benchmarks that run one: an echo on loopback, whatever is not said otherwise."""

from __future__ import annotations

from typing import Any

import msgspec

from edge.overload.limits import Limits
from edge.runtime.messages import AuthSettings, WorkerSettings


def worker_settings(certificate: bytes, key: bytes, **changes: Any) -> WorkerSettings:
    """``certificate`` and ``key`` are PEM; ``changes`` are fields of the settings. The secret keys are no secrets."""
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
        cid_rotation=0,
        cid_key=bytes(range(16)),
        cid_secret=None,
        nonce_start=0,
        reset_key=bytes(range(32)),
        retry_key=bytes(range(16)),
        idle_timeout_s=30.0,
        max_connections=1000,
        max_handshakes=256,
        backend="echo",
        backends={"echo": {}},
        lead_ms=1000,
        deadline="chat",
        resume_s=30.0,
        listeners={},
        plain_listener="",
        page=False,
        auth=AuthSettings("", None, ()),
        limits=Limits(),
    )
    return msgspec.structs.replace(usual, **changes)
