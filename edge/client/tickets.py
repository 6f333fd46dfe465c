"""What a caller keeps from one connection for the next: it then speaks in its very first packet, and is asked less.

* *Tickets*, each good for one connection that begins with early data. A ticket stands for the certificate that was
  checked when it was issued. So it is kept under the name that was called *and* under who was believed then: one from
  a call that believed anybody must not open a call that does not.
* *Address tokens*, each good for one connection from the address that it was given to: where an edge asks for proof of
  that, one round trip is saved. From another address it is worth nothing and costs nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge.errors import UsageError
from edge.quic import Ticket
from edge.runtime.dialer import Target

KEPT = 4
"""Of each kind and name. An edge gives one per connection, so that is the redials that follow each other closely."""


Keepsake = Ticket | bytes
"""A ticket, or an address token."""


@dataclass(slots=True)
class _Kept:
    """Under one name, the newest last."""

    tickets: deque[Ticket] = field(default_factory=lambda: deque(maxlen=KEPT))
    tokens: deque[bytes] = field(default_factory=lambda: deque(maxlen=KEPT))


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    """The same in a file."""

    tickets: list[msgspec.Raw]
    tokens: list[bytes]


class TicketStore:
    """In this process, and with a ``path`` in a file from one to the next.

    Raises `UsageError` if the file is there and cannot be read; what it holds that is no ticket (any more) is skipped.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept: defaultdict[str, _Kept] = defaultdict(_Kept)
        if path is not None:
            self._load(path)

    def has(self, target: Target) -> bool:
        """Whether `take` would find one."""
        return any(ticket.is_valid for ticket in self._kept[_key(target)].tickets)

    def take(self, target: Target) -> Ticket | None:
        """The newest ticket for ``target``, which is then gone from here."""
        tickets = self._kept[_key(target)].tickets
        while tickets:
            ticket = tickets.pop()
            self._save()
            if ticket.is_valid:
                return ticket
        return None

    def take_token(self, target: Target) -> bytes:
        """The newest address token, which is then gone from here; empty if there is none."""
        tokens = self._kept[_key(target)].tokens
        if not tokens:
            return b""
        token = tokens.pop()
        self._save()
        return token

    def keep(self, target: Target, keepsake: Keepsake) -> None:
        """What was given to a connection to ``target``."""
        kept = self._kept[_key(target)]
        if isinstance(keepsake, Ticket):
            kept.tickets.append(keepsake)
        else:
            kept.tokens.append(keepsake)
        self._save()

    def _load(self, path: Path) -> None:
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=dict[str, _Written])
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(f"{path}: holds no tickets; remove it, or name another file") from error
        for key, written in kept.items():
            self._kept[key].tokens.extend(written.tokens)
            for raw in written.tickets:
                try:
                    self._kept[key].tickets.append(Ticket.decode(bytes(raw)))
                except ValueError:
                    continue

    def _save(self) -> None:
        if self._path is None:
            return
        written = {
            key: _Written(
                [msgspec.Raw(ticket.encode()) for ticket in kept.tickets if ticket.is_valid], [*kept.tokens]
            )
            for key, kept in self._kept.items()
        }
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            # Whoever reads a ticket can speak as this caller: nobody else may.
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(written))
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
