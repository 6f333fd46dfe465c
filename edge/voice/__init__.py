"""One call, `edge-voice/1`: pure, on any carrier, for either end.

Read `frame` for the unit, `wire` and `records` for the bytes, `control` for the vocabulary. Speech in one direction:
`groups` and `way` send it, `slots`, `units` and `reassembly` put it together again, `deadline` says how long that may
take. The edge's end is `session`, with `uplink` for what it hears, `downlink`, `lead` and `turns` for what it says,
`requests` for what it is asked, `gate` for what must wait and `patience` for what is too much. The caller's end is
`caller`, with `utterances` for what it says, `hearing`, `items`, `playout` and `reports` for what it hears. `base`
says how both are driven, `ledger` how they are compared.
"""

from edge.voice.actions import (
    Action,
    CloseSession,
    ExpireStream,
    ResetStream,
    SendControl,
    SendDatagram,
    SendStream,
    StopStream,
)
from edge.voice.anatomy import Turn
from edge.voice.barge_in import BargeIn
from edge.voice.caller import CallerSession
from edge.voice.deadline import DEFAULT_PRESET, PRESETS, Deadlines, Preset
from edge.voice.downlink import CHUNK_MS, RING_MS
from edge.voice.errors import Code, WireError
from edge.voice.events import (
    Account,
    AskedToMove,
    BargedIn,
    CallContinued,
    CallerEvent,
    CallerTranscript,
    ClientEvent,
    ControlReceived,
    DeadlinesAgreed,
    EdgeEvent,
    EdgeLeft,
    ErrorReceived,
    FramesHeard,
    FramesReceived,
    ItemDone,
    LeaveRequested,
    PlayoutReported,
    Presented,
    ReconnectRequested,
    ResponseCancelled,
    ResponseRequested,
    SessionReady,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    StatsReceived,
    StatsRequested,
    Transcript,
    Truncated,
    TurnTimed,
    Underran,
    UtteranceCleared,
    UtteranceCommitted,
)
from edge.voice.frame import (
    FRAME_MS,
    FRAMES_PER_GROUP,
    GROUP_MS,
    Codec,
    Frame,
)
from edge.voice.lead import DEFAULT_LEAD_MS, MAX_LEAD_MS, MIN_LEAD_MS, Lead
from edge.voice.ledger import FrameLedger, LedgerCount
from edge.voice.playout import Playout
from edge.voice.session import EdgeSession
from edge.voice.turns import RESUME_S
from edge.voice.uplink import UplinkLimits
from edge.voice.wire import PlayoutReport

ALPN = "edge-voice/1"

__all__ = [
    "ALPN",
    "CHUNK_MS",
    "DEFAULT_LEAD_MS",
    "DEFAULT_PRESET",
    "FRAMES_PER_GROUP",
    "FRAME_MS",
    "GROUP_MS",
    "MAX_LEAD_MS",
    "MIN_LEAD_MS",
    "PRESETS",
    "RESUME_S",
    "RING_MS",
    "Account",
    "Action",
    "AskedToMove",
    "BargeIn",
    "BargedIn",
    "CallContinued",
    "CallerEvent",
    "CallerSession",
    "CallerTranscript",
    "ClientEvent",
    "CloseSession",
    "Code",
    "Codec",
    "ControlReceived",
    "Deadlines",
    "DeadlinesAgreed",
    "EdgeEvent",
    "EdgeLeft",
    "EdgeSession",
    "ErrorReceived",
    "ExpireStream",
    "Frame",
    "FrameLedger",
    "FramesHeard",
    "FramesReceived",
    "ItemDone",
    "Lead",
    "LeaveRequested",
    "LedgerCount",
    "Playout",
    "PlayoutReport",
    "PlayoutReported",
    "Presented",
    "Preset",
    "ReconnectRequested",
    "ResetStream",
    "ResponseCancelled",
    "ResponseRequested",
    "SendControl",
    "SendDatagram",
    "SendStream",
    "SessionReady",
    "SessionUpdated",
    "SpeechStarted",
    "SpeechStopped",
    "StatsReceived",
    "StatsRequested",
    "StopStream",
    "Transcript",
    "Truncated",
    "Turn",
    "TurnTimed",
    "Underran",
    "UplinkLimits",
    "UtteranceCleared",
    "UtteranceCommitted",
    "WireError",
]
