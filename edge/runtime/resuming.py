"""Resume tokens as one worker makes and takes them, with the fleet's keys and the wall clock."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from edge.keys import KeyRing, Purpose
from edge.runtime.resume_token import NONCE_LENGTH, ResumeSeal, ResumeState, UsedStays

REMEMBERED: Final = 65_536
"""Stays that were continued here."""
STAY_BYTES: Final = 8


class Resuming:
    """One worker's."""

    def __init__(
        self, keys: KeyRing, *, server_id: bytes, worker: int, unix_time: Callable[[], float]
    ) -> None:
        self._server_id = server_id
        self._worker = worker
        self._unix_time = unix_time
        self._used = UsedStays(REMEMBERED)
        self.set_keys(keys)

    def set_keys(self, keys: KeyRing) -> None:
        """Use this ring from now on."""
        ring = {generation.number: generation.key(Purpose.RESUME) for generation in keys}
        self._seal = ResumeSeal(ring, keys.issue)

    @staticmethod
    def stay() -> bytes:
        """A name for a call's time here that no other has."""
        return secrets.token_bytes(STAY_BYTES)

    def issue(
        self, *, call_id: str, stay: bytes, backend: str, caller: str, utterance: int, handle: bytes
    ) -> str:
        """A token that says that we have this call, as it is now."""
        state = ResumeState(
            call_id=call_id,
            stay=stay,
            server_id=self._server_id,
            worker=self._worker,
            backend=backend,
            caller=caller,
            utterance=utterance,
            handle=handle,
            issued_at=self._unix_time(),
        )
        return self._seal.seal(state, secrets.token_bytes(NONCE_LENGTH))

    def open(self, token: str) -> ResumeState | None:
        """What a token says, if it is one of the fleet's and not too old."""
        return self._seal.open(token, self._unix_time())

    def use(self, state: ResumeState) -> bool:
        """Whether a call that is elsewhere may go on here with that: once."""
        return self._used.use(state)

    def end(self, stay: bytes) -> None:
        """The call is over here, so it does not go on here."""
        self._used.add(stay, self._unix_time())
