"""Whether a Prometheus that watches a fleet can answer everything that the rules and dashboards ask.

A name that no node serves is no error to Prometheus: the panel stays empty, and the alert never fires.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any, Final

from edge.errors import EdgeError, UnreachableError, UsageError
from edge.monitoring.export import DASHBOARDS, packaged
from edge.monitoring.rules import ALERTS, RECORDS

_NAME: Final = r"(?:ALERTS|up|(?:(?:node|site|fleet|prefix):)?edge_[a-z0-9_:]+)"
_SELECTOR: Final = re.compile(rf"(?<![\w:]){_NAME}(?![\w:(])(?:\{{[^{{}}]*\}})?")
_ADDRESS: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^/\[\]:]+)(:[0-9]+)?(/|$)")
VARIABLES: Final = {"$__rate_interval": "5m", "$site": ".*", "$node": ".*"}
"""What Grafana would put in, with everything chosen."""


def operands(expr: str) -> list[str]:
    """The selectors in an expression over our metrics."""
    return _SELECTOR.findall(expr)


def drawn() -> list[str]:
    """Every expression of the dashboards that come with this package."""
    found: dict[str, None] = {}
    for name in DASHBOARDS:
        for panel in json.loads(packaged(name))["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"]
                for variable, value in VARIABLES.items():
                    expr = expr.replace(variable, value)
                found[expr] = None
    return list(found)


def unanswered(prometheus_url: str, *, timeout_s: float = 10.0) -> list[str]:
    """The expressions that no series answers, among all of the rules and dashboards.

    An alert is to be empty, as long as all is well: of those, the series that they look at have to be there.
    Raises `UsageError` for what is no address, `UnreachableError`, and `EdgeError` for an answer that is none.
    """
    ask = _Asked(prometheus_url, timeout_s)
    found = [expr for expr in (*(record.expr for record in RECORDS), *drawn()) if not ask.has(expr)]
    for alert in ALERTS:
        found += [one for one in operands(alert.expr) if not ask.has(alert.expr) and not ask.has(one)]
    return list(dict.fromkeys(found))


class _Asked:
    """A Prometheus, asked each thing once."""

    def __init__(self, url: str, timeout_s: float) -> None:
        if not _ADDRESS.match(url):
            raise UsageError(f"{url}: is no address of a Prometheus; write it like http://127.0.0.1:9090")
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._timeout_s = timeout_s
        self._known: dict[str, bool] = {}

    def has(self, expr: str) -> bool:
        if expr not in self._known:
            self._known[expr] = any(self._series(expr))
        return self._known[expr]

    def _series(self, expr: str) -> Iterator[Any]:
        form = urllib.parse.urlencode({"query": expr}).encode()
        try:
            with urllib.request.urlopen(self._url, form, timeout=self._timeout_s) as answer:
                document = json.load(answer)
                yield from document["data"]["result"]
        except urllib.error.HTTPError as error:
            raise EdgeError(f"{self._url}: {error.code} for {expr}: {error.read(500).decode()}") from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise UnreachableError(f"{self._url}: {reason}; is it a Prometheus, and is it up?") from error
        except (ValueError, KeyError, TypeError) as error:
            raise EdgeError(f"{self._url}: this is not the answer of a Prometheus") from error
