"""What `edgectl upgrade`, `rollback` and `config apply` have in common: look, ask, carry out, tell."""

from __future__ import annotations

import asyncio
import functools
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from edge.cli.caller_token import token_option
from edge.cli.choice import chosen_fleet, fleet_options, timeout_s
from edge.cli.moments import Span
from edge.cli.operation_output import Progress, document, outcome_table, plan_table
from edge.cli.orders import who
from edge.cli.output import output_option, print_json
from edge.cli.session import session
from edge.cli.signals import until_signal
from edge.errors import DeadlineError, EdgeError, UsageError
from edge.fleet.operation import Kind
from edge.fleet.plan import Terms, raise_worst

if TYPE_CHECKING:
    from edge.fleet import Fleet
    from edge.fleet.crew import Call, Crew, Files
    from edge.fleet.leases import Leases
    from edge.fleet.operate import Goal, Survey
    from edge.fleet.planning import Member, Start
    from edge.fleet.rollout import Rollout

INTERRUPTED: Final = 130
CALL_S: Final = 30.0
_DEFAULT: Final = Terms()


def careful(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say how careful to be; ``command`` gets ``manner``."""

    @click.option(
        "--batch", type=click.IntRange(1), default=_DEFAULT.batch, show_default=True, help="Nodes at a time."
    )
    @click.option(
        "--soak",
        type=Span(),
        default=f"{_DEFAULT.soak_s:.0f}s",
        show_default=True,
        help="How long the whole fleet has to be well before the next batch: 30s, 10m.",
    )
    @click.option(
        "--deadline",
        type=Span(),
        default=f"{_DEFAULT.deadline_s / 60:.0f}m",
        show_default=True,
        help="What calls are given to go on elsewhere, before those that are left are closed.",
    )
    @click.option("--force", is_flag=True, help="Also where nobody else announces meanwhile.")
    @click.option("--dry-run", is_flag=True, help="Say what would be done where, and do nothing.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.option(
        "--call/--no-call",
        "place_call",
        default=True,
        show_default=True,
        help="Call each node at its own address before it is taken back into service.",
    )
    @click.option("--ca", type=click.Path(path_type=Path), help="For that call: trust this PEM file.")
    @click.option("--insecure", is_flag=True, help="For that call: accept any certificate.")
    @click.option(
        "--server-name",
        metavar="NAME",
        help="For that call: the certificate must be for NAME.  [default: the host of the node's url, or the address]",
    )
    @token_option("For that call: who calls")
    @fleet_options
    @output_option
    @functools.wraps(command)
    def with_manner(
        batch: int,
        soak: float,
        deadline: float,
        force: bool,
        dry_run: bool,
        yes: bool,
        place_call: bool,
        ca: Path | None,
        insecure: bool,
        server_name: str | None,
        token: str | None,
        as_json: bool,
        **options: Any,
    ) -> Any:
        fleet = chosen_fleet()
        if fleet is None:
            raise UsageError("which fleet? give --fleet FILE, or use a context (edgectl context add)")
        manner = Manner(
            fleet=fleet,
            terms=Terms(batch=batch, soak_s=soak, deadline_s=deadline, force=force),
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
            call=_caller(fleet, ca, insecure, server_name, token) if place_call else None,
        )
        return command(manner=manner, **options)

    return with_manner


class Manner:
    """How an operation is to go, and the fleet that it is for."""

    def __init__(
        self, *, fleet: Fleet, terms: Terms, dry_run: bool, yes: bool, as_json: bool, call: Call | None
    ) -> None:
        self.fleet = fleet
        self._terms = terms
        self._dry_run = dry_run
        self._yes = yes
        self._as_json = as_json
        self._call = call

    def carry_out(
        self, goal: Goal, *, archive: Callable[[], bytes] = bytes, files: Mapping[str, Files] = {}
    ) -> int | None:
        """From the first look to the last word; an exit code. Raises `EdgeError` if it fails, or must not begin."""
        from edge.fleet.crew import Crew
        from edge.fleet.leases import Leases
        from edge.fleet.planning import Member, Start
        from edge.fleet.ways import way_to

        ways = {str(node.name): way_to(self.fleet, node) for node in self.fleet.nodes}
        members = [Member(str(node.name), frozenset(map(str, node.addresses))) for node in self.fleet.nodes]
        start = Start(f"op-{secrets.token_hex(4)}", who(), time.time(), self._terms.batch)
        what = f"{goal.kind} {goal.version}".strip()
        leases = Leases(ways, who=who(), what=what, timeout_s=timeout_s())
        crew = Crew(
            ways,
            leases,
            who=who(),
            timeout_s=timeout_s(),
            archive=functools.cache(archive),
            files=files,
            call=self._call,
        )
        with session() as talk:
            for way in ways.values():
                talk.keep(way)
            found = talk.run(_survey(crew, members, goal, start, self._terms))
            for note in found.notes:
                click.echo(note, err=True)
            if self._dry_run:
                self._show_plan(found)
                raise_worst(found.against)
                return None
            raise_worst(found.against)
            if found.is_idle:
                self._tell_nothing_to_do(found)
                return None
            self._ask(found)
            work = _Work(crew, leases, members, goal, start, self._terms)
            talk.run(until_signal(work.run()))
        return self._tell(work, goal)

    def _show_plan(self, found: Survey) -> None:
        if self._as_json:
            print_json(document(found, None, "planned"))
        else:
            click.echo(plan_table(found))
            for name, difference in found.differences.items():
                if difference.diff:
                    click.echo("\n".join((f"{name}:", *difference.diff)))

    def _tell_nothing_to_do(self, found: Survey) -> None:
        if self._as_json:
            print_json(document(found, None, "unchanged"))
        else:
            click.echo("nothing to do: every node is as it is to be")

    def _ask(self, found: Survey) -> None:
        """Raises `click.Abort` if the answer is no."""
        if self._yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError("nobody is here to be asked; look at it with --dry-run, then say --yes")
        click.echo(plan_table(found), err=True)
        click.confirm("Begin?", abort=True, err=True)

    def _tell(self, work: _Work, goal: Goal) -> int | None:
        if work.rollout is None or work.found is None:
            click.echo("interrupted before anything was done", err=True)
            return INTERRUPTED
        rollout = work.rollout
        state = "failed" if rollout.failure else "done" if rollout.is_over else "interrupted"
        if self._as_json:
            print_json(document(work.found, rollout, state))
        else:
            click.echo(outcome_table(rollout))
        if rollout.failure is not None:
            raise EdgeError(f"{rollout.failure}; {_remedy(goal.kind)}")
        if state == "interrupted":
            click.echo(f"interrupted; {_remedy(goal.kind)}", err=True)
            return INTERRUPTED
        return None


class _Work:
    """What goes on under the leases; what is known of it when it is interrupted."""

    def __init__(
        self, crew: Crew, leases: Leases, members: list[Member], goal: Goal, start: Start, terms: Terms
    ) -> None:
        self._crew = crew
        self._leases = leases
        self._plan = (members, goal, start, terms)
        self._terms = terms
        self.found: Survey | None = None
        self.rollout: Rollout | None = None

    async def run(self) -> None:
        from edge.fleet.carry_out import carry_out
        from edge.fleet.rollout import Rollout

        async with self._leases.held():
            await self._leases.take_all(self._crew.ways)
            # Looked at again: only now is nobody else at work.
            self.found = await _survey(self._crew, *self._plan)
            raise_worst(self.found.against)
            self.rollout = Rollout(self.found.plan, self._terms, self.found.fleet)
            with Progress() as progress:
                await carry_out(self.rollout, self._crew, tell=progress.tell)


async def _survey(crew: Crew, members: list[Member], goal: Goal, start: Start, terms: Terms) -> Survey:
    from edge.fleet.operate import survey

    return await survey(crew, members, goal, start, terms)


def _remedy(kind: Kind) -> str:
    if kind is Kind.CONFIG:
        return "go on with: edgectl config apply"
    return "go on with: edgectl upgrade --resume, or go back with: edgectl rollback"


def _caller(
    fleet: Fleet, ca: Path | None, insecure: bool, server_name: str | None, token: str | None
) -> Call:
    """Real calls to a node's own addresses, as of `edgectl probe`."""
    from edge.cli.probe import Caller, Way

    caller = Caller(fleet, ca, insecure, token)

    async def call(name: str) -> None:
        node = fleet.node(name)
        for address in node.addresses:
            try:
                async with asyncio.timeout(CALL_S):
                    await caller.call(
                        Way(
                            str(address),
                            node.config.service.port,
                            server_name or node.config.unicast.name,
                            name,
                        )
                    )
            except TimeoutError as error:
                raise DeadlineError(f"a call to {address} took longer than {CALL_S:g} s") from error
            except EdgeError as error:
                raise type(error)(f"a call to {address}: {error}") from error

    return call
