"""The decision whether a caller gets a call, and with which backend."""

import hashlib
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from edge.auth.errors import Unauthorized
from edge.auth.origins import Origins
from edge.auth.tokens import Claims, TokenKeys

MAX_REMEMBERED = 100_000
"""Tokens whose calls are counted. When there are more, those that expire first are forgotten first."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a caller may have; ``claims`` are its token's, empty where none is asked for.

    ``caller`` tells its token from others, "" without one.
    """

    backend: str
    claims: Mapping[str, Any] = field(default_factory=dict)
    caller: str = ""


class Doorkeeper:
    """``keys`` None lets everybody in. ``backends`` may be chosen by callers and tokens; ``default`` needs no choosing.

    ``unix_time`` gives the time by which tokens expire. The calls of a token are counted by this worker only.
    """

    def __init__(
        self,
        *,
        keys: TokenKeys | None,
        origins: Origins,
        default: str,
        backends: Set[str],
        unix_time: Callable[[], float],
    ) -> None:
        self.origins = origins
        self._keys = keys
        self._default = default
        self._backends = backends | {default}
        self._unix_time = unix_time
        self._calls: dict[str, tuple[float, int]] = {}  # token -> when it expires, calls it has had

    def check(self, token: str | None) -> Claims | None:
        """The claims of a token that would get a call, None where none is needed. Raises `Unauthorized`."""
        if self._keys is None:
            return None
        if token is None:
            raise Unauthorized("this node asks for a token, in session.update or as a Bearer (RFC 6750)")
        claims = self._keys.read(token)
        if claims.calls is not None and self._had(claims) >= claims.calls:
            raise Unauthorized(f"the token has had all the calls that it is good for ({claims.calls})")
        return claims

    def admit(self, token: str | None, backend: str | None, origin: str | None) -> Grant:
        """Raises `Unauthorized`. What is granted counts as one of the token's calls."""
        if not self.origins.allow(origin):
            raise Unauthorized(f"pages of {origin} may not call this node; see auth.origins")
        claims = self.check(token)
        chosen = self._choose(claims.backend if claims is not None else None, backend)
        if claims is not None and claims.calls is not None:
            self._count(claims)
        return _grant(chosen, claims)

    def readmit(self, token: str | None, backend: str, origin: str | None, caller: str) -> Grant:
        """For a call that began elsewhere with ``backend``, by the ``caller`` of its `Grant`. Raises `Unauthorized`.

        It is no other call of the token, and goes on when the token has expired, as calls do: but it is for the token
        with which it began, or for one that is good now.
        """
        if not self.origins.allow(origin):
            raise Unauthorized(f"pages of {origin} may not call this node; see auth.origins")
        claims = None
        if self._keys is not None:
            if token is None:
                raise Unauthorized("this node asks for a token, also where a call goes on")
            claims = self._keys.read(token, expired=True)
            if _fingerprint(claims) != caller:
                claims = self._keys.read(token)
        return _grant(self._choose(claims.backend if claims is not None else None, backend), claims)

    def _choose(self, bound: str | None, wanted: str | None) -> str:
        if bound is not None and wanted not in (None, bound):
            raise Unauthorized(f"the token is for the backend {bound!r}, not {wanted!r}")
        chosen = bound or wanted or self._default
        if chosen not in self._backends:
            raise Unauthorized(
                f"the backend {chosen!r} may not be chosen here; there are {', '.join(sorted(self._backends))}"
            )
        return chosen

    def _had(self, claims: Claims) -> int:
        return self._calls.get(claims.key, (0.0, 0))[1]

    def _count(self, claims: Claims) -> None:
        self._calls[claims.key] = (claims.expires_at, self._had(claims) + 1)
        if len(self._calls) > MAX_REMEMBERED:
            now = self._unix_time()
            self._calls = {key: entry for key, entry in self._calls.items() if entry[0] > now}
        while len(self._calls) > MAX_REMEMBERED:
            del self._calls[min(self._calls, key=lambda key: self._calls[key][0])]


def _grant(backend: str, claims: Claims | None) -> Grant:
    return Grant(backend) if claims is None else Grant(backend, claims.all, _fingerprint(claims))


def _fingerprint(claims: Claims) -> str:
    return hashlib.sha256(claims.key.encode()).hexdigest()[:32]
