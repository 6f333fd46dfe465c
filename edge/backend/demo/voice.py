"""The agent's voice: one `flite` process a sentence, encoded while it is being said."""

import array
import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from edge.backend.demo.sentences import Sentence
from edge.backend.demo.wire import RATE_HZ
from edge.backend.opus import Encoder
from edge.errors import EdgeError
from edge.voice.frame import FRAME_MS

VOICE = "rms"
PATIENCE_S = 10.0
"""Flite takes a fiftieth of the time that its speech takes to play."""
CHUNK_FRAMES = 25
KEPT_SENTENCES = 100

_FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2
_QUIET = 300
"""Of 32768; a frame without a louder sample is silence."""


class VoiceError(EdgeError):
    """Flite has failed."""


class Spoken:
    """One saying of a sentence: packets as fast as they are asked for."""

    def __init__(self, sentence: Sentence, chunks: AsyncIterator[list[bytes]]) -> None:
        self.sentence = sentence
        self._chunks = chunks

    async def more(self) -> list[bytes]:
        """The next half second; in the end nothing. There are as many packets as `Sentence.frames`."""
        return await anext(self._chunks, [])


class Voice:
    """Keeps what comes again."""

    def __init__(self, program: str = "flite") -> None:
        self._program = program
        self._kept: dict[str, tuple[Sentence, list[bytes]]] = {}

    async def speak(self, text: str, *, keep: bool) -> Spoken:
        """One sentence; ``keep`` its packets for the next time. Raises `VoiceError`."""
        if text in self._kept:
            sentence, packets = self._kept[text]
            return Spoken(sentence, self._again(packets))
        pcm = await self._synthesize(text)
        sentence = _measured(text, pcm)
        return Spoken(sentence, self._encoded(sentence, pcm, keep=keep))

    async def _again(self, packets: list[bytes]) -> AsyncIterator[list[bytes]]:
        for start in range(0, len(packets), CHUNK_FRAMES):
            yield packets[start : start + CHUNK_FRAMES]

    async def _encoded(self, sentence: Sentence, pcm: bytes, *, keep: bool) -> AsyncIterator[list[bytes]]:
        encoder, packets = Encoder(RATE_HZ), []
        size = CHUNK_FRAMES * _FRAME_BYTES
        for start in range(0, len(pcm), size):
            # In another thread: it takes 5 ms, and this one has other calls.
            chunk = await asyncio.to_thread(encoder.encode, pcm[start : start + size])
            packets += chunk
            yield chunk
        if keep:
            if len(self._kept) >= KEPT_SENTENCES:
                del self._kept[next(iter(self._kept))]
            self._kept[sentence.text] = sentence, packets

    async def _synthesize(self, text: str) -> bytes:
        """PCM of 16 kHz in whole frames."""
        argv = [self._program, "-voice", VOICE, "-t", text, "-o", "/dev/stdout"]
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(*argv, stdin=null, stdout=pipe, stderr=null)
        except OSError as error:
            raise VoiceError(f"{self._program}: {error.strerror}") from error
        try:
            async with asyncio.timeout(PATIENCE_S):
                wav, _ = await process.communicate()
        except TimeoutError as error:
            raise VoiceError(f"{self._program}: has not spoken within {PATIENCE_S:g} s") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise VoiceError(f"{self._program}: exit code {process.returncode}")
        return _pcm_of(wav)


def _pcm_of(wav: bytes) -> bytes:
    """The samples behind the 44 bytes of header that flite writes, filled up to whole frames."""
    if wav[:4] != b"RIFF" or wav[36:40] != b"data" or int.from_bytes(wav[24:28], "little") != RATE_HZ:
        raise VoiceError(f"flite: wrote no WAV of {RATE_HZ} Hz")
    pcm = wav[44:]
    if not pcm:
        raise VoiceError("flite: wrote no speech")
    return pcm + bytes(-len(pcm) % _FRAME_BYTES)


def _measured(text: str, pcm: bytes) -> Sentence:
    sounding = [index for index, loud in enumerate(_loud(pcm)) if loud] or [0]
    return Sentence(text, len(pcm) // _FRAME_BYTES, sounding[0], sounding[-1] + 1)


def _loud(pcm: bytes) -> Iterator[bool]:
    for start in range(0, len(pcm), _FRAME_BYTES):
        samples = array.array("h", pcm[start : start + _FRAME_BYTES])
        yield max(samples) >= _QUIET
