"""The adapter and its settings."""

from typing import Annotated

import msgspec

from edge.backend.base import BackendContext, settings_of
from edge.backend.line import Address, websocket_url
from edge.backend.opus import Rate
from edge.backend.pipecat.conversation import Conversation
from edge.backend.websocket import WebSocketBackend


class PipecatSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[backends.NAME]`` of the node's file.

    ``sample_rate`` is what the pipeline hears (its ``audio_in_sample_rate``), Hz; what it says may have another.
    ``rtvi``: tell it that its client is ready, which is what a bot waits for that greets.
    ``gap_ms`` without speech end what it says, where no message of the pipeline's does. ``silence_ms`` are added to
    an utterance: the pipeline finds the end of a turn by them. ``timeout_s`` is how long it may say nothing then.
    ``bitrate`` is that of the Opus it is heard in, bit/s.
    """

    url: str
    sample_rate: Rate = 16_000
    rtvi: bool = True
    gap_ms: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 1000
    silence_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 1000
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    bitrate: Annotated[int, msgspec.Meta(ge=6000, le=128_000)] = 24_000

    def __post_init__(self) -> None:
        """Raises `UsageError` before a node starts, rather than at its first call."""
        websocket_url(self.url)


class PipecatBackend(WebSocketBackend):
    """One call's connection to its pipeline. Raises `UsageError` if the settings cannot be right."""

    Settings = PipecatSettings

    def __init__(self, context: BackendContext) -> None:
        settings = settings_of(context, PipecatSettings)
        conversation = Conversation(
            sample_rate=settings.sample_rate,
            rtvi=settings.rtvi,
            gap_ms=settings.gap_ms,
            silence_ms=settings.silence_ms,
            timeout_s=settings.timeout_s,
            bitrate=settings.bitrate,
            first_item=context.first_item,
        )
        address = Address(str(websocket_url(settings.url)), settings.timeout_s)
        super().__init__(context, conversation, address)
