"""The report as one picture: a row of three panels for each policy. The only module that needs matplotlib."""

from __future__ import annotations

import io
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from edge.overload import OverloadParams
from edge.simulate.outcome import Outcome, Report, Series

# Okabe and Ito's palette, which the colour-blind can tell apart.
GREEN, ORANGE, BLUE, SKY, VERMILION, GREY = "#009E73", "#E69F00", "#0072B2", "#56B4E9", "#D55E00", "#6E7781"
DARK: Final = "#24292F"

_STYLE: Final[Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "svg.hashsalt": "edge",  # names in the SVG are hashes, salted at random otherwise
}
_ROW_INCHES: Final = 1.75


def png(report: Report, overload: OverloadParams) -> bytes:
    return _saved(report, overload, format="png", dpi=100)


def svg(report: Report, overload: OverloadParams) -> str:
    """Only the ``<svg>`` element, to stand in a page."""
    text = _saved(report, overload, format="svg", metadata={"Date": None}).decode()
    return text[text.index("<svg") :]


def _saved(report: Report, overload: OverloadParams, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        _figure(report, overload).savefig(buffer, **options)
    return buffer.getvalue()


def _figure(report: Report, overload: OverloadParams) -> Figure:
    rows = len(report.policies)
    figure = Figure(figsize=(12, _ROW_INCHES * rows + 1.15), layout="constrained")
    panels = figure.subplots(rows, 3, sharex=True, sharey="col", squeeze=False)
    for row, outcome in zip(panels, report.policies, strict=True):
        _sites(row[0], outcome)
        _pressure(row[1], outcome.series, overload)
        _lost(row[2], outcome.series)
        for panel in row:
            _shade(panel, outcome.series)
            panel.set_xlim(0, report.hours)
            panel.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 3, 6, 10]))
            panel.margins(x=0)
            panel.grid(axis="y", color="#D8DEE4", linewidth=0.6)
            panel.set_axisbelow(True)
    for panel, title in zip(panels[0], ("Sites announced", "Pressure", "Callers lost"), strict=True):
        panel.set_title(title, pad=10)
    for panel in panels[-1]:
        panel.set_xlabel("hours")
    figure.suptitle(
        f"{report.title}: {report.sites:,} sites, mean load {report.offered_load:.2f} of capacity, seed {report.seed}",
        x=0.01,
        ha="left",
        fontsize=12,
        fontweight="bold",
    )
    _legend(figure, panels)
    return figure


def _sites(panel: Axes, outcome: Outcome) -> None:
    series = outcome.series
    panel.stackplot(
        series.hours,
        _percent(series.plain),
        _percent(series.depreferred),
        colors=[GREEN, ORANGE],
        labels=["announced", "de-preferred"],
        alpha=0.85,
        linewidth=0,
    )
    panel.set_ylim(0, 100)
    panel.set_ylabel(f"{outcome.policy}\n\n%", fontweight="bold")


def _pressure(panel: Axes, series: Series, overload: OverloadParams) -> None:
    panel.plot(series.hours, series.pressure_max, color=SKY, linewidth=0.8, label="highest")
    panel.plot(series.hours, series.pressure_95, color=BLUE, linewidth=1.0, label="95 % are below")
    panel.plot(series.hours, series.pressure_median, color=DARK, linewidth=1.2, label="median")
    for threshold in (overload.rise, overload.fall):
        panel.axhline(threshold, color=VERMILION, linewidth=0.7, linestyle=(0, (4, 3)))
    panel.set_ylim(0, 1.1)


def _lost(panel: Axes, series: Series) -> None:
    panel.fill_between(
        series.hours,
        _percent(series.dropped_ratio),
        color=VERMILION,
        linewidth=0,
        alpha=0.85,
        label="dropped",
    )
    panel.set_ylim(0, 100)
    panel.set_ylabel("%")


def _shade(panel: Axes, series: Series) -> None:
    """Where the whole service was dark."""
    panel.fill_between(
        series.hours,
        0,
        1,
        where=[part > 0 for part in series.service_dark],
        step="pre",
        transform=panel.get_xaxis_transform(),
        color=DARK,
        alpha=0.25,
        linewidth=0,
        label="nobody announces",
    )


def _legend(figure: Figure, panels: Any) -> None:
    """One for the whole figure: the handles of its first row, each once."""
    handles = {
        label: handle
        for panel in panels[0]
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    handles["thresholds"] = panels[0][1].lines[-1]
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower left", ncols=len(handles), frameon=False
    )


def _percent(ratios: list[float]) -> list[float]:
    return [100 * ratio for ratio in ratios]
