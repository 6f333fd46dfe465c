"""edgectl call"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.status import Status

from edge.cli.signals import until_signal
from edge.cli.target import target_options
from edge.client import audio, speech
from edge.client.call import Call, CallLost
from edge.client.events import CallEvent, Ended, Migrated, Reconnected, Reconnecting
from edge.client.summary import CallSummary
from edge.errors import EdgeError, UsageError
from edge.runtime.dialer import Target
from edge.voice import ErrorReceived, Transcript

LIVE_INTERVAL_S = 0.25
NOT_MEASURED = "not measured"


@click.command()
@target_options
@click.option("--wav", type=click.Path(path_type=Path), help="Say this file.  [default: a shipped recording]")
@click.option("--story", is_flag=True, help="Say nothing; listen to what the edge has to tell.")
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True, help="Say it so many times.")
@click.option("--save", type=click.Path(path_type=Path), help="Write what was heard to this WAV file.")
@click.option(
    "--timeout",
    "patience_s",
    type=click.FloatRange(0, min_open=True),
    default=10,
    show_default=True,
    help="Seconds to wait for the edge to answer, and for each sign of a reply.",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def call(
    target: Target,
    wav: Path | None,
    story: bool,
    repeat: int,
    save: Path | None,
    patience_s: float,
    output: str,
) -> int:
    """Place a spoken call to an edge and account for every frame.

    Speech goes out in real time; each utterance waits for the answer to the one before. Ctrl-C or SIGTERM hangs
    up. The exit code is 0 if both ends counted the same frames in both directions, 1 if not, if that could not
    be compared, or if the call was lost; 4 if nobody answered, 5 if the edge cannot be reached or trusted, 6 if
    it takes no new calls for now.
    """
    if story and wav:
        raise click.UsageError("--story says nothing, so there is no use for --wav")
    if save and not save.parent.is_dir():
        raise UsageError(f"{save}: there is no folder {save.parent}")
    packets = None if story else audio.read_speech(wav or speech.recording("train"))
    return asyncio.run(_run(target, [packets] * repeat, save, patience_s, output))


async def _run(
    target: Target, turns: Sequence[list[bytes] | None], save: Path | None, patience_s: float, output: str
) -> int:
    failure: EdgeError | None = None
    call = Call(target, timeout_s=patience_s)
    recording = call.record()
    async with call, _narrated(call):
        try:
            await until_signal(_converse(call, turns, patience_s))
        except CallLost:
            pass  # the summary says so
        except EdgeError as error:
            failure = error
        summary = await call.hang_up()
    click.echo(_json(summary) if output == "json" else _table(summary))
    if save:
        recording.save(save)
    if failure:
        raise failure
    return 0 if summary.flawless else 1


async def _converse(call: Call, turns: Sequence[list[bytes] | None], patience_s: float) -> None:
    for packets in turns:
        if packets is not None:
            await call.say(packets, patience_s=patience_s)
        await call.reply(patience_s=patience_s)


@contextlib.asynccontextmanager
async def _narrated(call: Call) -> AsyncIterator[None]:
    """Tell on stderr what happens to ``call``, which the body has to hang up, and on a terminal how it stands."""
    console = Console(stderr=True, highlight=False, markup=False)
    summary = call.summary()
    console.print(f"connected to {summary.last.node} in {summary.handshake_ms:.0f} ms")
    with contextlib.ExitStack() as stack:
        tasks = [asyncio.create_task(_tell(call.events(), console))]
        if console.is_terminal:
            tasks.append(asyncio.create_task(_show(call, stack.enter_context(console.status("")))))
        try:
            yield
            await tasks[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _tell(events: AsyncIterator[CallEvent], console: Console) -> None:
    async for event in events:
        match event:
            case Migrated(path=path, after_ms=after_ms):
                console.print(f"moved to {path} after {after_ms:.0f} ms")
            case Reconnecting(reason=reason):
                console.print(f"connection lost: {reason}; dialling again")
            case Reconnected(node=node):
                console.print(f"connected again, to {node}")
            case Transcript(text=text, done=True):
                console.print(f"transcript: {text}")
            case ErrorReceived(code=code, message=message):
                console.print(f"the edge reports {code}: {message}")
            case Ended(ending="closed_by_edge" | "lost", reason=reason):
                console.print(f"call over: {reason}")
            case _:
                pass


async def _show(call: Call, status: Status) -> None:
    while True:
        now = call.summary()
        status.update(
            f"{now.last.node}  {now.last.path}  {now.duration_s:.0f} s  sent {now.frames_sent}"
            f"  received {now.frames_received}  underruns {now.underruns}  rtt {now.last.rtt_ms:.0f} ms"
        )
        await asyncio.sleep(LIVE_INTERVAL_S)


def _json(summary: CallSummary) -> str:
    return msgspec.json.format(msgspec.json.encode(summary.document())).decode()


def _table(summary: CallSummary) -> str:
    last = summary.last
    rows = [
        ("ending", summary.ending.replace("_", " ") + (f": {summary.reason}" if summary.reason else "")),
        ("node", last.node),
        ("path", last.path),
        ("handshake", _number(summary.handshake_ms, "ms")),
        ("migrated", f"after {_number(last.migration_ms, 'ms')}" if last.migrated else "no"),
        ("first audio", _number(summary.first_audio_ms, "ms")),
        ("round trip", _number(last.rtt_ms, "ms")),
        ("duration", _number(summary.duration_s, "s")),
        ("utterances", str(summary.utterances)),
        ("frames sent", str(summary.frames_sent)),
        ("  heard by edge", _number(summary.frames_heard_by_edge)),
        ("  missing", _number(summary.missing_up)),
        ("frames said by edge", _number(summary.frames_said_by_edge)),
        ("  received", str(summary.frames_received)),
        ("  missing", _number(summary.missing_down)),
        ("both ends agree", {True: "yes", False: "NO", None: NOT_MEASURED}[summary.ledgers_equal]),
        ("underruns", f"{summary.underruns}, {summary.underrun_ms} ms of silence"),
        ("reconnects", str(summary.reconnects)),
    ]
    return "\n".join(f"{name:<21}{value}" for name, value in rows)


def _number(value: float | None, unit: str = "") -> str:
    return NOT_MEASURED if value is None else f"{value:g} {unit}".rstrip()
