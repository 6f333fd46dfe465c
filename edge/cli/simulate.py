"""edgectl simulate"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from edge.cli.layout import table
from edge.cli.moments import Number
from edge.cli.output import output_option, print_json
from edge.config.load import explained
from edge.errors import ConfigError, UnreachableError, UsageError
from edge.simulate.contenders import NAMES
from edge.simulate.schema import SimulationFile
from edge.simulate.summary import COLUMNS, row

if TYPE_CHECKING:
    from edge.simulate.outcome import Report
    from edge.simulate.run import Progress

EXAMPLES = {
    path.name.removesuffix(".toml"): path
    for path in sorted(
        resources.files("edge.simulate").joinpath("examples").iterdir(), key=lambda path: path.name
    )
    if path.name.endswith(".toml")
}
_NEEDS = "needs numpy and matplotlib; install them with: pip install 'anycast-edge[simulate]'"


@click.command(epilog="For example: edgectl simulate hot-site --policy ours --policy naive --hours 12")
@click.argument("file", required=False)
@click.option("--list", "list_", is_flag=True, help="List the examples and end.")
@click.option("--show", is_flag=True, help="Print FILE and end; a way to begin your own with an example.")
@click.option(
    "--policy",
    "policies",
    type=click.Choice(NAMES),
    multiple=True,
    help="Run only this policy; may be given several times.  [default: all]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything by chance.")
@click.option("--hours", type=Number(0, min_open=True), help="Instead of the length in FILE.")
@click.option("--days", type=Number(0, min_open=True), help="The same in days.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw a PNG into this file.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page into this file.")
@output_option
def simulate(
    file: str | None,
    list_: bool,
    show: bool,
    policies: tuple[str, ...],
    seed: int,
    hours: float | None,
    days: float | None,
    plot: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Try a fleet and its policy in virtual time, beside other policies.

    FILE is a TOML file of sites, callers and events, or the name of an example (see --list). Every policy meets
    the same world, and the same seed gives the same output, to the byte.

    \b
    none        nodes shed load, and no route ever moves for it
    naive       no shedding; withdrawn above one threshold, announced again below another
    hysteresis  no shedding; the same with waits and holds
    ours        shed, de-prefer, withdraw, with guards and a damping ledger; [policy] in FILE tunes it
    """
    if list_:
        click.echo(table([["EXAMPLE", "ABOUT"], *([name, _parsed(name).about] for name in EXAMPLES)]))
        return
    if file is None:
        raise UsageError("which FILE? edgectl simulate --list names examples")
    if show:
        click.echo(_text(file), nl=False)
        return
    if hours is not None and days is not None:
        raise UsageError("--hours and --days are two ways to say the same; give one")
    length = days * 24 if days is not None else hours
    world = _parsed(file, hours=length)
    report = _run(world, policies or NAMES, seed)
    _draw(report, world, plot, html)
    if as_json:
        print_json(report)
    else:
        click.echo(f"{report.title}: {report.about}")
        click.echo(table([[column.name.upper() for column in COLUMNS], *map(row, report.policies)]))


def _run(world: SimulationFile, policies: tuple[str, ...], seed: int) -> Report:
    try:
        import numpy as np

        from edge.simulate.run import simulate as run
    except ModuleNotFoundError as error:
        raise UnreachableError(f"simulate {_NEEDS}") from error
    with _progress() as progress:
        return run(world, policies, lambda: np.random.default_rng(seed), seed=seed, progress=progress)


def _draw(report: Report, world: SimulationFile, plot: Path | None, html: Path | None) -> None:
    if plot is None and html is None:
        return
    try:
        from edge.simulate.page import page
        from edge.simulate.plot import png, svg
    except ModuleNotFoundError as error:
        raise UnreachableError(f"--plot and --html: simulate {_NEEDS}") from error
    if plot is not None:
        _write(plot, png(report, world.overload))
    if html is not None:
        _write(html, page(report, svg(report, world.overload)).encode())


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UnreachableError(f"{path}: cannot be written: {error.strerror}") from error
    click.echo(f"wrote {path}", err=True)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr if somebody is looking, else nothing."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    with Bars(console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("", total=None)

        def advance(policy: str, done: int, steps: int) -> None:
            if done % 256 == 0 or done == steps:
                bars.update(bar, description=policy, completed=done, total=steps)

        yield advance


def _text(file: str) -> str:
    try:
        return EXAMPLES[file].read_text() if file in EXAMPLES else Path(file).read_text()
    except FileNotFoundError:
        raise UsageError(
            f"{file}: there is no such file, and no example of that name; see edgectl simulate --list"
        ) from None
    except PermissionError:
        raise UnreachableError(f"{file}: no permission; let this user read it") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{file}: cannot be read: {reason}") from None


def _parsed(file: str, *, hours: float | None = None) -> SimulationFile:
    try:
        values = msgspec.toml.decode(_text(file))
        if hours is not None:
            values["hours"] = hours
        return msgspec.convert(values, SimulationFile)
    except msgspec.ValidationError as error:
        raise explained(error, SimulationFile) from error
    except msgspec.DecodeError as error:
        raise ConfigError(file, f"is not TOML: {error}") from error
