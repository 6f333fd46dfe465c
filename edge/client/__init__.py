"""The Python client: place a call, speak, listen, and know exactly what became of it.

    async with connect("voice.example") as call:
        await call.say(Path("question.wav"))
        await call.reply()
        summary = await call.hang_up()

Read `call` for what a call is, `leg` for one connection of it, `stack` for how a voice session rides on QUIC.
"""

from edge.client.call import Call, CallLost, connect
from edge.client.events import CallEvent, Ended, Migrated, Reconnected, Reconnecting
from edge.client.recording import Recording
from edge.client.summary import CallSummary, LegSummary

__all__ = [
    "Call",
    "CallEvent",
    "CallLost",
    "CallSummary",
    "Ended",
    "LegSummary",
    "Migrated",
    "Reconnected",
    "Reconnecting",
    "Recording",
    "connect",
]
