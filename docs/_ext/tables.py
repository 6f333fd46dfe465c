"""Tables that the code already holds: metrics, alerts, control events, exit codes, error codes of streams, the life of an
item, the ladder, damping.

Each directive takes no argument and renders one table, so that the reference cannot fall behind the code.
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Sequence

import msgspec
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx

from bgp.condition import duration
from bgp.damping import PROFILES
from bgp.ladder import TRANSITIONS, Row, guards_of
from bgp.params import PolicyParams
from bgp.state import State
from edge import errors
from edge.monitoring.objectives import OBJECTIVES
from edge.monitoring.rules import ALERTS, RECORDS
from edge.runtime import metric_table
from edge.voice import control, turns
from edge.voice.errors import Code

Table = tuple[Sequence[str], Iterable[Sequence[str]]]


def metrics() -> Table:
    def meaning(metric: metric_table.Metric) -> str:
        labels = [
            f"`{label}`: {values if isinstance(values, str) else ', '.join(values)}"
            for label, values in metric.labels.items()
        ]
        return f"{metric.help} *{metric.kind.capitalize()}.* {'; '.join(labels)}"

    return ("name", "meaning"), [(f"`{metric.name}`", meaning(metric)) for metric in metric_table.METRICS]


def alerts() -> Table:
    header = ("alert", "severity", "waits", "why so")
    rows = [
        (f"[{alert.name}](../runbooks/{alert.page}.md)", alert.severity, alert.wait, alert.because)
        for alert in ALERTS
    ]
    return header, rows


def objectives() -> Table:
    header = ("alert", "promised", "the share that is bad", "from so many on", "why so")
    rows = [
        (f"`{one.alert}`", f"{one.share:.1%}", one.what, str(one.enough), one.because) for one in OBJECTIVES
    ]
    return header, rows


def records() -> Table:
    """Names and expressions; one row for the windows of one ratio."""
    shown = {re.sub(r"rate\w+$", "rateWINDOW", one.name): one for one in reversed(RECORDS)}
    rows = [(f"`{name}`", f"`{' '.join(one.expr.split())}`") for name, one in reversed(shown.items())]
    return ("name", "expression, for windows that of 5m"), rows


def events(*unions: object) -> Table:
    rows = []
    for union in unions:
        for event in typing.get_args(union):
            fields = [_field(field) for field in msgspec.structs.fields(event) if field.name != "event_id"]
            rows.append((f"`{event.__struct_config__.tag}`", ", ".join(fields), _first_paragraph(event)))
    return ("event", "fields", "meaning"), sorted(rows)


def _field(field: msgspec.structs.FieldInfo) -> str:
    """A struct's name followed by its own fields, in braces; a question mark behind one that may be left out."""
    mark = "" if field.required else "?"
    inner = [one for one in (field.type, *typing.get_args(field.type)) if inspect.isclass(one)]
    structs = [one for one in inner if issubclass(one, msgspec.Struct)]
    if not structs:
        return f"`{field.encode_name}`{mark}"
    names = ", ".join(f"`{one.encode_name}`" for one in msgspec.structs.fields(structs[0]))
    return f"`{field.encode_name}`{mark} {{{names}}}"


def exit_codes() -> Table:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    rows = [
        (str(kind.exit_code), f"`{kind.__name__}`", _first_paragraph(kind).partition(" Exit code")[0])
        for kind in kinds
    ]
    rows += [("0", "", "Done."), ("130", "", "Interrupted (Ctrl-C).")]
    return ("code", "error", "meaning"), sorted(rows, key=lambda row: int(row[0]))


def stream_codes() -> Table:
    return ("code", "name"), [(str(code.value), code.name.lower().replace("_", " ")) for code in Code]


def stages() -> Table:
    """The rows of `edge.voice.turns`, numbered as in the drawing."""
    rows = [
        (
            str(number),
            ", ".join(stage.value for stage in turns.Stage if stage in row.sources),
            row.target.value,
            f"**{row.trigger.name.lower().replace('_', ' ')}**: {row.trigger.value}",
        )
        for number, row in enumerate(turns.TRANSITIONS, 1)
    ]
    return ("", "from", "to", "when"), rows


def transitions() -> Table:
    """The rows of `bgp.ladder` with the default parameters, numbered as in the drawing."""
    params = PolicyParams()

    def sources(row: Row) -> str:
        if len(row.sources) == len(State) - 1:
            return "any other"
        return ", ".join(state.value for state in State if state in row.sources)

    def hold(row: Row) -> str:
        return duration(getattr(params, row.hold)) if row.hold else ""

    rows = [
        (
            str(number),
            sources(row),
            row.target.value,
            f"**{row.trigger.name}**: {row.trigger.rule.format(p=params)}",
            ", ".join(f"`{guard.name}`" for guard in guards_of(row)),
            hold(row),
        )
        for number, row in enumerate(TRANSITIONS, 1)
    ]
    return ("", "from", "to", "when", "unless refused by", "hold"), rows


def guards() -> Table:
    params = PolicyParams()
    every = {guard.name: guard.rule.format(p=params) for row in TRANSITIONS for guard in guards_of(row)}
    return ("guard", "lets a move pass if"), [(f"`{name}`", rule) for name, rule in sorted(every.items())]


def damping_profiles() -> Table:
    header = (
        "profile",
        "withdrawn",
        "announced again",
        "changed",
        "suppressed at",
        "reused below",
        "ceiling",
        "budget",
    )
    rows = []
    for name, profile in PROFILES.items():
        points = (profile.withdraw, profile.announce, profile.change, profile.suppress, profile.reuse)
        numbers = [f"{number:.0f}" for number in (*points, profile.ceiling, profile.budget)]
        rows.append((f"`{name}`", *numbers))
    return header, rows


def _first_paragraph(kind: type) -> str:
    text = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]
    # Structs without a docstring of their own have a signature there.
    return "" if text.startswith(f"{kind.__name__}(") else " ".join(text.replace("``", "`").split())


TABLES: dict[str, Callable[[], Table]] = {
    "metrics-table": metrics,
    "alerts-table": alerts,
    "objectives-table": objectives,
    "records-table": records,
    "caller-events-table": lambda: events(control.CallerEvent),
    "edge-events-table": lambda: events(control.EdgeEvent),
    "exit-codes-table": exit_codes,
    "stream-codes-table": stream_codes,
    "item-stages-table": stages,
    "transitions-table": transitions,
    "guards-table": guards,
    "damping-profiles-table": damping_profiles,
}


class TableDirective(Directive):
    """Renders the table of its own name through Markdown, so that cells may hold inline markup."""

    def run(self) -> list[nodes.Node]:
        header, rows = TABLES[self.name]()
        lines = [header, ["---"] * len(header), *rows]
        markdown = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        container = nodes.Element()
        self.state.nested_parse(StringList(markdown, source=self.name), self.content_offset, container)
        return container.children


def setup(app: Sphinx) -> dict[str, bool]:
    for name in TABLES:
        app.add_directive(name, TableDirective)
    return {"parallel_read_safe": True}
