"""What is said: sentences spoken by flite, behind one another with pauses, as one stream of Opus packets.

Every system carries these same packets, 20 ms each at 24 kb/s with in-band FEC, so what differs is the way.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from edge.backend.opus import Decoder, Encoder
from edge.voice.frame import FRAME_MS

VOICE = "rms"
RATE_HZ = 16_000
FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2
PAUSE_FRAMES = 20
"""Before each sentence and behind the last; it is said like everything else, for a microphone stays open."""

SENTENCES = (
    "should i walk or drive to the car wash",
    "please tell me what the weather will be like tomorrow morning",
    "i would like to change the date of my flight to boston",
    "can you read me the last message that my sister sent",
    "turn off the lights in the kitchen and close the front door",
    "how long does it take to get from the airport to the hotel",
    "my phone number has changed since we talked last week",
    "find a good restaurant near the river that is open on sunday",
    "remind me to call the doctor when i get back to the office",
    "what time does the next train leave for the city",
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """``text`` is in ``packets``, which begin at frame ``first`` of the stream; ``pcm`` is what flite said."""

    text: str
    first: int
    packets: tuple[bytes, ...]
    pcm: bytes

    @property
    def end(self) -> int:
        return self.first + len(self.packets)


class Recordings(msgspec.Struct, frozen=True):
    """``packets`` is the stream; each of ``sentences`` is a part of it, with the pause before it."""

    sentences: tuple[Sentence, ...]
    packets: tuple[bytes, ...]

    @classmethod
    def made(cls, texts: tuple[str, ...] = SENTENCES) -> Self:
        """Raises RuntimeError without flite."""
        encoder, sentences, packets = Encoder(RATE_HZ), [], list[bytes]()
        for text in texts:
            pcm = bytes(PAUSE_FRAMES * FRAME_BYTES) + speak(text)
            spoken = encoder.encode(pcm)
            sentences.append(Sentence(text, len(packets), tuple(spoken), pcm))
            packets += spoken
        packets += encoder.encode(bytes(PAUSE_FRAMES * FRAME_BYTES))
        return cls(tuple(sentences), tuple(packets))

    @property
    def speech(self) -> list[bytes]:
        """The packets between the pauses."""
        return [packet for sentence in self.sentences for packet in sentence.packets[PAUSE_FRAMES:]]

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` has written."""
        return msgspec.msgpack.decode(path.read_bytes(), type=cls)

    def save(self, path: Path) -> None:
        path.write_bytes(msgspec.msgpack.encode(self))


def speak(text: str) -> bytes:
    """PCM at `RATE_HZ` in whole frames."""
    argv = ["flite", "-voice", VOICE, "-t", text, "-o", "/dev/stdout"]
    try:
        wav = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout
    except OSError as error:
        raise RuntimeError(f"flite: {error.strerror}; apt-get install flite") from error
    pcm = wav[44:]
    return pcm + bytes(-len(pcm) % FRAME_BYTES)


def hear(sentence: Sentence, there: tuple[bool, ...]) -> bytes:
    """PCM of a sentence of which only some packets are ``there``: the others are recovered or concealed."""
    decoder, pcm = Decoder(RATE_HZ), []
    for number, packet in enumerate(sentence.packets):
        if there[number]:
            pcm.append(decoder.decode(packet))
        elif number + 1 < len(there) and there[number + 1]:
            pcm.append(decoder.recover(sentence.packets[number + 1]))
        else:
            pcm.append(decoder.conceal())
    return b"".join(pcm)
