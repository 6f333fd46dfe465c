"""Three pictures, one for each part."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from voice.barge_in import Interruption
from voice.measures import Delivery, FirstAudio

mpl.use("Agg")
import matplotlib.pyplot as plt

INK, FAINT = "#1f2933", "#d9dee4"
OURS, PEERS = ("#0b6e99", "#2a9fc4", "#7cc5dc", "#b7e0ec"), ("#c4512d", "#e39a76", "#b8a16b")
DPI = 110


def draw(
    folder: Path,
    first: Sequence[FirstAudio],
    speech: Sequence[Delivery],
    interruptions: Sequence[Interruption],
) -> list[Path]:
    """Write them; where."""
    with plt.rc_context(
        {
            "font.size": 9,
            "axes.edgecolor": FAINT,
            "axes.labelcolor": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "figure.constrained_layout.use": True,
        }
    ):
        drawn = {
            "first-audio": _first_audio(first),
            "speech": _speech(speech),
            "barge-in": _barge_in(interruptions),
        }
    paths = []
    for name, figure in drawn.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI)
        plt.close(figure)
    return paths


def _first_audio(measured: Sequence[FirstAudio]) -> plt.Figure:
    rows = [row for row in measured if not row.problem]
    systems = list(dict.fromkeys(row.system for row in rows))
    rtts = sorted({row.rtt_ms for row in rows})
    figure, axes = plt.subplots(
        1, len(rtts), figsize=(9, 0.36 * len(systems) + 1.1), sharey=True, squeeze=False
    )
    for axis, rtt_ms in zip(axes[0], rtts, strict=True):
        for row in rows:
            if row.rtt_ms == rtt_ms:
                at = len(systems) - systems.index(row.system)
                color = OURS[0] if row.system.startswith("edge") else PEERS[0]
                axis.barh(at, row.median_ms, color=color, height=0.62)
                axis.plot([row.low_ms, row.high_ms], [at, at], color=INK, linewidth=1)
                axis.annotate(
                    f"{row.rtts:.2f} RTT",
                    (row.high_ms, at),
                    (4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=7.5,
                )
        axis.set_title(f"{rtt_ms:g} ms round trip", fontsize=9)
        axis.margins(x=0.22)
        axis.grid(axis="x", color=FAINT, linewidth=0.6)
        axis.tick_params(length=0)
    figure.supxlabel("ms until the first audio is at the server", fontsize=9)
    axes[0][0].set_yticks(range(len(systems), 0, -1), systems)
    return figure


def _speech(measured: Sequence[Delivery]) -> plt.Figure:
    rows = [row for row in measured if not row.problem]
    systems = list(dict.fromkeys(row.system for row in rows))
    losses = sorted({row.loss for row in rows})
    ours, peers = iter(OURS), iter(PEERS)
    colors = {system: next(ours if system.startswith("edge") else peers) for system in systems}
    figure, (words, latency) = plt.subplots(1, 2, figsize=(9, 3.6))
    for system in systems:
        mine = sorted((row for row in rows if row.system == system), key=lambda row: row.loss)
        line = {"color": colors[system], "marker": "o", "markersize": 4, "label": system}
        if not system.startswith("edge"):
            line["linestyle"] = "--"
        words.plot([100 * row.loss for row in mine], [100 * row.word_error_rate for row in mine], **line)
        latency.plot([100 * row.loss for row in mine], [max(1.0, row.added_p95_ms) for row in mine], **line)
    words.set_ylabel("words that are misunderstood, %")
    latency.set_ylabel("latency added, 95th percentile, ms")
    latency.set_yscale("log")
    for axis in (words, latency):
        axis.set_xlabel("lost, in bursts of 60 ms on average, %")
        axis.set_xticks([100 * loss for loss in losses])
        axis.grid(color=FAINT, linewidth=0.6)
        axis.tick_params(length=0, which="both")
    words.legend(frameon=False, fontsize=7.5)
    return figure


def _barge_in(measured: Sequence[Interruption]) -> plt.Figure:
    figure, axis = plt.subplots(figsize=(9, 0.36 * len(measured) + 1.1))
    for number, row in enumerate(reversed(measured)):
        color = OURS[0] if row.system.startswith("edge") else PEERS[0]
        axis.barh(number, row.wasted_bytes / 1000, color=color, height=0.62)
        axis.annotate(
            f"{row.wasted_ms / 1000:.2f} s of speech",
            (row.wasted_bytes / 1000, number),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
        )
    axis.set_yticks(range(len(measured)), [row.system for row in reversed(measured)])
    axis.set_xlabel("kB on the wire that nobody hears, when a reply is interrupted")
    axis.margins(x=0.15)
    axis.grid(axis="x", color=FAINT, linewidth=0.6)
    axis.tick_params(length=0)
    return figure
