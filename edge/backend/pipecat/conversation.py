"""The conversation with a pipeline: its speech as items, which it does not mark, and the caller's with a silence behind.

A pipeline's transport paces what it says to real time by itself, so nothing of it gets ahead of the caller's playing,
and an interruption wastes next to nothing whoever notices it. What it sends is one endless voice. Here an item begins
with the first audio after it was silent, and ends

    with the message ``bot-stopped-speaking``, from a pipeline that speaks RTVI, or
    after a gap without audio: a pause within an answer that is longer than that makes two items of it, or
    with an `Interruption`, the pipeline's own or ours.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from edge.backend.base import (
    BackendInput,
    BackendReply,
    Cancelled,
    ClientEvent,
    Committed,
    Control,
    Failed,
    Interrupted,
    ItemBegun,
    ItemEnded,
    ResponseRequested,
    SpeechStarted,
    SpeechStopped,
)
from edge.backend.dialect import MAX_TEXT, Message, Outbox, control, nonsense
from edge.backend.opus import Decoder, Rate
from edge.backend.pipecat import frames, messages
from edge.backend.speaker import Speaker
from edge.voice.control_base import item_id, response_id
from edge.voice.frame import FRAME_MS, Frame

_SAMPLE_BYTES = 2
_RATES: dict[int, Rate] = {8000: 8000, 16_000: 16_000, 24_000: 24_000, 48_000: 48_000}
_WAV = b"RIFF"


class Conversation:
    """An `edge.backend.dialect.Dialect`; the arguments are those of `PipecatSettings`."""

    def __init__(
        self,
        *,
        sample_rate: Rate,
        rtvi: bool,
        gap_ms: int,
        silence_ms: int,
        timeout_s: float,
        bitrate: int,
        first_item: int,
    ) -> None:
        self.outgoing = Outbox()
        self._sample_rate = sample_rate
        self._rtvi = rtvi
        self._gap_s = gap_ms / 1000
        self._silence_ms = silence_ms
        self._timeout_s = timeout_s
        self._bitrate = bitrate
        self._next = first_item
        self._messages = 0
        self._decoder = Decoder(sample_rate)
        self._utterance = 0
        self._utterance_ms = 0  # heard of it
        self._owed = False  # the caller has ended an utterance, and nothing was said since
        self._speaker: Speaker | None = None
        self._speaker_rate = 0
        self._hushed = False  # we have interrupted; what still comes was said before it knew

    @property
    def patience_s(self) -> float | None:
        if self._speaker is not None or self._hushed:
            return self._gap_s
        return self._timeout_s if self._owed else None

    # --- the connection --------------------------------------------------------------------------------

    def opened(self) -> None:
        """Bots wait for their client to be ready before they say hello."""
        if self._rtvi:
            self.outgoing.put_first(frames.encode(frames.Message(messages.ready())))

    def closed(self) -> Iterable[BackendReply]:
        self.outgoing.clear()
        self._owed = self._hushed = False
        return list(self._end())

    def receive(self, message: Message) -> Iterator[BackendReply]:
        if isinstance(message, str):
            raise nonsense("the backend sends text; a pipeline needs its ProtobufFrameSerializer")
        match frames.decode(message):
            case frames.Audio() as audio:
                yield from self._audio(audio)
            case frames.Interruption():
                yield from self._interruption()
            case frames.Text(text=text):
                yield from self._transcript(text)
            case frames.Transcription(text=text):
                yield self._understood(text)
            case frames.Message(data=data):
                yield from self._message(messages.decode(data))

    def handle(self) -> bytes:
        """A pipeline names nothing by which another connection could go on with it."""
        return b""

    def handle_silence(self) -> Iterator[BackendReply]:
        if self._speaker is not None or self._hushed:
            self._hushed = False
            yield from self._end()
        else:
            self._owed = False
            yield Failed("backend_timeout", f"the backend has said nothing for {self._timeout_s:g} s")

    # --- the caller ------------------------------------------------------------------------------------

    def hear(self, heard: Sequence[Frame]) -> None:
        if heard[0].utterance != self._utterance:
            self._utterance, self._utterance_ms = heard[0].utterance, 0
        self._utterance_ms += len(heard) * FRAME_MS
        self._send_pcm(self._decoder.decode_frames(heard))

    def notify(self, event: BackendInput) -> Iterable[Control]:
        match event:
            case Committed():
                self._send_pcm(bytes(self._sample_rate * _SAMPLE_BYTES * self._silence_ms // 1000))
                self._owed = True
            case Cancelled(item=item) if self._speaker is not None and item == self._speaker.item:
                if not self._speaker.silenced:
                    self._hushed = True
                    self.outgoing.put(frames.encode(frames.Interruption()))
                self._silence()
            case ResponseRequested(fields=fields):
                self._send_message({"type": "response.create", **fields})
            case ClientEvent(fields=fields):
                self._send_message(fields)
            case _:
                pass  # a pipeline takes nothing back, and keeps its own account of what it has said
        return ()

    def _send_pcm(self, pcm: bytes) -> None:
        if pcm:
            self.outgoing.put(frames.encode(frames.Audio(pcm, self._sample_rate)))

    def _send_message(self, event: Any) -> None:
        self._messages += 1
        named = event.get("event_id")
        message_id = named if isinstance(named, str) else f"edge-{self._messages}"
        self.outgoing.put(frames.encode(frames.Message(messages.encode(event, message_id))))

    # --- the pipeline ----------------------------------------------------------------------------------

    def _audio(self, audio: frames.Audio) -> Iterator[BackendReply]:
        if self._hushed:
            return
        rate = _RATES.get(audio.sample_rate)
        if rate is None or audio.num_channels != 1:
            what = f"{audio.sample_rate} Hz in {audio.num_channels} channels"
            raise nonsense(f"the backend speaks {what}; want one channel of {', '.join(map(str, _RATES))} Hz")
        if audio.audio.startswith(_WAV):
            raise nonsense("the backend speaks WAV files; turn its add_wav_header off")
        if self._speaker is None or self._speaker_rate != rate:
            yield from self._begin(rate)
        if self._speaker is not None:
            yield from self._speaker.say(audio.audio)

    def _begin(self, rate: Rate) -> Iterator[BackendReply]:
        yield from self._end()
        self._owed = False
        self._speaker, self._speaker_rate = Speaker(self._next, rate, self._bitrate), rate
        self._next += 1
        yield ItemBegun(self._speaker.item)

    def _end(self) -> Iterator[BackendReply]:
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            yield from speaker.end()
            if not speaker.silenced:
                yield ItemEnded(speaker.item)

    def _silence(self) -> None:
        if self._speaker is not None:
            self._speaker.silenced = True
            self._speaker = None

    def _interruption(self) -> Iterator[BackendReply]:
        if self._hushed:
            self._hushed = False  # it passes ours on
        else:
            self._silence()
            yield Interrupted()

    def _transcript(self, text: str) -> Iterator[BackendReply]:
        if self._speaker is not None and not self._speaker.silenced:
            number = self._speaker.item
            yield control(
                {
                    "type": "response.output_audio_transcript.delta",
                    "response_id": response_id(number),
                    "item_id": item_id(number),
                    "output_index": 0,
                    "content_index": 0,
                    "delta": text,
                }
            )

    @staticmethod
    def _understood(text: str) -> BackendReply:
        kind = "conversation.item.input_audio_transcription.completed"
        return control({"type": kind, "transcript": text})

    def _message(self, said: messages.Said) -> Iterator[BackendReply]:
        yield control({"type": "edge.backend", "event": said.fields})
        match said.type:
            case "bot-stopped-speaking":
                yield from self._end()
            case "bot-tts-text":
                yield from self._transcript(said.text("text"))
            case "user-transcription" if said.data.get("final") is True:
                yield self._understood(said.text("text"))
            case "user-started-speaking":
                yield SpeechStarted(self._utterance_ms)
            case "user-stopped-speaking":
                yield SpeechStopped(self._utterance_ms)
            case "error" if said.data.get("fatal") is True:
                yield from self._end()
                yield Failed("backend_error", f"the backend has failed: {said.text('error')[:MAX_TEXT]}")
            case _:
                pass
