"""What `edgectl call` prints in the end."""

from __future__ import annotations

import msgspec

from edge.client.session_summary import Account, Timing
from edge.client.summary import CallSummary

NOT_MEASURED = "not measured"


def as_json(summary: CallSummary) -> str:
    return msgspec.json.format(msgspec.json.encode(summary.document())).decode()


def as_table(summary: CallSummary) -> str:
    last, agreed = summary.last, summary.sessions[-1]
    rows = [
        ("ending", summary.ending.replace("_", " ") + (f": {summary.reason}" if summary.reason else "")),
        ("node", last.node),
        ("path", last.path),
        ("carrier", last.carrier + (", spoken to early" if summary.legs[0].early_data else "")),
        ("deadlines", f"{_deadline(agreed.uplink_ms)} up, {_deadline(agreed.downlink_ms)} down"),
        ("handshake", _number(summary.handshake_ms, "ms")),
        ("migrated", f"after {_number(last.migration_ms, 'ms')}" if last.migrated else "no"),
        ("first audio", _number(summary.first_audio_ms, "ms")),
        ("round trip", _number(last.rtt_ms, "ms")),
        ("duration", _number(summary.duration_s, "s")),
        ("utterances", str(summary.utterances)),
        ("frames sent", str(summary.frames_sent)),
        ("  heard by edge", _number(summary.frames_heard_by_edge)),
        ("  lost", _number(summary.lost_up)),
        ("  missing", _number(summary.missing_up)),
        ("frames said by edge", _number(summary.frames_said_by_edge)),
        ("  received", str(summary.frames_received)),
        ("  lost", f"{summary.lost_down}, and {summary.late_down} late"),
        ("  missing", _number(summary.missing_down)),
        ("both ends agree", {True: "yes", False: "NO", None: NOT_MEASURED}[summary.ledgers_equal]),
        (
            "underruns",
            f"{summary.underruns}, {summary.underrun_ms} ms of silence ({summary.underrun_ratio:.1%})",
        ),
        ("reconnects", f"{summary.reconnects}, {summary.resumed} of them resumed"),
        *((f"answer {turn.item}", _turn(turn)) for turn in summary.turns),
        *(row for account in summary.barge_ins for row in _account(account)),
    ]
    return "\n".join(f"{name:<21}{value}" for name, value in rows)


def _turn(turn: Timing) -> str:
    return (
        f"backend {_number(turn.backend_ms, 'ms')}, wire {_number(turn.wire_ms, 'ms')},"
        f" played {_number(turn.played_ms, 'ms')} after the end of speech"
    )


def _account(account: Account) -> list[tuple[str, str]]:
    sum_up = "=" if account.adds_up else "IS NOT"
    within = "of" if account.within_lead else "MORE THAN"
    return [
        (
            f"answer {account.item} cut",
            f"at {account.played_ms / 1000:.2f} s, silent after {_number(account.cancel_ms, 'ms')}",
        ),
        (
            "  generated",
            f"{account.generated_bytes} bytes {sum_up} {account.wire_bytes} on the wire + {account.saved_bytes} saved",
        ),
        (
            "  wasted",
            f"{account.wasted_bytes} bytes, {account.wasted_ms} ms {within} the {account.allowed_ms} ms of lead and two groups",
        ),
    ]


def _deadline(value: int | None) -> str:
    return "none" if value is None else f"{value} ms"


def _number(value: float | None, unit: str = "") -> str:
    return NOT_MEASURED if value is None else f"{value:g} {unit}".rstrip()
