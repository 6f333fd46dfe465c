"""What operators leave at a node beside their orders: the lease, and the note on what they are doing to the fleet."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge.errors import RefusedError
from edge.runtime import lease, operation
from edge.runtime.documents import FleetOperation, Lease
from edge.runtime.kept_file import KeptFile
from edge.runtime.lease import Grant, Holder, LeaseRelease, LeaseRequest
from edge.runtime.operation import Note

log = logging.getLogger("edge.desk")

Kept = TypeVar("Kept")


class Desk:
    """Both are kept in ``directory``, over restarts. ``clock`` is the wall's; ``token`` makes a new secret."""

    def __init__(
        self,
        node: str,
        directory: Path,
        *,
        clock: Callable[[], float] = time.time,
        token: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        self._node = node
        self._clock = clock
        self._token = token
        self._lease_file = KeptFile(directory / "lease.json", "lease")
        self._note_file = KeptFile(directory / "operation.json", "operation")
        self._grant = _read(self._lease_file, Grant)
        self._note = _read(self._note_file, Note)

    # --- the lease -----------------------------------------------------------------------------------------

    def holder(self) -> Holder | None:
        """Who has the word now."""
        grant, now = self._current()
        return None if grant is None or grant.is_over(now) else grant.holder

    def lease(self) -> Lease:
        return Lease(node=self._node, holder=self.holder())

    def take(self, request: LeaseRequest) -> Lease:
        """Raises `RefusedError` if somebody else has it, `EdgeError` if it cannot be kept."""
        before, now = self._current()
        grant, token = lease.take(before, request, now, self._token())
        self._lease_file.write(msgspec.json.encode(grant))
        self._grant = grant
        if token != request.token:
            log.info('event=lease_taken who=%s what="%s" until=%.0f', grant.who, grant.what, grant.until)
        return Lease(node=self._node, holder=grant.holder, token=token)

    def release(self, order: LeaseRelease) -> Lease:
        """Also of one that is over. Raises `RefusedError` if it is another's, `EdgeError` if it stays."""
        grant, now = self._current()
        if grant is not None and not grant.is_of(order.token) and not grant.is_over(now):
            raise RefusedError(f"{lease.sentence(grant, now)}; yours is over")
        if grant is not None and grant.is_of(order.token):
            self._lease_file.clear()
            self._grant = None
            log.info('event=lease_released who=%s what="%s"', grant.who, grant.what)
        return self.lease()

    def check(self, token: str | None, *, force: bool) -> None:
        """Whether an order may be obeyed. Raises `RefusedError`; with ``force`` it may, and the log says so.

        Not one that brings a token: whoever sends it believes to have the lease, and says ``force`` to another guard.
        """
        grant, now = self._current()
        try:
            lease.check(grant, token, now)
        except RefusedError as error:
            if token is not None or not force:
                raise
            log.warning('event=lease_overridden problem="%s"', error)

    def _current(self) -> tuple[Grant | None, float]:
        now = self._clock()
        if self._grant is not None:
            self._grant = self._grant.at(now)
        return self._grant, now

    # --- the operation -------------------------------------------------------------------------------------

    def operation(self) -> dict[str, Any] | None:
        """The note, and whether who wrote it has gone in the middle of the work."""
        return None if self._note is None else self._note.shown(*self._current())

    def note(self, body: bytes, token: str | None) -> FleetOperation:
        """Keep another note, or none. Only who has the lease may.

        Raises `UsageError` for what is no note, `RefusedError` without the lease, `EdgeError` if it cannot be kept.
        """
        document = operation.parse(body)
        grant, now = self._current()
        lease.check(grant, token, now)
        if grant is None or token is None:
            raise RefusedError(
                "who notes an operation must have the lease: POST /lease, and name its token in Edge-Lease"
            )
        if document is None:
            self._note_file.clear()
            self._note = None
        else:
            note = Note(grant.proof, document)
            self._note_file.write(msgspec.json.encode(note))
            self._note = note
        return FleetOperation(node=self._node, operation=self.operation())


def _read(file: KeptFile, kind: type[Kept]) -> Kept | None:
    """A file that cannot be understood is none: a lease is short, and a note is for people."""
    try:
        content = file.read()
        return None if content is None else msgspec.json.decode(content, type=kind)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        log.error('event=file_not_understood path=%s error="%s"', file.path, error)
        return None
