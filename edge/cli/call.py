"""edgectl call"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge.cli.call_report import as_json, as_table
from edge.cli.caller_token import token_option
from edge.cli.moments import Number
from edge.cli.narration import Narrator
from edge.cli.signals import until_signal
from edge.cli.target import target_options
from edge.client import Call, CallLost, audio, speech
from edge.client.connecting import connect_to
from edge.client.dialing import CarrierChoice
from edge.errors import EdgeError, UsageError
from edge.runtime.dialer import Target
from edge.voice import MAX_LEAD_MS, MIN_LEAD_MS, PRESETS, RESUME_S, Deadlines, Lead, Preset

RESUME_MS = int(RESUME_S * 1000)
_MILLISECONDS = re.compile(r"(?P<up> \d+ | none ) (?: : (?P<down> \d+ | none ) )?", re.VERBOSE)


class DeadlineType(click.ParamType[Preset | Deadlines]):
    """A preset, or ``UP[:DOWN]``."""

    name = "|".join(PRESETS) + "|up[:down]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Preset | Deadlines:
        if value in PRESETS:
            preset: Preset = value
            return preset
        form = _MILLISECONDS.fullmatch(value)
        if form is None:
            self.fail(
                f"{value!r} is none of {', '.join(PRESETS)}, nor UP or UP:DOWN in milliseconds or none",
                param,
                ctx,
            )
        up, down = (None if part in (None, "none") else int(part) for part in form.group("up", "down"))
        try:
            return Deadlines(up, down)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class LeadType(click.ParamType[Lead]):
    """Milliseconds, or ``auto``."""

    name = "ms|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Lead:
        if value == "auto":
            return "auto"
        lead_ms = int(value) if value.isdecimal() else 0
        if not MIN_LEAD_MS <= lead_ms <= MAX_LEAD_MS:
            self.fail(f"{value!r} is neither auto nor {MIN_LEAD_MS} to {MAX_LEAD_MS} ms", param, ctx)
        return lead_ms


@dataclass(frozen=True, slots=True)
class Turn:
    """What is said, None for nothing, and when its answer is interrupted, in seconds."""

    packets: list[bytes] | None
    interrupt_at_s: float | None


@click.command(epilog="For example: edgectl call voice.example --deadline chat --save heard.wav")
@target_options
@click.option(
    "--wav",
    "wavs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Say this file; with several, wait for the answer between two.  [default: a shipped recording]",
)
@click.option(
    "--say",
    "names",
    type=click.Choice([*speech.NAMES, *speech.QUESTIONS]),
    multiple=True,
    help="Say a shipped recording, after the files.",
)
@click.option("--story", is_flag=True, help="Say nothing; listen to what the edge has to tell.")
@click.option(
    "--repeat", type=click.IntRange(1), default=1, show_default=True, help="Say it all so many times."
)
@click.option("--backend", metavar="NAME", help="Who shall answer.  [default: the edge's choice]")
@token_option()
@click.option(
    "--carrier",
    type=click.Choice(["auto", "quic", "websocket"]),
    default="auto",
    show_default=True,
    help="auto: QUIC, or a WebSocket where UDP does not get through.",
)
@click.option(
    "--deadline",
    type=DeadlineType(),
    help="What a frame is worth on its way, in ms: what is later is given up.  [default: the edge's choice]",
)
@click.option("--lead", "lead_ms", type=LeadType(), help="How far ahead of the ear the edge may write.")
@click.option(
    "--interrupt-at",
    "interrupts",
    type=Number(0),
    multiple=True,
    metavar="SECONDS",
    help="Interrupt the answer when so much of it has been played; the n-th is for the n-th turn.",
)
@click.option(
    "--resume-after",
    "resume_after_ms",
    type=click.IntRange(0, 60_000),
    metavar="MS",
    help=f"Take each interruption back so long after it; later than {RESUME_MS} ms is too late.",
)
@click.option("--save", type=click.Path(path_type=Path), help="Write what was heard to this WAV file.")
@click.option(
    "--save-both",
    type=click.Path(path_type=Path),
    help="Write both sides by the clock: caller left, edge right.",
)
@click.option(
    "--ticket-file",
    type=click.Path(path_type=Path),
    help="Keep tickets and address tokens here, so that the next call can speak in its first packet.",
)
@click.option(
    "--timeout",
    "patience_s",
    type=Number(0, min_open=True),
    default=10,
    show_default=True,
    help="Seconds to wait for the edge to answer, and for each sign of a reply.",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def call(
    target: Target,
    wavs: tuple[Path, ...],
    names: tuple[str, ...],
    story: bool,
    repeat: int,
    backend: str | None,
    token: str | None,
    carrier: CarrierChoice,
    deadline: Preset | Deadlines | None,
    lead_ms: Lead | None,
    interrupts: tuple[float, ...],
    resume_after_ms: int | None,
    save: Path | None,
    save_both: Path | None,
    ticket_file: Path | None,
    patience_s: float,
    output: str,
) -> int:
    """Place a spoken call to an edge and account for every frame.

    Speech goes out in real time; each utterance waits for the answer to the one before. What is understood, said and
    measured is told on stderr as it happens, and summed up on stdout. Ctrl-C or SIGTERM hangs up.

    The exit code is 0 if both ends counted the same frames in both directions (frames given up at an agreed deadline
    are shown, and no failure), and if every interruption adds up: generated = wire + saved, and wasted no more than the
    lead and two groups. It is 1 if not, if that could not be compared, or if the call was lost; 4 if nobody answered, 5
    if the edge cannot be reached or trusted, 6 if it takes no new calls for now, or not from this caller.
    """
    if story and (wavs or names):
        raise click.UsageError("--story says nothing, so there is no use for --wav and --say")
    if resume_after_ms is not None and not interrupts:
        raise click.UsageError("--resume-after takes an interruption back: give --interrupt-at, too")
    for path in (save, save_both):
        if path and not path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}")
    files = [*wavs, *map(speech.recording, names)] or [speech.recording("train")]
    said = [None] if story else [audio.read_speech(file) for file in files]
    turns = [
        Turn(packets, interrupts[number] if number < len(interrupts) else None)
        for number, packets in enumerate(said * repeat)
    ]
    if len(interrupts) > len(turns):
        raise click.UsageError(f"{len(interrupts)} interruptions, and only {len(turns)} answers to interrupt")
    options = {
        "token": token,
        "backend": backend,
        "carrier": carrier,
        "deadline": deadline,
        "lead_ms": lead_ms,
        "ticket_file": ticket_file,
        "timeout_s": patience_s,
    }
    return asyncio.run(_run(target, options, turns, resume_after_ms, patience_s, save, save_both, output))


async def _run(
    target: Target,
    options: dict[str, Any],
    turns: Sequence[Turn],
    resume_after_ms: int | None,
    patience_s: float,
    save: Path | None,
    save_both: Path | None,
    output: str,
) -> int:
    failure: EdgeError | None = None
    call = connect_to(target, **options)
    heard, both = call.record(), call.record_both() if save_both else None
    narrator = Narrator(call)
    async with call, narrator.narrating():
        try:
            await until_signal(_converse(call, narrator, turns, resume_after_ms, patience_s))
        except CallLost:
            pass  # the summary says so
        except EdgeError as error:
            failure = error
        summary = await call.hang_up()
    if summary.legs:
        click.echo(as_json(summary) if output == "json" else as_table(summary))
    if save:
        heard.save(save)
    if save_both and both:
        both.save(save_both)
    if failure:
        raise failure
    return 0 if summary.flawless else 1


async def _converse(
    call: Call, narrator: Narrator, turns: Sequence[Turn], resume_after_ms: int | None, patience_s: float
) -> None:
    for turn in turns:
        if turn.packets is not None:
            await call.say(turn.packets, patience_s=patience_s)
        if turn.interrupt_at_s is not None:
            await _interrupt(call, narrator, turn.interrupt_at_s, resume_after_ms, patience_s)
        await call.reply(patience_s=patience_s)


async def _interrupt(
    call: Call, narrator: Narrator, at_s: float, resume_after_ms: int | None, patience_s: float
) -> None:
    if not await call.played(at_s, patience_s=patience_s):
        narrator.say(f"the answer was over before {at_s:g} s of it; nothing to interrupt")
        return
    call.interrupt()
    narrator.say(f"interrupted at {at_s:g} s")
    if resume_after_ms is not None:
        await asyncio.sleep(resume_after_ms / 1000)
        taken_back = call.resume()
        narrator.say(
            "taken back: it goes on" if taken_back else f"{resume_after_ms} ms are too late to take it back"
        )
