"""How the demo agent takes turns: its table in the node's file, and what a caller may change of it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

SilenceMs = Annotated[int, msgspec.Meta(ge=200, le=5000)]


class DemoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[backends.demo]`` of the node's file."""

    turn_detection: Literal["server_vad", "none"] = "server_vad"
    """With "none" only a commit ends the caller's turn."""
    silence_ms: SilenceMs = 600
    """This much silence ends it otherwise. Sentences of one turn lie up to 450 ms apart."""
    barge_in: bool = True
    """The agent stops when the caller speaks over it. Without, it does not listen while it speaks: for callers whose
    microphone hears their loudspeaker."""


class _Detection(msgspec.Struct, frozen=True):
    type: Literal["server_vad"] = "server_vad"
    silence_duration_ms: SilenceMs | None = None
    interrupt_response: bool | None = None


class _Input(msgspec.Struct, frozen=True):
    turn_detection: _Detection | msgspec.UnsetType | None = msgspec.UNSET


class _Audio(msgspec.Struct, frozen=True):
    input: _Input = _Input()


class _Session(msgspec.Struct, frozen=True):
    audio: _Audio = _Audio()


def updated(settings: DemoSettings, session: Mapping[str, Any]) -> DemoSettings:
    """``settings`` with what ``session`` of a ``session.update`` says of turns; all else in it is not for this agent.

    The field is ``audio.input.turn_detection``: null is "none". Raises `msgspec.ValidationError` that says where.
    """
    detection = msgspec.convert(session, _Session).audio.input.turn_detection
    if detection is msgspec.UNSET:
        return settings
    if detection is None:
        return msgspec.structs.replace(settings, turn_detection="none")
    silence_ms, barge_in = detection.silence_duration_ms, detection.interrupt_response
    return DemoSettings(
        silence_ms=settings.silence_ms if silence_ms is None else silence_ms,
        barge_in=settings.barge_in if barge_in is None else barge_in,
    )
