"""One command's conversation with nodes: an event loop, and the ways that were opened, closed with the command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any, Final, TypeVar

import click

from edge.fleet.transport import Transport

Value = TypeVar("Value")

_META: Final = "edge.cli.session"


class Session:
    """A command asks as often as it likes; a connection that it has made stays until the end."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._open: list[Transport] = []

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return self._runner.run(work)

    def keep(self, transport: Transport) -> None:
        """``transport`` is in use, and to be closed at the end."""
        if transport not in self._open:
            self._open.append(transport)

    def close(self) -> None:
        try:
            self._runner.run(self._close_all())
        finally:
            self._runner.close()

    async def _close_all(self) -> None:
        await asyncio.gather(*(transport.close() for transport in self._open))


@contextlib.contextmanager
def session() -> Iterator[Session]:
    """The one of the command that runs; outside of any, one for the block."""
    context = click.get_current_context(silent=True)
    if context is None:
        with contextlib.closing(Session()) as alone:
            yield alone
        return
    if _META not in context.meta:
        context.meta[_META] = Session()
        context.find_root().call_on_close(context.meta[_META].close)
    yield context.meta[_META]
