"""edgectl call"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.status import Status

from edge.cli.target import target_options
from edge.client import audio, speech
from edge.client.call import Call, CallLost
from edge.client.events import CallEvent, Ended, Migrated, Reconnected, Reconnecting
from edge.client.summary import CallSummary
from edge.errors import EdgeError, UsageError
from edge.runtime.dialer import Target
from edge.voice.events import ErrorReceived, Transcript

LIVE_INTERVAL_S = 0.25


@click.command()
@target_options
@click.option("--wav", type=click.Path(path_type=Path), help="Say this file.  [default: a shipped recording]")
@click.option("--story", is_flag=True, help="Say nothing; listen to what the edge has to tell.")
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True, help="Say it so many times.")
@click.option("--save", type=click.Path(path_type=Path), help="Write what was heard to this WAV file.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def call(
    target: Target, wav: Path | None, story: bool, repeat: int, save: Path | None, output: str
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
    return asyncio.run(_run(target, [packets] * repeat, save, output))


async def _run(target: Target, turns: Sequence[list[bytes] | None], save: Path | None, output: str) -> int:
    failure: EdgeError | None = None
    async with Call(target) as call:
        recording = call.record()
        with _talk(call) as talking:
            try:
                async with _hung_up_by_signal():
                    await _converse(call, turns)
            except CallLost:
                pass  # the summary says so
            except EdgeError as error:
                failure = error
            summary = await call.hang_up()
            await talking
    click.echo(_json(summary) if output == "json" else _table(summary))
    if save:
        recording.save(save)
    if failure:
        raise failure
    return 0 if summary.flawless else 1


async def _converse(call: Call, turns: Sequence[list[bytes] | None]) -> None:
    for packets in turns:
        if packets is not None:
            await call.say(packets)
        await call.reply()
