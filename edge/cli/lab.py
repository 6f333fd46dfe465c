"""edgectl lab ..."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import click
import msgspec

from edge.errors import UnreachableError, UsageError
from edge.lab.status import LabStatus

ALL = "all"

_NAME = click.option("--name", default="default", show_default=True, help="Which lab, if there are several.")


@click.group()
def lab() -> None:
    """Build an internet in namespaces and run scenarios on it.

    Routers, edges and clients, each in a network namespace of its own, joined by links with delay, jitter and
    loss. An ordinary user can have labs, several side by side.
    """


@lab.command()
@_NAME
@click.option(
    "--topology",
    "topology_file",
    type=click.Path(path_type=Path),
    help="A TOML file of nodes and links, instead of two transit systems, three edges, two client sites and two "
    "route reflectors.",
)
@click.option("--seed", default=0, show_default=True, help="Of the links' dice.")
def up(name: str, topology_file: Path | None, seed: int) -> None:
    """Start a lab that stays in the background, with a node on every edge.

    Callers in it find the edges at the service address (198.51.100.1, 2001:db8:a::1) as voice.example, and their
    certificate in /run/lab/cert.pem: edgectl lab exec c1 edgectl call 198.51.100.1 --server-name voice.example
    --ca /run/lab/cert.pem
    """
    from edge.lab import standing
    from edge.lab.topologies import default_topology
    from edge.lab.topology import load

    topology = load(topology_file) if topology_file else default_topology()
    standing.up(name, topology, seed=seed, services=["edge.lab.nodes:serve"])
    click.echo(f"lab {name}: up; look with: edgectl lab status --name {name}", err=True)


@lab.command()
@_NAME
def down(name: str) -> None:
    """End a lab and see that nothing is left of it."""
    from edge.lab import standing

    was_up = standing.down(name)
    click.echo(f"lab {name}: {'down' if was_up else 'was not up'}", err=True)


@lab.command()
@_NAME
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(name: str, output: str) -> None:
    """Show nodes, links, BGP sessions and processes."""
    from edge.lab import standing

    found = standing.status(name)
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        click.echo("\n\n".join(_aligned(table) for table in _tables(found)))


@lab.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_NAME
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, node: str, command: tuple[str, ...]) -> int:
    """Run COMMAND on NODE of a lab, a shell for instance; its exit code is ours."""
    from edge.lab import join, standing

    join.join(standing.running(name).pid, node)
    return join.run(command)


@lab.command(epilog="For example: edgectl lab run overload --times 3")
@click.argument("scenario")
@click.option(
    "--seed", default=0, show_default=True, help="Of the links' dice and of everything else by chance."
)
@click.option("--fault", help="Break something on purpose; the check it belongs to must fail.")
@click.option(
    "--policy", default="ours", show_default=True, help="What the nodes go by when there is too much."
)
@click.option(
    "--ledger",
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    help="Whether the nodes count what their changes cost with others' routers.",
)
@click.option(
    "--speaker",
    type=click.Choice(["exabgp", "bird"]),
    default="exabgp",
    show_default=True,
    help="What speaks BGP for the nodes.",
)
@click.option("--only", metavar="ROW,ROW...", default="", help="These rows, of a scenario that has rows.")
@click.option(
    "--times",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="So often in a row; then a table tells the worst of each check.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where the report goes.  [default: build/lab/SCENARIO, and build/lab for several]",
)
def run(
    scenario: str,
    seed: int,
    fault: str | None,
    policy: str,
    ledger: str,
    speaker: Literal["exabgp", "bird"],
    only: str,
    times: int,
    out: Path | None,
) -> int:
    """Build a lab, play SCENARIO on it, judge what happened, and take the lab away; "all" plays one after the other.

    Which there are: edgectl lab scenarios
    """
    from edge.cli.layout import table
    from edge.lab.report import LabReport
    from edge.lab.scenarios import SCENARIOS
    from edge.lab.scenarios.series import play_series, summary

    if scenario != ALL and scenario not in SCENARIOS:
        raise UsageError(f"no scenario {scenario!r}; there are {', '.join(SCENARIOS)}, and {ALL} of them")
    if scenario == ALL and (fault or only or (policy, ledger, speaker) != ("ours", "on", "exabgp")):
        raise UsageError(f"{ALL} of them are played as they are; name one to play it otherwise")

    def play(name: str, place: Path) -> LabReport:
        return SCENARIOS[name].run(
            place,
            seed=seed,
            fault=fault,
            policy=policy,
            ledger=ledger,
            speaker=speaker,
            only=tuple(only.replace(",", " ").split()),
        )

    if scenario != ALL and times == 1:
        report = play(scenario, out or Path("build/lab", scenario))
        click.echo(f"lab {scenario}: {'PASS' if report.passed else 'FAIL'}")
        return 0 if report.passed else 1
    names = tuple(SCENARIOS) if scenario == ALL else (scenario,)
    tallies = play_series(names, times, out or Path("build/lab"), play, click.echo)
    click.echo("\n" + table(summary(tallies)))
    for name, tally in tallies.items():
        for problem in tally.problems:
            click.echo(f"lab {name}: {problem}", err=True)
    return 0 if all(tally.passed == tally.played for tally in tallies.values()) else 1


@lab.command()
def scenarios() -> None:
    """List the scenarios, and with what each can be made to fail."""
    from edge.lab.scenarios import SCENARIOS

    for scenario in SCENARIOS.values():
        click.echo(f"{scenario.name:14}{scenario.summary}")
        for option, check in scenario.failures.items():
            click.echo(f"{'':14}{option} fails {check}")
        for speaker in scenario.speakers[1:]:
            click.echo(f"{'':14}--speaker {speaker} holds, too")
        if scenario.rows:
            click.echo(f"{'':14}--only {','.join(scenario.rows)}")


@lab.command()
def doctor() -> None:
    """Say what this machine lacks for a lab, and how to mend it."""
    from edge.lab.doctor import Verdict, examine

    findings = examine()
    click.echo(_aligned([[str(finding.verdict), finding.subject, finding.detail] for finding in findings]))
    for finding in findings:
        if finding.remedy:
            click.echo(f"to mend {finding.subject}: {finding.remedy}")
    if missing := [finding.subject for finding in findings if finding.verdict is Verdict.PROBLEM]:
        raise UnreachableError(f"no lab on this machine yet: {', '.join(missing)}")


def _tables(found: LabStatus) -> Iterable[list[list[str]]]:
    yield [["NODE", "ROLE", "AS", "IPV4", "IPV6"]] + [
        [node.name, node.role, str(node.asn or "-"), node.v4, node.v6] for node in found.nodes
    ]
    yield [["LINK", "WAY", "DELAY MS", "JITTER MS", "LOSS", "STATE", "PACKETS", "DROPPED", "MISSED"]] + [
        [
            way.link,
            way.way,
            f"{way.impairment.delay_ms:g}",
            f"{way.impairment.jitter_ms:g}",
            f"{way.impairment.loss:.1%}",
            "cut" if way.impairment.cut else "up",
            str(way.packets),
            str(way.dropped),
            str(way.missed),
        ]
        for way in found.links
    ]
    yield [["ROUTER", "SESSION", "STATE", "SINCE"]] + [
        [session.router, session.name, session.state, session.since] for session in found.sessions
    ]
    yield [["NODE", "PROCESS", "PID", "STATE"]] + [
        [
            process.node,
            process.name,
            str(process.pid),
            "running" if process.returncode is None else f"ended with {process.returncode}",
        ]
        for process in found.processes
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
