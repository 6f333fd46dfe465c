"""The tables, the targets and the summary's rows, out of the figures."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from voice.barge_in import Interruption
from voice.first_audio import QUIC, WEBRTC, WSS, ZERO_RTT
from voice.measures import Delivery, FirstAudio

from edge.voice import GROUP_MS

CHAT = "edge chat (500 ms)"
NOT_DELIVERED = "not delivered"

MOST_RTTS = {QUIC: 1.7, ZERO_RTT: 0.75}
LEAST_RATIO = {WEBRTC: 2.5, WSS: 1.8}
MOST_ADDED_P95_MS = 200.0
TARGET_LOSS = 0.1


# --- tables ----------------------------------------------------------------------------------------------


def first_audio_table(measured: Sequence[FirstAudio]) -> str:
    header = ("first audio at the server", "RTT ms", "median ms", "RTTs", "lowest", "highest", "n")
    return aligned(
        header,
        (
            (
                row.system,
                f"{row.rtt_ms:g}",
                f"{row.median_ms:.1f}",
                f"{row.rtts:.2f}",
                f"{row.low_ms:.1f}",
                f"{row.high_ms:.1f}",
                str(row.repetitions),
            )
            if not row.problem
            else (row.system, f"{row.rtt_ms:g}", NOT_DELIVERED, "", "", "", str(row.repetitions))
            for row in measured
        ),
    )


def speech_table(measured: Sequence[Delivery]) -> str:
    header = ("speech", "loss", "measured", "frames lost", "added p50", "p95", "p99 ms", "WER", "PESQ")
    return aligned(
        header,
        (
            (
                row.system,
                f"{row.loss:.0%}",
                f"{row.loss_up:.1%}",
                f"{row.lost} of {row.frames}",
                f"{row.added_p50_ms:.0f}",
                f"{row.added_p95_ms:.0f}",
                f"{row.added_p99_ms:.0f}",
                f"{row.word_error_rate:.1%}",
                "-" if row.pesq is None else f"{row.pesq:.2f}",
            )
            if not row.problem
            else (row.system, f"{row.loss:.0%}", f"{row.loss_up:.1%}", NOT_DELIVERED, *[""] * 5)
            for row in measured
        ),
    )


def barge_in_table(measured: Sequence[Interruption]) -> str:
    header = (
        "interrupted",
        "played ms",
        "generated",
        "wire",
        "wasted",
        "that is ms",
        "saved",
        "cancel ms",
        "exact",
    )
    return aligned(
        header,
        (
            (
                row.system,
                str(row.played_ms),
                str(row.generated_bytes),
                str(row.wire_bytes),
                str(row.wasted_bytes),
                str(row.wasted_ms),
                str(row.saved_bytes),
                "-" if row.cancel_ms is None else f"{row.cancel_ms:.0f}",
                "yes" if row.exact else "NO",
            )
            for row in measured
        ),
    )


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns: the first to the left, the others to the right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in cells
    )


# --- targets ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """What was set out to be reached, and what was."""

    what: str
    wanted: str
    measured: str
    met: bool


def targets(
    first: Sequence[FirstAudio], speech: Sequence[Delivery], interruptions: Sequence[Interruption]
) -> list[Target]:
    return [*_first_audio_targets(first), *_speech_targets(speech), *_barge_in_targets(interruptions)]


def targets_table(judged: Sequence[Target]) -> str:
    return aligned(
        ("target", "wanted", "measured", ""),
        ((one.what, one.wanted, one.measured, "met" if one.met else "MISSED") for one in judged),
    )


def _first_audio_targets(measured: Sequence[FirstAudio]) -> Iterator[Target]:
    by_system = {(row.system, row.rtt_ms): row for row in measured if not row.problem}
    for rtt_ms in sorted({row.rtt_ms for row in measured}):
        for system, most in MOST_RTTS.items():
            row = by_system.get((system, rtt_ms))
            rtts = f"{row.rtts:.2f} RTT" if row else NOT_DELIVERED
            met = row is not None and row.rtts <= most
            yield Target(f"{system} at {rtt_ms:g} ms", f"<= {most:g} RTT", rtts, met)
        ours = by_system.get((QUIC, rtt_ms))
        for peer, least in LEAST_RATIO.items():
            theirs = by_system.get((peer, rtt_ms))
            ratio = theirs.median_ms / ours.median_ms if ours and theirs else 0.0
            what = f"{QUIC} sooner than {peer} at {rtt_ms:g} ms"
            yield Target(what, f">= {least:g}x", f"{ratio:.2f}x" if ratio else NOT_DELIVERED, ratio >= least)


def _speech_targets(measured: Sequence[Delivery]) -> Iterator[Target]:
    for row in measured:
        if (row.system, row.loss) == (CHAT, TARGET_LOSS):
            delivered = not row.problem
            what = f"{CHAT} at {TARGET_LOSS:.0%} bursty loss"
            lost = f"{row.lost} lost" if delivered else NOT_DELIVERED
            yield Target(what, "0 frames lost", lost, delivered and row.lost == 0)
            p95 = f"p95 {row.added_p95_ms:.0f} ms" if delivered else NOT_DELIVERED
            met = delivered and row.added_p95_ms < MOST_ADDED_P95_MS
            yield Target(what, f"added p95 < {MOST_ADDED_P95_MS:g} ms", p95, met)


def _barge_in_targets(measured: Sequence[Interruption]) -> Iterator[Target]:
    for row in measured:
        if row.cancel_ms is None:  # not ours
            continue
        yield Target(row.system, "every byte accounted for", "yes" if row.exact else "no", row.exact)
        if row.lead_ms is not None:
            most_ms = row.lead_ms + 2 * GROUP_MS
            met = row.wasted_ms <= most_ms
            yield Target(row.system, f"wasted <= {most_ms} ms", f"{row.wasted_ms} ms", met)


# --- rows ------------------------------------------------------------------------------------------------


def summary_rows(
    first: Sequence[FirstAudio], speech: Sequence[Delivery], interruptions: Sequence[Interruption]
) -> Iterator[dict[str, Any]]:
    """The medians of part (a), the added p95 of part (b) and the waste of part (c), as rows of `run.py`."""
    for one in first:
        yield {
            "group": f"voice: first audio, {one.rtt_ms:g} ms RTT",
            "name": one.system,
            "value": one.median_ms if not one.problem else 0.0,
            "unit": "ms",
            "delivered": not one.problem,
            "relative_to": None if one.system == QUIC else QUIC,
            "note": one.problem or f"{one.rtts:.2f} RTT; {one.low_ms:.0f} to {one.high_ms:.0f}",
        }
    for cell in speech:
        yield {
            "group": f"voice: added latency p95, {cell.loss:.0%} loss",
            "name": cell.system,
            "value": cell.added_p95_ms if not cell.problem else 0.0,
            "unit": "ms",
            "delivered": not cell.problem,
            "relative_to": None,
            "note": cell.problem or f"{cell.lost} of {cell.frames} lost, WER {cell.word_error_rate:.1%}",
        }
    for stop in interruptions:
        yield {
            "group": "voice: wasted by an interruption",
            "name": stop.system,
            "value": float(stop.wasted_bytes),
            "unit": "bytes",
            "delivered": stop.exact,
            "relative_to": None,
            "note": f"{stop.wasted_ms} ms of speech" if stop.exact else "the account is not exact",
        }
