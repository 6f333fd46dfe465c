"""How a call is made: whom to call, as whom, and what is wished for."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.client.call import Call, Deadline, deadlines
from edge.client.dialing import CarrierChoice, Dialing
from edge.client.lifeline import REDIAL_DELAYS_S
from edge.client.tickets import tickets
from edge.runtime.dialer import DEFAULT_PORT, DIAL_TIMEOUT_S, Target
from edge.voice import Lead

DEAD_AFTER_S = 3.0
"""Heartbeats, which the edge acknowledges, are up to a second apart."""


def connect(
    host: str,
    port: int = DEFAULT_PORT,
    *,
    token: str | None = None,
    backend: str | None = None,
    deadline: Deadline | None = None,
    lead_ms: Lead | None = None,
    settings: Mapping[str, Any] | None = None,
    carrier: CarrierChoice = "auto",
    early_data: bool = True,
    ticket_file: Path | None = None,
    server_name: str | None = None,
    ca: Path | None = None,
    insecure: bool = False,
    family: socket.AddressFamily = socket.AF_UNSPEC,
    local_addr: str | None = None,
    migrate: bool = True,
    timeout_s: float = DIAL_TIMEOUT_S,
    dead_after_s: float = DEAD_AFTER_S,
    redial_delays_s: Sequence[float] = REDIAL_DELAYS_S,
) -> Call:
    """A call to ``host``, made when it is entered; see `Target` for what decides whom to trust.

    What is None is left to the edge. ``token`` says who calls, ``backend`` who shall answer, ``settings`` are for that
    backend (``instructions``, ``voice``: whatever it understands of a ``session.update``).

    ``carrier`` "auto" is QUIC, and a WebSocket where UDP does not get through. With ``early_data``, a call to a name
    that was called before by this process, or by one with the same ``ticket_file``, can be spoken on before it stands:
    entering it then waits for nothing, and `Call.ready` does.

    ``redial_delays_s`` are the times from one attempt to replace a lost connection to the next; none, no attempt.
    Entering raises `CallRefused`, and what `edge.runtime.dialer.dial` raises. Raises ValueError for an impossible
    ``deadline``, and `UsageError` for a ``ticket_file`` that is none.
    """
    target = Target(
        host=host,
        port=port,
        server_name=server_name,
        ca=ca,
        insecure=insecure,
        family=family,
        source=local_addr,
        migrate=migrate,
    )
    dialing = Dialing(
        target=target,
        carrier=carrier,
        tickets=tickets(ticket_file) if early_data else None,
        timeout_s=timeout_s,
        dead_after_s=dead_after_s,
    )
    wishes = {"lead_ms": lead_ms, "deadline": deadlines(deadline), "token": token, "backend": backend}
    return Call(dialing, {**wishes, "fields": settings}, redial_delays_s=redial_delays_s)


def connect_to(target: Target, **options: Any) -> Call:
    """The same for a ``target`` that is known already; ``options`` are the others of `connect`."""
    return connect(
        target.host,
        target.port,
        server_name=target.server_name,
        ca=target.ca,
        insecure=target.insecure,
        family=target.family,
        local_addr=target.source,
        migrate=target.migrate,
        **options,
    )
