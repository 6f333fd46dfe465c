"""PromQL over the metrics of `edge.runtime.metric_table`: a selector that names what is not declared is an error."""

from __future__ import annotations

from typing import Final

from edge.runtime.metric_table import Histogram, Metric

JOB: Final = "edge"
"""What the scrape job has to be called: `up` knows nothing else of what it is about."""
UP: Final = f'up{{job="{JOB}"}}'
NODE: Final = "fleet, site, node"
SITE: Final = "fleet, site"
FLEET: Final = "fleet"
"""Target labels, as ``by (...)`` wants them. One fleet alone needs no label ``fleet``: then it is the empty one."""

Value = str | tuple[str, ...]


def of(metric: Metric, part: str = "", **labels: Value) -> str:
    """The selector of a metric's series; several values of a label mean any of them.

    ``part`` is "bucket", "count" or "sum" of a histogram, whose buckets have the label ``le``.
    Raises ValueError for a label or a value that the table does not know.
    """
    if isinstance(metric, Histogram) != bool(part):
        raise ValueError(f"{metric.name}: a histogram, and no other, is asked for by a part of it")
    return selector(f"{metric.name}_{part}" if part else metric.name, **_checked(metric, labels))


def selector(name: str, **labels: Value) -> str:
    """The same for what is no metric of a node, such as the series of a recording rule."""
    matchers = ", ".join(
        f'{label}="{value}"' if isinstance(value, str) else f'{label}=~"{"|".join(value)}"'
        for label, value in labels.items()
    )
    return f"{name}{{{matchers}}}" if matchers else name


def _checked(metric: Metric, labels: dict[str, Value]) -> dict[str, Value]:
    known: dict[str, tuple[str, ...] | str] = dict(metric.labels)
    if isinstance(metric, Histogram):
        known["le"] = tuple(str(bound) for bound in metric.buckets)
    for label, value in labels.items():
        if label not in known:
            raise ValueError(f"{metric.name} has no label {label!r}")
        for one in (value,) if isinstance(value, str) else value:
            allowed = known[label]
            if not isinstance(allowed, str) and one not in allowed and not one.startswith("$"):
                raise ValueError(f"{metric.name}: {label}={one!r} is none of {', '.join(allowed)}")
    return labels
