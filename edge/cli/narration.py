"""What happens in a call, told while it happens: a line for each event, and on a terminal one for how it stands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from rich.console import Console
from rich.status import Status

from edge.client import Call
from edge.client.events import (
    BargedIn,
    CallerTranscript,
    CallEvent,
    DeadlinesAgreed,
    Ended,
    ErrorReceived,
    Migrated,
    Moved,
    Reconnected,
    Reconnecting,
    SessionReady,
    SpeechStarted,
    Transcript,
    TurnTimed,
)
from edge.voice import Deadlines

LIVE_INTERVAL_S = 0.25
PIECE = 60
"""Characters of what is being heard or said just now."""


class Narrator:
    """Begins to listen when it is made, which may be before the call is entered."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._events = call.events()
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._connected = False
        self._piece = ""  # of a transcript that is not complete

    def say(self, line: str) -> None:
        self._console.print(line)

    @contextlib.asynccontextmanager
    async def narrating(self) -> AsyncIterator[None]:
        """While the body hangs up, which it has to do."""
        with contextlib.ExitStack() as stack:
            tasks = [asyncio.create_task(self._tell())]
            if self._console.is_terminal:
                tasks.append(asyncio.create_task(self._show(stack.enter_context(self._console.status("")))))
            try:
                yield
                await tasks[0]
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self) -> None:
        async for event in self._events:
            line = self._line(event)
            if line is not None:
                self.say(line)

    def _line(self, event: CallEvent) -> str | None:
        match event:
            case SessionReady(node=node) if not self._connected:
                self._connected = True
                leg = self._call.summary().last
                early = ", and was spoken to before" if leg.early_data else ""
                return f"connected to {node} over {leg.carrier} in {leg.handshake_ms:.0f} ms{early}"
            case Migrated(path=path, after_ms=after_ms):
                return f"moved to {path} after {after_ms:.0f} ms"
            case Moved(node=node, path=path, reason=reason):
                return f"moved to {node} at {path}, as asked ({reason})"
            case Reconnecting(reason=reason):
                return f"connection lost: {reason}; dialling again"
            case Reconnected(node=node, resumed=resumed):
                return f"connected again, to {node}, {'and the call goes on' if resumed else 'with a new session'}"
            case DeadlinesAgreed(deadlines=Deadlines(up, down)) if self._connected:
                return f"a frame is worth {_ms(up, 'any wait')} up, {_ms(down, 'any wait')} down"
            case SpeechStarted():
                return "the edge hears speech"
            case CallerTranscript(text=text, done=True):
                self._piece = ""
                return f"heard: {text}" if text else None
            case Transcript(text=text, done=True):
                self._piece = ""
                return f"said: {text}" if text else None
            case CallerTranscript(text=text) | Transcript(text=text):
                self._piece = (self._piece + text)[-PIECE:]
                return None
            case TurnTimed(turn=turn):
                return (
                    f"answer {turn.item} since the end of speech: backend {_ms(turn.backend_ms)},"
                    f" on the wire {_ms(turn.wire_ms)}, played {_ms(turn.played_ms)}"
                )
            case BargedIn(account=account):
                return (
                    f"answer {account.item} cut at {account.played_ms / 1000:.2f} s: {account.generated_bytes} bytes"
                    f" generated = {account.wire_bytes} sent + {account.saved_bytes} saved;"
                    f" {account.wasted_bytes} sent in vain"
                )
            case ErrorReceived(code=code, message=message):
                return f"the edge reports {code}: {message}"
            case Ended(ending="closed_by_edge" | "lost", reason=reason):
                return f"call over: {reason}"
            case _:
                return None

    async def _show(self, status: Status) -> None:
        while True:
            now = self._call.summary()
            rtt = "" if now.last.rtt_ms is None else f"  rtt {now.last.rtt_ms:.0f} ms"
            status.update(
                f"{now.last.node}  {now.last.carrier}  {now.last.path}  {now.duration_s:.0f} s  sent {now.frames_sent}"
                f"  received {now.frames_received}  underruns {now.underruns}{rtt}  {self._piece}"
            )
            await asyncio.sleep(LIVE_INTERVAL_S)


def _ms(value: float | None, unknown: str = "?") -> str:
    return unknown if value is None else f"{value:.0f} ms"
