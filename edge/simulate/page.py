"""The report as one HTML page that fetches nothing. Pure; the picture comes in as text."""

from __future__ import annotations

from html import escape

from edge.simulate.outcome import Report
from edge.simulate.summary import COLUMNS, row

STYLE = """
body{font:14px/1.5 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem;color:#1f2328}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;border-bottom:1px solid #d1d9e0;text-align:right}
td:first-child,th:first-child{text-align:left;font-weight:600}td{font-variant-numeric:tabular-nums}
svg{width:100%;height:auto}dt{font-weight:600;float:left;clear:left;width:10rem}dd{margin-left:10rem}
"""


def page(report: Report, picture: str) -> str:
    """``picture`` is an ``<svg>`` element."""
    heads = "".join(f"<th>{escape(column.name)}" for column in COLUMNS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}" for cell in row(outcome)) + "</tr>"
        for outcome in report.policies
    )
    meanings = "".join(
        f"<dt>{escape(column.name)}</dt><dd>{escape(column.meaning)}</dd>" for column in COLUMNS
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(report.title)}</title>'
        f"<style>{STYLE}</style><h1>{escape(report.title)}</h1><p>{escape(report.about)}</p>"
        f"<p>{report.sites:,} sites, {report.nodes:,} nodes, {report.populations:,} populations; {report.hours:g} h in "
        f"steps of {report.step_s:g} s; capacity {report.capacity:,.0f} calls, mean load {report.offered_load:.2f} of "
        f"it; seed {report.seed}.</p><table><tr>{heads}</tr>{rows}</table>{picture}<dl>{meanings}</dl></html>\n"
    )
