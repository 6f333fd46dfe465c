"""All rules, and the file that Prometheus reads them from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import indent
from typing import Final

from edge.monitoring.levels import LEVELS
from edge.monitoring.node_alerts import NODES
from edge.monitoring.objectives import PROMISES, RATIOS
from edge.monitoring.routing_alerts import ROUTING
from edge.monitoring.rule import Alert, Group, Record
from edge.monitoring.upkeep_alerts import UPKEEP

GROUPS: Final = (LEVELS, RATIOS, ROUTING, PROMISES, NODES, UPKEEP)
RECORDS: Final = tuple(rule for group in GROUPS for rule in group.rules if isinstance(rule, Record))
ALERTS: Final = tuple(rule for group in GROUPS for rule in group.rules if isinstance(rule, Alert))

PAGE: Final = "{page}"
_HEAD: Final = """\
# Recording rules and alerts of anycast-edge; written by `edgectl rules export`, which is where to change them.
"""


def rules_file(runbooks: str) -> str:
    """The file, in YAML. ``runbooks`` is the address of a runbook, with ``{page}`` for which one, or of a folder of them."""
    template = runbooks if PAGE in runbooks else f"{runbooks.rstrip('/')}/{PAGE}.html"
    return _HEAD + "groups:\n" + "".join(_group(group, template) for group in GROUPS)


def _group(group: Group, runbooks: str) -> str:
    rules = "".join(indent("\n".join(_rule(rule, runbooks)), "      ") + "\n" for rule in group.rules)
    return f"  - name: {group.name}\n    rules:\n{rules}"


def _rule(rule: Record | Alert, runbooks: str) -> Iterator[str]:
    # A string of JSON is one of YAML, whatever is in it.
    if isinstance(rule, Record):
        yield f"- record: {rule.name}"
        yield from _expression(rule.expr)
        return
    yield f"- alert: {rule.name}"
    yield f"  # {rule.because}"
    yield from _expression(rule.expr)
    yield f"  for: {rule.wait}"
    yield f"  labels:\n    severity: {json.dumps(rule.severity)}"
    yield "  annotations:"
    yield f"    summary: {json.dumps(rule.summary)}"
    yield f"    description: {json.dumps(rule.description)}"
    yield f"    runbook_url: {json.dumps(runbooks.replace(PAGE, rule.page))}"


def _expression(expr: str) -> Iterator[str]:
    yield "  expr: |-"
    yield indent(expr, "    ")
