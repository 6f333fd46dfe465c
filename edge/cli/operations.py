"""What `edgectl upgrade`, `rollback` and `config apply` have in common: look, ask, carry out, tell."""

from __future__ import annotations

import asyncio
import functools
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from edge.cli.calling import Caller, Trust, trust_options
from edge.cli.choice import chosen_fleet, fleet_options, parallel, timeout_s
from edge.cli.layout import printable
from edge.cli.moments import Span
from edge.cli.operation_output import Progress, document, outcome_table, plan_table
from edge.cli.orders import who
from edge.cli.output import output_option, print_json
from edge.cli.session import session
from edge.cli.signals import until_signal
from edge.errors import DeadlineError, EdgeError, RefusedError, UsageError
from edge.fleet.operation import Kind
from edge.fleet.plan import Terms, raise_worst
from edge.fleet.reach import type_of

if TYPE_CHECKING:
    from edge.fleet import Fleet
    from edge.fleet.crew import Call, Crew, Files
    from edge.fleet.leases import Leases
    from edge.fleet.operate import Goal, Survey
    from edge.fleet.plan import Plan
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
    @trust_options
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
        trust: Trust,
        as_json: bool,
        **options: Any,
    ) -> Any:
        from edge.fleet.ways import require_programs

        fleet = chosen_fleet()
        if fleet is None:
            raise UsageError("which fleet? give --fleet FILE, or use a context (edgectl context add)")
        require_programs(fleet)
        manner = Manner(
            fleet=fleet,
            terms=Terms(batch=batch, soak_s=soak, deadline_s=deadline, force=force),
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
            call=_caller(fleet, trust) if place_call else None,
        )
        return command(manner=manner, **options)

    return with_manner


def release_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``[VERSION]``: nobody is asked about a release that can be none."""

    def checked(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        from edge.fleet.schema import is_version

        if value is not None and not is_version(value):
            raise click.BadParameter(f"{value!r} is no version; write it like 0.1.0", ctx, parameter)
        return value

    return click.argument("version", required=False, callback=checked)(command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How an operation is to go, and the fleet that it is for."""

    fleet: Fleet
    terms: Terms
    dry_run: bool
    yes: bool
    as_json: bool
    call: Call | None

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
        start = Start(f"op-{secrets.token_hex(4)}", who(), time.time(), self.terms.batch)
        what = f"{goal.kind} {goal.version}".strip()
        leases = Leases(ways, who=who(), what=what, timeout_s=timeout_s())
        crew = Crew(
            ways,
            leases,
            who=who(),
            timeout_s=timeout_s(),
            parallel=parallel(),
            archive=functools.cache(archive),
            files=files,
            call=self.call,
        )
        with session() as talk:
            for way in ways.values():
                talk.keep(way)
            found = talk.run(_survey(crew, members, goal, start, self.terms))
            for note in found.notes:
                click.echo(printable(note), err=True)
            if self.dry_run:
                self._show_plan(found)
                raise_worst(found.against)
                return None
            raise_worst(found.against)
            if found.is_idle:
                self._tell_nothing_to_do(found)
                return None
            asked = self._ask(found)
            shown = found.plan if asked else None
            work = _Work(crew, leases, members, goal, start, self.terms, shown)
            try:
                talk.run(until_signal(work.run()))
            except EdgeError:
                if work.rollout is not None:
                    self._show_outcome(work, work.rollout, "interrupted")
                raise
        return self._tell(work, goal)

    def _show_plan(self, found: Survey) -> None:
        if self.as_json:
            print_json(document(found, None, "planned"))
        else:
            click.echo(plan_table(found))
            for name, difference in found.differences.items():
                if difference.diff:
                    click.echo("\n".join((f"{name}:", *map(printable, difference.diff))))

    def _tell_nothing_to_do(self, found: Survey) -> None:
        if self.as_json:
            print_json(document(found, None, "unchanged"))
        else:
            click.echo("nothing to do: every node is as it is to be")

    def _ask(self, found: Survey) -> bool:
        """Whether somebody was asked. Raises `click.Abort` if the answer is no."""
        if self.yes:
            return False
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError("nobody is here to be asked; look at it with --dry-run, then say --yes")
        click.echo(plan_table(found), err=True)
        click.confirm("Begin?", abort=True, err=True)
        return True

    def _tell(self, work: _Work, goal: Goal) -> int | None:
        if work.rollout is None or work.found is None:
            click.echo("interrupted before anything was done", err=True)
            return INTERRUPTED
        rollout = work.rollout
        state = "failed" if rollout.failure else "done" if rollout.is_over else "interrupted"
        self._show_outcome(work, rollout, state)
        if rollout.failure is not None:
            raise EdgeError(f"{rollout.failure}; {_remedy(goal.kind)}")
        if state == "interrupted":
            click.echo(f"interrupted; {_remedy(goal.kind)}", err=True)
            return INTERRUPTED
        return None

    def _show_outcome(self, work: _Work, rollout: Rollout, state: str) -> None:
        if self.as_json:
            assert work.found is not None  # there is no rollout before
            print_json(document(work.found, rollout, state))
        else:
            click.echo(outcome_table(rollout))


class _Work:
    """What goes on under the leases; what is known of it when it is interrupted. ``shown``: what somebody has agreed to."""

    def __init__(
        self,
        crew: Crew,
        leases: Leases,
        members: list[Member],
        goal: Goal,
        start: Start,
        terms: Terms,
        shown: Plan | None,
    ) -> None:
        self._shown = shown
        self._crew = crew
        self._leases = leases
        self._plan = (members, goal, start, terms)
        self.terms = terms
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
            self._check_agreed(self.found.plan)
            self.rollout = Rollout(self.found.plan, self.terms, self.found.fleet)
            with Progress() as progress:
                await carry_out(self.rollout, self._crew, tell=progress.tell)

    def _check_agreed(self, plan: Plan) -> None:
        if self._shown is not None and self._shown.changes != plan.changes:
            changes = (f"{name} from {before} to {after}" for name, (before, after) in plan.changes.items())
            raise RefusedError(
                "the fleet has changed since you were asked, and nothing is done; begin anew for what would be done now: "
                + (", ".join(changes) or "nothing")
            )


async def _survey(crew: Crew, members: list[Member], goal: Goal, start: Start, terms: Terms) -> Survey:
    from edge.fleet.operate import survey

    return await survey(crew, members, goal, start, terms)


def _remedy(kind: Kind) -> str:
    if kind is Kind.CONFIG:
        return "go on with: edgectl config apply"
    return "go on with: edgectl upgrade --resume, or go back with: edgectl rollback"


def _caller(fleet: Fleet, trust: Trust) -> Call:
    """Real calls to a node's own addresses, as of `edgectl probe`."""
    caller = Caller(fleet, trust)

    async def call(name: str) -> None:
        for way in caller.ways(fleet.node(name)):
            try:
                async with asyncio.timeout(CALL_S):
                    await caller.call(way)
            except TimeoutError as error:
                raise DeadlineError(f"a call to {way.address} took longer than {CALL_S:g} s") from error
            except EdgeError as error:
                raise type_of([error])(f"a call to {way.address}: {error}") from error

    return call
