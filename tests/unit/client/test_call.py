"""edge.client.call: whole calls against a whole edge, on a network in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge.client import audio, speech
from edge.client.call import connect

PACKETS = audio.read_speech(speech.recording("hello"))
NAME = "voice.example"


def test_an_utterance_comes_back_frame_by_frame_and_the_ledgers_prove_it(world: Any) -> None:
    async def main() -> Any:
        edge = world.edge()
        async with connect(NAME, ca=world.authority.ca) as call:
            recording = call.record()
            await call.say(PACKETS)
            assert await call.reply()
            summary = await call.hang_up()
            assert recording.packets == PACKETS
        return summary

    summary = world.run(main)
    print(summary)
    assert summary.flawless
    assert 0
