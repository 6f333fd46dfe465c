"""Tokens: JSON Web Tokens (RFC 7519) that the application's own server signs for its users.

Keys are a JSON Web Key Set (RFC 7517): ``oct`` keys for HS256, Ed25519 keys (RFC 8037) for EdDSA, each with a key ID.
Two keys at a time let one be replaced while tokens of the other are still about. The algorithm is the key's, never the
token's own word for it (RFC 8725, section 3.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
import msgspec

from edge.auth.errors import Unauthorized
from edge.errors import UsageError

ALGORITHMS: Final[Mapping[str, str]] = {"oct": "HS256", "OKP": "EdDSA"}
"""By key type; others are not taken."""
LEEWAY_S: Final = 10
"""How far the clocks of signer and node may be apart."""
MAX_TOKEN: Final = 4096  # characters
MIN_SECRET_BYTES: Final = 32  # RFC 7518, section 3.2


class _OwnClaims(msgspec.Struct, frozen=True):
    """Those of a token that mean something here."""

    exp: float
    jti: str | None = None
    calls: int | None = None
    backend: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. ``calls``: how many it is good for, None for any number; ``backend``: the one it is for."""

    expires_at: float
    key: str
    """Tells this token from others."""
    calls: int | None
    backend: str | None
    all: Mapping[str, Any]


def key_set(jwks: str) -> list[jwt.PyJWK]:
    """The keys of a JSON Web Key Set (RFC 7517). Raises `UsageError`."""
    try:
        return jwt.PyJWKSet.from_json(jwks).keys
    except (AttributeError, TypeError) as error:
        raise UsageError("not a JSON Web Key Set: it has to be an object with a list 'keys'") from error
    except (jwt.PyJWTError, ValueError) as error:
        raise UsageError(f"not a JSON Web Key Set: {error}") from error


class TokenKeys:
    """The keys that tokens may be signed with. Raises `UsageError` for a set that cannot be used, naming the key."""

    def __init__(self, jwks: str, audience: str | None = None) -> None:
        self._audience = audience
        self._keys: dict[str, jwt.PyJWK] = {}
        keys = key_set(jwks)
        for number, key in enumerate(keys):
            self._add(key, f"key {number}")

    def _add(self, key: jwt.PyJWK, place: str) -> None:
        if not key.key_id:
            raise UsageError(f"{place} has no key ID; give it a kid")
        algorithm = ALGORITHMS.get(key.key_type or "")
        if algorithm is None or key.algorithm_name != algorithm:
            raise UsageError(f"key {key.key_id!r} is for {key.algorithm_name}; HS256 and EdDSA are taken")
        if algorithm == "HS256" and len(key.key) < MIN_SECRET_BYTES:
            raise UsageError(f"key {key.key_id!r} is too short for HS256; it needs {MIN_SECRET_BYTES} bytes")
        if key.key_id in self._keys:
            raise UsageError(f"key {key.key_id!r} is there twice")
        self._keys[key.key_id] = key

    def read(self, token: str, *, expired: bool = False) -> Claims:
        """The claims of a token that is signed, meant for this audience, and valid now. Raises `Unauthorized`.

        With ``expired`` it need not be valid any more.
        """
        if len(token) > MAX_TOKEN:
            raise Unauthorized(f"the token is longer than {MAX_TOKEN} characters")
        if not token.isascii():
            raise Unauthorized("the token is not valid: a character of it is not ASCII")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise Unauthorized("the token is not valid: this is no JSON Web Token") from error
        key = self._keys.get(str(header.get("kid")))
        if key is None:
            raise Unauthorized("the token is signed with a key that this node does not know (kid)")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHMS[str(key.key_type)]],
                audience=self._audience,
                leeway=LEEWAY_S,
                options={
                    "require": ["exp"],
                    "verify_aud": self._audience is not None,
                    "verify_exp": not expired,
                },
            )
            own = msgspec.convert(claims, _OwnClaims)
        except jwt.InvalidAudienceError as error:
            raise Unauthorized(
                f"the token is not valid: its audience (aud) is not {self._audience!r}"
            ) from error
        except (jwt.PyJWTError, msgspec.ValidationError) as error:
            raise Unauthorized(f"the token is not valid: {error}") from error
        return Claims(own.exp, own.jti or token, own.calls, own.backend, claims)
