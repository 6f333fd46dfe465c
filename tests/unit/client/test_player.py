"""edge.client.player: what sounds, when, and what is made of what never came."""

from __future__ import annotations

import pytest

from edge.client import audio, speech
from edge.client.player import CHUNK_BYTES, Player, Sound, SoundDecoder
from edge.voice import Frame, FramesReceived, Playout

PACKETS = audio.read_speech(speech.recording("hello"))


class Ear:
    """A playout and a player that is told what it is told."""

    def __init__(self) -> None:
        self.playout = Playout(start_ms=120)
        self.player = Player(self.playout)

    def receive(self, item: int, seqs: range | list[int], now: float) -> None:
        frames = [Frame(item, seq, seq * 20, PACKETS[seq]) for seq in seqs]
        self.player.hear(FramesReceived(item, frames))
        self.playout.push(item, seqs[-1] + 1, now)

    def due(self, now: float) -> list[Sound]:
        self.playout.advance(now)
        return self.player.due(now)


def test_frames_sound_one_after_another_from_when_the_playout_starts() -> None:
    ear = Ear()
    ear.receive(1, range(5), 0.0)
    assert ear.due(0.05) == []
    ear.receive(1, range(5, 10), 0.1)
    assert [sound.at for sound in ear.due(0.1)] == pytest.approx([0.1])
    assert [sound.at for sound in ear.due(0.15)] == pytest.approx([0.12, 0.14])
    assert [sound.packet for sound in ear.due(0.3)] == PACKETS[3:10]


def test_what_sounded_is_reckoned_from_the_clock_however_late_one_asks() -> None:
    ear = Ear()
    ear.receive(1, range(10), 0.0)
    ear.playout.end(1, 0.0)
    assert [sound.at for sound in ear.due(0.2)] == pytest.approx([number * 0.02 for number in range(10)])


def test_an_underrun_is_silence() -> None:
    ear = Ear()
    ear.receive(1, range(10), 0.0)
    assert len(ear.due(0.5)) == 10
    ear.receive(1, range(10, 20), 1.0)
    assert [sound.at for sound in ear.due(1.0)] == pytest.approx([1.0])


def test_a_lost_frame_has_its_time_and_the_next_one_to_recover_it_from() -> None:
    ear = Ear()
    ear.receive(1, [0, 1, 2, 5, 6, 7], 0.0)
    sounds = ear.due(0.155)
    assert [sound.packet for sound in sounds] == [*PACKETS[:3], None, None, *PACKETS[5:8]]
    assert [sound.following for sound in sounds[3:5]] == [None, PACKETS[5]]
    decoder = SoundDecoder()
    assert {len(decoder.decode(sound)) for sound in sounds} == {CHUNK_BYTES}


def test_what_is_no_opus_is_made_up() -> None:
    decoder = SoundDecoder()
    assert len(decoder.decode(Sound(0.0, b"\xff" * 3, None))) == CHUNK_BYTES


def test_an_interrupted_item_never_sounds_on_when_the_next_one_does() -> None:
    ear = Ear()
    ear.receive(1, range(10), 0.0)
    ear.due(0.05)
    ear.player.interrupted()
    ear.playout.pause(0.05)
    ear.playout.flush(0.45)
    ear.receive(2, range(10), 0.5)
    assert [sound.packet for sound in ear.due(0.5)] == PACKETS[:1]


def test_an_interruption_that_is_taken_back_loses_nothing() -> None:
    ear = Ear()
    ear.receive(1, range(10), 0.0)
    heard = ear.due(0.05)
    ear.player.interrupted()
    ear.playout.pause(0.05)
    assert ear.due(0.2) == []
    ear.player.resumed()
    ear.playout.resume(0.2)
    ear.receive(1, range(10, 20), 0.2)
    ear.playout.end(1, 0.2)
    heard += ear.due(1.0)
    assert [sound.packet for sound in heard] == PACKETS[:20]


def test_items_follow_each_other_without_a_gap_in_what_is_told() -> None:
    ear = Ear()
    ear.receive(1, range(8), 0.0)
    ear.playout.end(1, 0.0)
    ear.receive(2, range(8), 0.1)
    sounds = ear.due(0.2)
    assert [sound.packet for sound in sounds] == PACKETS[:8] + PACKETS[:3]
    assert [sound.at for sound in sounds] == pytest.approx([number * 0.02 for number in range(11)])


def test_who_begins_to_listen_within_an_item_has_not_lost_its_beginning() -> None:
    ear = Ear()
    ear.receive(1, range(10), 0.0)
    late = Player(ear.playout)
    ear.player = late
    ear.playout.advance(0.1)
    ear.receive(1, range(10, 12), 0.1)
    ear.playout.advance(0.24)
    assert [sound.packet for sound in late.due(0.24)] == PACKETS[10:12]
