"""One call, `edge-voice/1`: pure, on any carrier, for either end.

Read `frame` for the unit, `wire` and `records` for the bytes, `control` for the vocabulary; then the edge's
end (`session`, with `uplink`, `downlink` and `lead`) and the caller's (`caller`, with `groups`, `items` and
`playout`). `base` says how both are driven. `ledger` is how their ends are compared.
"""

from edge.voice.actions import (
    Action,
    CloseSession,
    ResetStream,
    SendControl,
    SendDatagram,
    SendStream,
    StopStream,
)
from edge.voice.caller import CallerSession
from edge.voice.downlink import CHUNK_MS, RING_MS
from edge.voice.errors import Code, WireError
from edge.voice.events import (
    CallerEvent,
    ControlReceived,
    EdgeEvent,
    ErrorReceived,
    FramesHeard,
    FramesReceived,
    ItemDone,
    PlayoutReported,
    ResponseCancelled,
    ResponseRequested,
    SessionReady,
    SessionUpdated,
    StatsReceived,
    StatsRequested,
    Transcript,
    Underran,
    UtteranceCommitted,
)
from edge.voice.frame import FRAME_MS, FRAMES_PER_GROUP, GROUP_MS, Codec, Frame
from edge.voice.lead import DEFAULT_LEAD_MS, MAX_LEAD_MS, MIN_LEAD_MS
from edge.voice.ledger import FrameLedger, LedgerCount
from edge.voice.playout import Playout
from edge.voice.session import EdgeSession
from edge.voice.uplink import UplinkLimits
from edge.voice.wire import PlayoutReport

ALPN = "edge-voice/1"

__all__ = [
    "ALPN",
    "CHUNK_MS",
    "DEFAULT_LEAD_MS",
    "FRAMES_PER_GROUP",
    "FRAME_MS",
    "GROUP_MS",
    "MAX_LEAD_MS",
    "MIN_LEAD_MS",
    "RING_MS",
    "Action",
    "CallerEvent",
    "CallerSession",
    "CloseSession",
    "Code",
    "Codec",
    "ControlReceived",
    "EdgeEvent",
    "EdgeSession",
    "ErrorReceived",
    "Frame",
    "FrameLedger",
    "FramesHeard",
    "FramesReceived",
    "ItemDone",
    "LedgerCount",
    "Playout",
    "PlayoutReport",
    "PlayoutReported",
    "ResetStream",
    "ResponseCancelled",
    "ResponseRequested",
    "SendControl",
    "SendDatagram",
    "SendStream",
    "SessionReady",
    "SessionUpdated",
    "StatsReceived",
    "StatsRequested",
    "StopStream",
    "Transcript",
    "Underran",
    "UplinkLimits",
    "UtteranceCommitted",
    "WireError",
]
