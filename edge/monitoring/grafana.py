"""The dashboards as Grafana reads them, by Grafana's own library (extra ``dashboards``); nothing here runs on a node.

``python -m edge.monitoring.grafana`` writes them, and the rules, anew into this package, where they are committed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from edge.monitoring.boards import BOARDS
from edge.monitoring.export import DEFAULT_RUNBOOKS, RULES
from edge.monitoring.panel import Board, Kind, Panel
from edge.monitoring.promql import UP
from edge.monitoring.rules import rules_file

DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="$datasource")
EVERYTHING: Final = models.VariableOption(selected=True, text="All", value="$__all")
TAG: Final = "anycast-edge"
HEIGHT: Final = 8


def rendered(board: Board) -> str:
    """The dashboard's file."""
    return str(JSONEncoder(sort_keys=True, indent=2).encode(_built(board))) + "\n"


def write(directory: Path) -> None:
    """Everything that is committed and made of tables."""
    for board in BOARDS:
        (directory / f"{board.uid}.json").write_text(rendered(board))
    (directory / RULES).write_text(rules_file(DEFAULT_RUNBOOKS))


def _built(board: Board) -> Any:
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.says)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_choice("site", f"label_values({UP}, site)"))
        .link(
            dashboard.DashboardLink("Edge")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    if board.per_node:
        chosen = f'{UP[:-1]}, site=~"$site"}}'
        built = built.with_variable(_choice("node", f"label_values({chosen}, node)"))
    ids = itertools.count(1)
    for row in board.rows:
        built = built.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            built = built.with_panel(_panel(panel).id(next(ids)))
    return built.build()


def _choice(name: str, query: str) -> Any:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .query(query)
        .datasource(DATASOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(EVERYTHING)
    )


def _panel(panel: Panel) -> Any:
    built = (
        _KINDS[panel.kind]()
        .title(panel.title)
        .description(panel.says)
        .datasource(DATASOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(HEIGHT)
        .thresholds(_thresholds(panel))
    )
    for name, query in zip(ascii_uppercase, panel.queries, strict=False):
        target = prometheus.Dataquery().ref_id(name).datasource(DATASOURCE)
        target = target.expr(query.expr).legend_format(query.legend)
        if panel.kind in ("number", "table"):
            target = target.instant().format(_format(panel))
        elif panel.kind == "heatmap":
            target = target.format(prometheus_models.PromQueryFormat.HEATMAP)
        built = built.with_target(target)
    return built


def _format(panel: Panel) -> Any:
    formats = prometheus_models.PromQueryFormat
    return formats.TABLE if panel.kind == "table" else formats.TIME_SERIES


def _thresholds(panel: Panel) -> Any:
    steps = [models.Threshold(value=None, color="green")]
    if panel.most is not None:
        steps.append(models.Threshold(value=panel.most / 2, color="yellow"))
        steps.append(models.Threshold(value=panel.most, color="red"))
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _lines() -> Any:
    legend = common.VizLegendOptions().show_legend(True)
    legend = legend.display_mode(common_models.LegendDisplayMode.LIST)
    legend = legend.placement(common_models.LegendPlacement.BOTTOM)
    return timeseries.Panel().min(0).fill_opacity(10).legend(legend)


def _stacked() -> Any:
    stacking = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
    return _lines().fill_opacity(30).stacking(stacking)


def _states() -> Any:
    return (
        statetimeline.Panel()
        .merge_values(True)
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    )


_KINDS: Final[Mapping[Kind, Callable[[], Any]]] = {
    "lines": _lines,
    "stacked": _stacked,
    "number": stat.Panel,
    "states": _states,
    "heatmap": lambda: heatmap.Panel().calculate(False),
    "table": table.Panel,
}


if __name__ == "__main__":
    write(Path(__file__).parent / "files")
