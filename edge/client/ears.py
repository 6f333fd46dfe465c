"""Everybody who follows what is heard in a call: listeners, players, recordings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from edge.client.feed import Feed
from edge.client.player import Player, SoundDecoder
from edge.client.recording import Recording, TwoWayRecording
from edge.voice import FRAME_MS, BargedIn, CallerEvent, CallerSession, Frame, FramesReceived, Underran


class Ears:
    """``session`` is the call's, now."""

    def __init__(self, session: Callable[[], CallerSession]) -> None:
        self.frames: Feed[Frame] = Feed()
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._recordings: list[Recording] = []
        self._two_way: list[tuple[TwoWayRecording, Player]] = []
        self._players: list[Player] = []

    def record(self) -> Recording:
        recording = Recording()
        self._recordings.append(recording)
        return recording

    def record_both(self) -> TwoWayRecording:
        recording, player = TwoWayRecording(self._loop.time()), Player(self._session().playout)
        self._two_way.append((recording, player))
        self._players.append(player)
        return recording

    async def pcm(self, goes_on: Callable[[], bool]) -> AsyncIterator[bytes]:
        """What sounds from now on, as it sounds."""
        player, decoder = Player(self._session().playout), SoundDecoder()
        self._players.append(player)
        try:
            while goes_on():
                self._session().handle_timer(self._loop.time())
                for sound in player.due(self._loop.time()):
                    yield decoder.decode(sound)
                await asyncio.sleep(FRAME_MS / 1000)
        finally:
            self._players.remove(player)

    # --- what happens ----------------------------------------------------------------------------------

    def said(self, packets: Sequence[bytes]) -> None:
        """By the caller, now."""
        for recording, _ in self._two_way:
            recording.say(packets, self._loop.time())

    def told(self, event: CallerEvent) -> None:
        """By the session."""
        match event:
            case FramesReceived(frames=frames):
                for frame in frames:
                    self.frames.publish(frame)
                for recording in self._recordings:
                    recording.hear(event)
                for player in self._players:
                    player.hear(event)
            case Underran():
                for recording in self._recordings:
                    recording.underrun(event)
            case BargedIn(account=account):
                for recording in self._recordings:
                    recording.interrupted(event)
                for player in self._players:
                    player.cut(account.item)
            case _:
                pass

    def settled(self) -> None:
        """Something may have begun to sound."""
        for recording, player in self._two_way:
            recording.hear(player.due(self._loop.time()))

    def interrupted(self) -> None:
        """By the caller, who hears nothing any more."""
        for player in self._players:
            player.interrupted()

    def resumed(self) -> None:
        for player in self._players:
            player.resumed()

    def began_anew(self) -> None:
        """There is another session, whose items count from 1 again."""
        for recording in self._recordings:
            recording.reconnected()
        for player in self._players:
            player.follow(self._session().playout)
