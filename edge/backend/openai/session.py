"""The backend's ``session``: what it is asked to be, and what it says it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

PCM_RATE_HZ: Final = 24_000
"""The protocol's only rate for PCM."""

_PCM = {"format": {"type": "audio/pcm", "rate": PCM_RATE_HZ}}
FIXED: Final[Mapping[str, Any]] = {"type": "realtime", "audio": {"input": _PCM, "output": _PCM}}
"""Nobody's to choose: it is what this adapter translates."""


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with what ``over`` says, table by table; null counts as said."""
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        merged[name] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """The backend listens for the end of a turn itself, after ``silence_ms`` of it."""

    creates_response: bool = True
    interrupts_response: bool = True
    silence_ms: int = 500


def turn_detection(session: Mapping[str, Any], otherwise: TurnDetection | None) -> TurnDetection | None:
    """What ``session`` says of it: None that there is none; ``otherwise`` if nothing."""
    value: Any = session
    for name in ("audio", "input", "turn_detection"):
        if not isinstance(value, Mapping) or name not in value:
            return otherwise
        value = value[name]
    if not isinstance(value, Mapping):
        return None
    silence_ms = value.get("silence_duration_ms")
    return TurnDetection(
        creates_response=value.get("create_response") is not False,
        interrupts_response=value.get("interrupt_response") is not False,
        silence_ms=min(silence_ms, 10_000) if isinstance(silence_ms, int) and silence_ms > 0 else 500,
    )
