"""Resume tokens: what a caller carries from node to node, so that its call can go on where nobody has heard of it.

    token = base64url( generation | nonce (12) || AES-GCM(state as MessagePack) )

A token is sealed with a key that the whole fleet shares, so any node can open it and none has to remember it. It says
what a caller cannot be asked: which call it is, who has it, and what its backend needs to go on. How far either side has
come is the caller's to say.

Pure: times, nonces and keys are given.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LIFETIME_S: Final = 900.0
SKEW_S: Final = 60.0
"""How much earlier than it was made a token may come: the clocks of two nodes differ."""
NONCE_LENGTH: Final = 12
MAX_HANDLE: Final = 2048
"""Bytes of a backend's own, so that the token stays below the 4096 characters of the wire."""


class ResumeState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """``stay`` is the call's time on one node: it has another one wherever it goes on. ``caller`` tells who began it.

    ``utterance`` is the caller's next, for a caller that does not say. ``issued_at`` is wall-clock time.
    """

    call_id: str
    stay: bytes
    server_id: bytes
    worker: int
    backend: str
    caller: str
    utterance: int
    handle: bytes
    issued_at: float


class ResumeSeal:
    """``keys``: 16, 24 or 32 bytes for each generation; ``issue``: the one in use."""

    def __init__(self, keys: Mapping[int, bytes], issue: int) -> None:
        self._aeads = {generation: AESGCM(key) for generation, key in keys.items()}
        self._issue = issue

    def seal(self, state: ResumeState, nonce: bytes) -> str:
        """``nonce``: 12 bytes, never the same twice under one key."""
        head = bytes((self._issue,))
        sealed = self._aeads[self._issue].encrypt(nonce, msgspec.msgpack.encode(state), head)
        return urlsafe_b64encode(head + nonce + sealed).decode()

    def open(self, token: str, unix_time: float) -> ResumeState | None:
        """None for what nobody with our keys has sealed, or not lately."""
        try:
            raw = urlsafe_b64decode(token.encode("ascii"))
            head, nonce, sealed = raw[:1], raw[1 : 1 + NONCE_LENGTH], raw[1 + NONCE_LENGTH :]
            plain = self._aeads[head[0]].decrypt(nonce, sealed, head)
            state = msgspec.msgpack.decode(plain, type=ResumeState)
        except (ValueError, LookupError, InvalidTag):
            return None
        return state if -SKEW_S <= unix_time - state.issued_at <= LIFETIME_S else None


class UsedStays:
    """Which stays have been continued here, or have ended: each goes on once, whichever of its tokens is shown.

    What it cannot remember it refuses: tokens older than the oldest that it has forgotten.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known_from = 0.0
        self._used: OrderedDict[bytes, float] = OrderedDict()

    def use(self, state: ResumeState) -> bool:
        """Whether this is the first time."""
        if state.issued_at <= self._known_from or state.stay in self._used:
            return False
        self.add(state.stay, state.issued_at)
        return True

    def add(self, stay: bytes, issued_at: float) -> None:
        """None of its tokens, of which the last was made at ``issued_at``, is good here any more."""
        self._used[stay] = issued_at
        if len(self._used) > self._capacity:
            _, forgotten = self._used.popitem(last=False)
            self._known_from = max(self._known_from, forgotten)
