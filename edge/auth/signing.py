"""Keys and tokens made: what an application's own server does, for those who try things and for tests."""

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from jwt.utils import base64url_encode

from edge.auth.tokens import MIN_SECRET_BYTES, key_set
from edge.errors import UsageError

_PRIVATE_PARTS: Final = frozenset({"d"})  # RFC 8037, section 2


def new_key(kid: str, algorithm: str) -> dict[str, Any]:
    """A JSON Web Key with all that signing needs."""
    if algorithm == "HS256":
        secret = base64url_encode(secrets.token_bytes(MIN_SECRET_BYTES)).decode()
        return {"kty": "oct", "kid": kid, "alg": algorithm, "k": secret}
    pair = OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)
    return {**pair, "kid": kid, "alg": algorithm}


def public_set(key: Mapping[str, Any]) -> str:
    """A key set of what checking needs: for HS256 that is the secret itself."""
    public = {name: value for name, value in key.items() if name not in _PRIVATE_PARTS}
    return json.dumps({"keys": [public]}, indent=2)


def write_private(path: Path, key: Mapping[str, Any]) -> None:
    """For its owner's eyes only. Raises `UsageError` rather than replace a file."""
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(json.dumps({"keys": [key]}, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def read_file(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from error


def sign(path: Path, kid: str | None, audience: str, lifetime_s: int, claims: Mapping[str, Any]) -> str:
    """A token by a key of the set in ``path``, the last one unless ``kid`` says which. Claims of None are left out."""
    text = read_file(path)
    try:
        keys = key_set(text)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    chosen = [key for key in keys if kid in (None, key.key_id)]
    if not chosen:
        raise UsageError(f"{path}: has no key {kid!r}; it has {', '.join(str(key.key_id) for key in keys)}")
    key = chosen[-1]
    if not hasattr(key.key, "sign") and key.algorithm_name == "EdDSA":
        raise UsageError(
            f"{path}: key {key.key_id!r} is a public key and cannot sign; name the file of the private one"
        )
    now = int(time.time())
    payload = {
        **{name: value for name, value in claims.items() if value is not None},
        "aud": audience,
        "iat": now,
        "exp": now + lifetime_s,
        "jti": secrets.token_urlsafe(12),
    }
    return jwt.encode(payload, key, key.algorithm_name, headers={"kid": str(key.key_id)})
