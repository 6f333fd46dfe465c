"""From the engine's events to ours: those that mean the same on both ends."""

from collections.abc import Callable, Mapping
from typing import Any

from aioquic.quic import events as engine

from edge.quic.events import (
    DatagramReceived,
    Event,
    SendingStopped,
    StreamDataReceived,
    StreamReset,
)

TRANSLATIONS: Mapping[type[engine.QuicEvent], Callable[[int, Any], Event]] = {
    engine.StreamDataReceived: lambda handle, event: StreamDataReceived(
        handle, event.stream_id, event.data, event.end_stream
    ),
    engine.StreamReset: lambda handle, event: StreamReset(handle, event.stream_id, event.error_code),
    engine.StopSendingReceived: lambda handle, event: SendingStopped(
        handle, event.stream_id, event.error_code
    ),
    engine.DatagramFrameReceived: lambda handle, event: DatagramReceived(handle, event.data),
}
