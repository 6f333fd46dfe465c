"""Opus <-> PCM with real speech: lengths, holes, what FEC brings back, and packets that are nonsense."""

import array
import math
import random
from collections.abc import Iterable

import pytest

from edge.backend import libopus, story
from edge.backend.opus import CONCEALED_FRAMES, Decoder, Encoder, OpusError, Rate
from edge.backend.opusfile import read_packets
from edge.client import speech
from edge.errors import UsageError
from edge.voice import FRAME_MS, Codec, Frame

RATE: Rate = 16_000
SAMPLES = RATE * FRAME_MS // 1000
FRAME_BYTES = SAMPLES * 2
LOUD = 1000  # RMS of 32768: a voiced frame of speech at -20 dB


def pcm_of(packets: Iterable[bytes], rate_hz: Rate = RATE) -> bytes:
    decoder = Decoder(rate_hz)
    return b"".join(decoder.decode(packet) for packet in packets)


def samples_of(pcm: bytes) -> "array.array[int]":
    return array.array("h", pcm)


def energy(pcm: bytes) -> int:
    return sum(sample * sample for sample in samples_of(pcm))


def level(pcm: bytes) -> float:
    return math.sqrt(energy(pcm) / SAMPLES)


def likeness(pcm: bytes, original: bytes) -> float:
    """Correlation: 1 is the same waveform, 0 has nothing to do with it."""
    product = sum(a * b for a, b in zip(samples_of(pcm), samples_of(original), strict=True))
    return product / (math.sqrt(energy(pcm) * energy(original)) or 1)


def frames_of(packets: list[bytes], utterance: int = 1) -> list[Frame]:
    return [Frame(utterance, seq, seq * FRAME_MS, packet) for seq, packet in enumerate(packets)]


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 24_000, 48_000])
def test_every_rate_gives_frames_of_20_ms(rate_hz: Rate) -> None:
    packet = read_packets(speech.recording("hello"))[50]
    decoder = Decoder(rate_hz)
    size = rate_hz // 50 * 2
    assert len(decoder.decode(packet)) == len(decoder.conceal()) == len(decoder.recover(packet)) == size
    assert len(Encoder(rate_hz).encode(bytes(size * 3))) == 3


@pytest.mark.parametrize("rate_hz", [11_025, 0, -1])
def test_a_rate_that_opus_does_not_know_is_refused(rate_hz: int) -> None:
    for make in (Decoder, Encoder):
        with pytest.raises(OpusError, match="libopus: invalid argument"):
            make(rate_hz)  # type: ignore[arg-type]


@pytest.mark.parametrize("sizes", [[1], [7, 639, 641], [FRAME_BYTES], [FRAME_BYTES * 4 - 2], [100_000]])
def test_the_packets_do_not_depend_on_how_the_speech_was_cut(sizes: list[int]) -> None:
    pcm = pcm_of(read_packets(speech.recording("hello"))[40:65])[:-100]
    whole = Encoder(RATE)
    expected = whole.encode(pcm) + whole.flush()
    encoder, packets = Encoder(RATE), []
    while pcm:
        size = sizes[len(packets) % len(sizes)]
        packets += encoder.encode(pcm[:size])
        pcm = pcm[size:]
    assert packets + encoder.flush() == expected
    assert encoder.flush() == []


def test_flushing_says_the_last_of_it_and_begins_anew() -> None:
    """A click in the last two milliseconds would stay within the encoder's lookahead."""
    silence, click = bytes(FRAME_BYTES * 10 - 64), array.array("h", [20_000] * 32).tobytes()
    encoder = Encoder(RATE)
    first = encoder.encode(silence + click) + encoder.flush()
    decoded = pcm_of(first)
    assert max(map(abs, samples_of(decoded[FRAME_BYTES * 10 :]))) > 2000
    assert encoder.encode(silence + click) + encoder.flush() == first


def test_speech_comes_through_at_its_bitrate_and_its_level() -> None:
    pcm = pcm_of(story.recording()[:500])
    for bitrate in (12_000, 24_000):
        encoder = Encoder(RATE, bitrate=bitrate)
        packets = encoder.encode(pcm) + encoder.flush()
        # Variable bitrate around the target; speech with pauses stays below.
        assert 0.7 * bitrate < sum(map(len, packets)) * 8 / (len(packets) * 0.02) < 1.15 * bitrate
        assert energy(pcm_of(packets)) == pytest.approx(energy(pcm), rel=0.15)


def test_fec_brings_a_lost_packet_back_where_concealment_guesses() -> None:
    """Every seventh packet is lost. Over the voiced ones the copy is near the original's waveform (0.96 measured);
    concealment, which can only go on as before, is far (0.69). 0.85 and 0.15 leave room for other versions of libopus."""
    encoder = Encoder(RATE)
    packets = encoder.encode(pcm_of(story.recording()[:700]))
    whole, fec, plc = Decoder(RATE), Decoder(RATE), Decoder(RATE)
    originals = [whole.decode(packet) for packet in packets]
    recovered, concealed = [], []
    for index, (packet, original) in enumerate(zip(packets[:-1], originals, strict=False)):
        if index % 7 != 3:
            fec.decode(packet)
            plc.decode(packet)
            continue
        pair = fec.recover(packets[index + 1]), plc.conceal()
        if level(original) > LOUD:
            recovered.append(likeness(pair[0], original))
            concealed.append(likeness(pair[1], original))
    assert len(recovered) > 30
    mean = sum(recovered) / len(recovered)
    assert mean > 0.85
    assert mean > sum(concealed) / len(concealed) + 0.15


