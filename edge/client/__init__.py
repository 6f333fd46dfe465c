"""The Python client: place a call, speak, listen, and know exactly what became of it.

    async with connect("voice.example") as call:
        await call.say(Path("question.wav"))
        await call.reply()
        summary = await call.hang_up()

Read `call` for what a call is, `lifeline` for what keeps it up, with `scouting` for when it may be lost and `moving` for
when it is asked elsewhere, `conversation` for one session of it and `driven` for what that rides on, `leg` for one
connection, `dialing` for how that comes about.
"""

from edge.client.call import Call
from edge.client.connecting import connect
from edge.client.events import CallEvent, Ended, Migrated, Moved, Reconnected, Reconnecting
from edge.client.lifeline import CallLost, CallRefused, SpeechLost
from edge.client.recording import Recording, TwoWayRecording
from edge.client.session_summary import SessionSummary
from edge.client.summary import CallSummary, LegSummary, Move

__all__ = [
    "Call",
    "CallEvent",
    "CallLost",
    "CallRefused",
    "CallSummary",
    "Ended",
    "LegSummary",
    "Migrated",
    "Move",
    "Moved",
    "Reconnected",
    "Reconnecting",
    "Recording",
    "SessionSummary",
    "SpeechLost",
    "TwoWayRecording",
    "connect",
]
