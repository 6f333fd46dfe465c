"""One operator at a time: who has the word, for what, and until when.

A lease is a token and a date. It is short and renewed while its holder works, so that one whose laptop has died is over
soon; nobody need take it away. Times are of the wall clock, for they have to mean something after a reboot.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from edge.errors import RefusedError
from edge.runtime.holds import WallTime, Who

LONGEST_S: Final = 600.0

What = Annotated[str, msgspec.Meta(max_length=200)]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class LeaseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /lease``; ``token``: of the lease that is to be renewed."""

    who: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    what: What
    ttl_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)]
    token: Token | None = None


class LeaseRelease(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /lease/release``."""

    token: Token


class Holder(msgspec.Struct, frozen=True):
    """What everybody may know of a lease."""

    who: Who
    what: What
    since: WallTime
    until: WallTime


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lease as it is kept. ``proof`` is made of the token, which itself is kept nowhere; ``renewed``: when ``until`` was set."""

    who: Who
    what: What
    since: WallTime
    renewed: WallTime
    until: WallTime
    proof: str

    @property
    def holder(self) -> Holder:
        return Holder(self.who, self.what, self.since, self.until)

    def at(self, now: float) -> Grant:
        """As it stands at ``now``: after the clock was set back, its time begins anew and is no longer than before."""
        if now >= self.renewed:
            return self
        return msgspec.structs.replace(
            self, renewed=now, until=now + min(self.until - self.renewed, LONGEST_S)
        )

    def is_over(self, now: float) -> bool:
        return now >= self.until

    def is_of(self, token: str) -> bool:
        return hmac.compare_digest(self.proof, proof_of(token))


def proof_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def take(before: Grant | None, request: LeaseRequest, now: float, fresh: str) -> tuple[Grant, str]:
    """The lease that follows on ``before``, which is over or not, and its token: ``fresh`` unless it is renewed.

    One that is over can be renewed as long as nobody else has taken it since. Raises `RefusedError`, naming who has it.
    """
    until = now + request.ttl_s
    if before is not None and request.token is not None and before.is_of(request.token):
        return msgspec.structs.replace(before, what=request.what, renewed=now, until=until), request.token
    if before is not None and not before.is_over(now):
        raise RefusedError(f"{sentence(before, now)}; wait until then, or ask them to finish")
    return Grant(request.who, request.what, now, now, until, proof_of(fresh)), fresh


def check(grant: Grant | None, token: str | None, now: float) -> None:
    """Whether an order that comes with ``token`` may be obeyed.

    Raises `RefusedError` if another operator has the lease, and if the token's own is over: who has it believes to be
    alone, and may be no more.
    """
    if token is not None and (grant is None or not grant.is_of(token)):
        raise RefusedError(
            "the lease of this order is another's now, or none; look at who works here and take it anew"
        )
    if grant is None:
        return
    if token is None:
        if not grant.is_over(now):
            raise RefusedError(f"{sentence(grant, now)}; wait until then, or give the order with --force")
    elif grant.is_over(now):
        raise RefusedError(f"the lease of this order ended at {_moment(grant.until)}; take it anew")


def sentence(grant: Grant, now: float) -> str:
    """``alice has the lease since 2026-11-21 10:02:11 UTC until 10:12:11 UTC (312 s from now), for: upgrade to 0.2.0``"""
    return (
        f"{grant.who} has the lease since {_moment(grant.since)} until {_moment(grant.until)} "
        f"({max(0.0, grant.until - now):.0f} s from now), for: {grant.what}"
    )


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