def test_without_fec_there_is_nothing_to_recover() -> None:
    """The setting reaches libopus: packets are other ones, and a recovery is a concealment."""
    pcm = pcm_of(read_packets(speech.recording("hello"))[:80])
    packets = Encoder(RATE, fec=False).encode(pcm)
    assert packets != Encoder(RATE).encode(pcm)
    fec, plc = Decoder(RATE), Decoder(RATE)
    for packet in packets[:60]:
        fec.decode(packet)
        plc.decode(packet)
    assert fec.recover(packets[61]) == plc.conceal()


def test_concealment_goes_on_as_before_and_fades() -> None:
    packets = read_packets(speech.recording("hello"))
    decoder = Decoder(RATE)
    loud = next(index for index, packet in enumerate(packets) if level(decoder.decode(packet)) > 2 * LOUD)
    concealed = [level(decoder.conceal()) for _ in range(50)]
    assert concealed[0] > LOUD, f"frame {loud + 1} is not concealed"
    assert max(concealed[-10:]) < concealed[0] / 10


def test_holes_are_filled_so_that_time_goes_on() -> None:
    """One hole inside a batch, one between two batches, one at an utterance's start."""
    frames = frames_of(Encoder(RATE).encode(pcm_of(story.recording()[:60])))
    decoder = Decoder(RATE)
    assert len(decoder.decode_frames(frames[:10] + frames[11:20])) == 20 * FRAME_BYTES
    assert len(decoder.decode_frames(frames[23:30])) == 10 * FRAME_BYTES
    assert decoder.decode_frames([]) == b""
    second = frames_of([frame.payload for frame in frames], utterance=2)
    assert len(decoder.decode_frames(second[5:10])) == 10 * FRAME_BYTES


def test_the_last_frame_of_a_hole_is_recovered_from_the_packet_behind_it() -> None:
    packets = Encoder(RATE).encode(pcm_of(story.recording()[:60]))
    frames = frames_of(packets)
    by_hand, decoder = Decoder(RATE), Decoder(RATE)
    expected = b"".join(map(by_hand.decode, packets[:30]))
    expected += by_hand.conceal() + by_hand.recover(packets[32]) + by_hand.decode(packets[32])
    assert decoder.decode_frames([*frames[:30], frames[32]]) == expected


def test_no_hole_costs_more_than_a_second() -> None:
    packet = story.recording()[0]
    pcm = Decoder(RATE).decode_frames([Frame(1, 2**60, 0, packet)])
    assert len(pcm) == (CONCEALED_FRAMES + 1) * FRAME_BYTES


def test_a_frame_that_comes_again_moves_nothing() -> None:
    frames = frames_of(list(story.recording()[:5]))
    assert len(Decoder(RATE).decode_frames([*frames, frames[2]])) == 6 * FRAME_BYTES


@pytest.mark.parametrize(
    "packet,problem",
    [
        (b"\xff" * 40, "corrupted"),
        (bytes([0x03]), "corrupted"),
        (bytes([0b11110000]) + bytes(30), "a packet of 10 ms; wanted is 20"),
        (bytes([0b00011000]) + bytes(30), "buffer too small"),  # 60 ms
    ],
    ids=["noise", "no frames", "10 ms", "60 ms"],
)
def test_what_is_not_a_packet_of_20_ms_is_an_error_and_in_a_call_a_lost_frame(
    packet: bytes, problem: str
) -> None:
    decoder = Decoder(RATE)
    with pytest.raises(OpusError, match=problem):
        decoder.decode(packet)
    good = story.recording()[:3]
    frames = [*frames_of([*good, packet]), Frame(1, 6, 120, packet), Frame(1, 7, 140, good[2])]
    assert len(decoder.decode_frames(frames)) == 8 * FRAME_BYTES


def test_ten_thousand_random_packets_are_errors_or_frames() -> None:
    dice = random.Random(4)
    good = story.recording()
    decoder = Decoder(RATE)
    for _ in range(10_000):
        packet = bytearray(dice.choice(good))
        for _ in range(dice.choice((0, 1, 5))):
            packet[dice.randrange(len(packet))] = dice.randrange(256)
        frame = Frame(1, decoder._seq + dice.choice((0, 0, 1, 2)), 0, bytes(packet[: dice.randint(1, 90)]))
        assert len(decoder.decode_frames([frame])) in (FRAME_BYTES, 2 * FRAME_BYTES, 3 * FRAME_BYTES)


def test_another_codec_is_concealed() -> None:
    pcmu = Frame(1, 0, 0, bytes([0xFF]) * 160, Codec.PCMU)
    assert Decoder(RATE).decode_frames([pcmu]) == bytes(FRAME_BYTES)


def test_the_library_is_the_one_that_came_with_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh Debian has no libopus; a machine that has one may have it of any age."""
    assert next(libopus._places()).rpartition("/")[0].endswith("/site-packages/av.libs")
    assert libopus.version().startswith("libopus 1.")
    monkeypatch.setattr(libopus, "_places", lambda: iter(["/nowhere/libopus.so.0"]))
    with pytest.raises(UsageError, match="libopus: not found; install PyAV's wheel"):
        libopus._load()
