"""A scenario seen from outside: fresh namespaces, the story told inside them, a report and what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from edge.errors import UsageError
from edge.lab.enclosure import Enclosure
from edge.lab.live import LiveView
from edge.lab.picture import write_page
from edge.lab.report import Check, LabReport
from edge.lab.residue import residue

REPORT_JSON, REPORT_HTML, AUDIO = "report.json", "report.html", "caller.wav"

Tell = Callable[[Any], None]
OUR_POLICY, LEDGER_ON = "ours", "on"
EXABGP: Final = "exabgp"


class Order(msgspec.Struct, frozen=True):
    """What a story is told: where its files go, what is by chance, and what is to be different this time."""

    out: str
    seed: int = 0
    fault: str | None = None
    policy: str = OUR_POLICY
    ledger: str = LEDGER_ON
    speaker: Literal["exabgp", "bird"] = EXABGP
    only: tuple[str, ...] = ()

    @property
    def log_dir(self) -> Path:
        return Path(self.out, "logs")


def played(story: Callable[[Order, Tell], Awaitable[list[Check]]], argument: Any, tell: Tell) -> Any:
    """Inside the lab: a story from beginning to end; its checks as JSON values."""

    async def told() -> list[Check]:
        return await story(msgspec.convert(argument, Order), tell)

    return msgspec.to_builtins(asyncio.run(told()))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A row of the table of scenarios.

    ``play`` (``package.module:function``, see `Enclosure`) tells the story inside the lab, is called with an
    `Order` and returns its checks, both as JSON values. ``faults``, ``policies`` and ``ledgers`` are what else this
    story can be told with, each with the check that must fail then: one that cannot fail proves nothing. ``speakers``
    are those with which it holds; ``rows`` its parts, for a story that can be told in part. ``needs_frr``: a router of it
    runs FRR. ``needs_nft``: it has firewalls or NATs. ``needs_demo``: its callers talk with the demo agent.
    """

    name: str
    summary: str
    play: str
    faults: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    ledgers: Mapping[str, str] = field(default_factory=dict)
    speakers: tuple[str, ...] = (EXABGP,)
    rows: tuple[str, ...] = ()
    needs_frr: bool = False
    needs_nft: bool = False
    needs_demo: bool = False

    @property
    def failures(self) -> dict[str, str]:
        """The command line's options for all that, each with its check."""
        kinds = {"--fault": self.faults, "--policy": self.policies, "--ledger": self.ledgers}
        return {f"{kind} {name}": check for kind, ways in kinds.items() for name, check in ways.items()}

    def run(
        self,
        out: Path,
        *,
        seed: int,
        fault: str | None,
        policy: str,
        ledger: str,
        speaker: Literal["exabgp", "bird"],
        only: tuple[str, ...],
    ) -> LabReport:
        """Build a lab, play, take the lab away, write everything into ``out`` and judge.

        Raises `UsageError` for what this story can't be told with, and when ``out`` cannot be written.
        """
        _check_known(self.name, "fault", fault, (None, *self.faults))
        _check_known(self.name, "policy", policy, (OUR_POLICY, *self.policies))
        _check_known(self.name, "ledger", ledger, (LEDGER_ON, *self.ledgers))
        _check_known(self.name, "speaker", speaker, self.speakers)
        for row in only:
            _check_known(self.name, "row", row, self.rows)
        order = Order(str(out.absolute()), seed, fault, policy, ledger, speaker, only)
        audio = out / AUDIO
        try:
            order.log_dir.mkdir(parents=True, exist_ok=True)
            for old in (audio, out / REPORT_JSON, out / REPORT_HTML):
                old.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"{out}: cannot be written: {error.strerror}; choose another --out") from error
        report = LabReport(self.name, seed)
        with LiveView() as view:

            def told(entry: Any) -> None:
                report.timeline.append(entry)
                view.show(entry)

            with Enclosure(self.play, msgspec.to_builtins(order)) as enclosure:
                checks, traces = enclosure.finish(told)
        report.checks = [msgspec.convert(check, Check) for check in checks]
        report.checks.append(Check("residue", residue(traces).total, 0, "things left"))
        report.timeline.sort(key=lambda entry: entry["t"])  # some times become known later than others
        report.write(out / REPORT_JSON)
        write_page(report, out / REPORT_HTML, audio.name if audio.exists() else None)
        view.verdict(report, out)
        return report


def _check_known(scenario: str, what: str, given: str | None, known: tuple[str | None, ...]) -> None:
    if given not in known:
        names = ", ".join(name for name in known if name is not None)
        raise UsageError(f"no {what} {given!r} in scenario {scenario}; there is {names or 'none'}")
