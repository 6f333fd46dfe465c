"""Where a caller keeps what lets it speak in its very first packet: tickets, each good for one connection.

A ticket stands for the certificate that was checked when it was issued. So it is kept under the name that was called
*and* under who was believed then: one from a call that believed anybody must not open a call that does not.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict, deque
from pathlib import Path

import msgspec

from edge.errors import UsageError
from edge.quic import Ticket
from edge.runtime.dialer import Target

KEPT = 4
"""Of each name. An edge gives one per connection, so that is the redials that follow each other closely."""


class TicketStore:
    """In this process, and with a ``path`` in a file from one to the next.

    Raises `UsageError` if the file is there and cannot be read; what it holds that is no ticket (any more) is skipped.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._tickets: defaultdict[str, deque[Ticket]] = defaultdict(lambda: deque(maxlen=KEPT))
        if path is not None:
            self._load(path)

    def has(self, target: Target) -> bool:
        """Whether `take` would find one."""
        return any(ticket.is_valid for ticket in self._tickets[_key(target)])

    def take(self, target: Target) -> Ticket | None:
        """The newest for ``target``, which is then gone from here."""
        tickets = self._tickets[_key(target)]
        while tickets:
            ticket = tickets.pop()
            self._save()
            if ticket.is_valid:
                return ticket
        return None

    def keep(self, target: Target, ticket: Ticket) -> None:
        """One that was given to a connection to ``target``."""
        self._tickets[_key(target)].append(ticket)
        self._save()

    def _load(self, path: Path) -> None:
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=dict[str, list[msgspec.Raw]])
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(f"{path}: holds no tickets; remove it, or name another file") from error
        for key, tickets in kept.items():
            for raw in tickets:
                try:
                    self._tickets[key].append(Ticket.decode(bytes(raw)))
                except ValueError:
                    continue

    def _save(self) -> None:
        if self._path is None:
            return
        kept = {
            key: [msgspec.Raw(ticket.encode()) for ticket in tickets if ticket.is_valid]
            for key, tickets in self._tickets.items()
        }
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            # Whoever reads a ticket can speak as this caller: nobody else may.
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(kept))
            new.replace(self._path)
        except OSError as error:
            raise UsageError(f"{self._path}: cannot be written: {error.strerror}") from error


def tickets(path: Path | None) -> TicketStore:
    """The store of this process for ``path``; None is that of calls which name no file."""
    path = None if path is None else path.absolute()
    if path not in _STORES:
        _STORES[path] = TicketStore(path)
    return _STORES[path]


_STORES: dict[Path | None, TicketStore] = {}


def _key(target: Target) -> str:
    if target.insecure:
        trust = "anybody"
    elif target.ca is None:
        trust = "public"
    else:
        trust = hashlib.sha256(target.ca.read_bytes() if target.ca.is_file() else b"").hexdigest()
    return f"{target.server_name or target.host} {trust}"
