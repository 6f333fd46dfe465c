"""A server of the OpenAI Realtime protocol, from its published event reference, with a scripted model behind it.

It keeps the rules that a client can break: base64, formats, one answer at a time, no truncation behind the end of
the audio, nothing to cancel, names that must exist; and echoes ``event_id`` in what it says about a broken one.
Its model neither hears nor thinks: `Realtime.script` says what comes next, and speech is a tone.
"""

from __future__ import annotations

import array
import asyncio
import base64
import binascii
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import WSMsgType, web

RATE = 24_000
BYTES_PER_MS = RATE * 2 // 1000
DELTA_MS = 200
WINDOW_MS = 20
LOUD = 500  # root mean square of a window that is speech
PREFIX_MS = 300
MIN_COMMIT_MS = 100
KEY = "sk-test"


def tone(duration_ms: int, hertz: float = 440.0) -> bytes:
    """PCM16 at 24 kHz, well above `LOUD`."""
    samples = (
        int(8000 * math.sin(2 * math.pi * hertz * index / RATE))
        for index in range(RATE * duration_ms // 1000)
    )
    return array.array("h", samples).tobytes()


@dataclass
class Say:
    """An item that is spoken."""

    text: str
    duration_ms: int


@dataclass
class Write:
    """An item that is only written."""

    text: str


@dataclass
class Call:
    """A tool that is called."""

    name: str
    arguments: dict[str, Any]


Output = Say | Write | Call


@dataclass
class Faults:
    """What goes wrong. ``at_delta`` counts audio deltas of a response from 0."""

    status: int | None = None  # of the handshake, instead of a WebSocket
    mute: bool = False  # takes the connection and says nothing, ever
    deaf: bool = False  # and reads nothing either
    silent: bool = False  # takes requests for an answer and gives none
    slow_s: float = 0.0  # before each answer
    at_delta: int = 2
    crash: bool = False
    message: str | bytes | None = None  # said once, raw
    delta: dict[str, Any] = field(default_factory=dict)  # put into one delta
    fail: bool = False  # the response ends as "failed"


class Refused(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class Realtime:
    """The server; its connections share script, faults and what is recorded, and nothing else."""

    def __init__(self) -> None:
        self.script: Callable[[Session], list[Output]] = lambda _: [Say("hello there", 1000)]
        self.faults = Faults()
        self.pace_s = 0.0  # between deltas
        self.models = {"gpt-realtime"}
        self.sessions: list[Session] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        if self.faults.status is not None:
            return web.Response(status=self.faults.status)
        socket = web.WebSocketResponse(max_msg_size=20 * 1024 * 1024)
        await socket.prepare(request)
        session = Session(self, socket)
        self.sessions.append(session)
        await session.run(request.query.get("model"))
        return socket


@asynccontextmanager
async def running() -> AsyncIterator[Realtime]:
    realtime = Realtime()
    app = web.Application()
    app.router.add_get("/v1/realtime", realtime.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    realtime.url = f"ws://{host}:{port}/v1/realtime"
    try:
        yield realtime
    finally:
        for session in realtime.sessions:
            await session.end()
        await runner.cleanup()


class Session:
    """One connection: a session, its conversation, and what is being answered."""

    def __init__(self, realtime: Realtime, socket: web.WebSocketResponse) -> None:
        self.realtime = realtime
        self.received: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.items: dict[str, dict[str, Any]] = {}
        self.heard = bytearray()  # all that was appended
        self.session: dict[str, Any] = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": RATE},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
                },
                "output": {"format": {"type": "audio/pcm", "rate": RATE}},
            },
        }
        self._socket = socket
        self._names = 0
        self._buffer_at = 0  # where in `heard` the input buffer begins
        self._judged = 0  # how far the turn detection has listened
        self._speech: str | None = None  # the item that the caller is speaking
        self._quiet_ms = 0
        self._audio: dict[str, int] = {}  # bytes sent of each spoken item
        self._response: dict[str, Any] | None = None
        self._answering: asyncio.Task[None] | None = None

    # --- the connection --------------------------------------------------------------------------------

    async def run(self, model: str | None) -> None:
        if model not in self.realtime.models:
            await self._fail("model_not_found", f"The model `{model}` does not exist")
            await self._socket.close(code=4000, message=b"invalid_request_error")
            return
        faults = self.realtime.faults
        if faults.deaf:
            await asyncio.Event().wait()
        if not faults.mute:
            await self.send("session.created", session=self.session)
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT or faults.mute:
                continue
            await self._take(json.loads(message.data))
        await self.end()

    async def end(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.gather(self._answering, return_exceptions=True)

    async def send(self, name: str, **fields: Any) -> None:
        with suppress(ConnectionError):
            await self._socket.send_json({"type": name, "event_id": self._name("event"), **fields})

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}_{id(self):x}{self._names:03d}"

    async def _take(self, event: dict[str, Any]) -> None:
        self.received.append(event)
        try:
            handler = self.HANDLERS.get(event["type"])
            if handler is None:
                raise Refused("invalid_value", f"Invalid value: '{event['type']}'", "type")
            await handler(self, event)
        except Refused as refused:
            await self._fail(refused.code, str(refused), event.get("event_id"), refused.param)

    async def _fail(
        self, code: str, message: str, event_id: str | None = None, param: str | None = None
    ) -> None:
        error = {
            "type": "invalid_request_error",
            "code": code,
            "message": message,
            "param": param,
            "event_id": event_id,
        }
        self.errors.append(error)
        await self.send("error", error=error)

    # --- the session and the caller's speech -----------------------------------------------------------

    async def _update(self, event: dict[str, Any]) -> None:
        wanted = event["session"]
        if wanted.get("type") != "realtime":
            raise Refused("missing_required_parameter", "session.type is required", "session.type")
        for direction in ("input", "output"):
            wanted_format = wanted.get("audio", {}).get(direction, {}).get("format", {"type": "audio/pcm"})
            if wanted_format.get("type") != "audio/pcm" or wanted_format.get("rate", RATE) != RATE:
                raise Refused("invalid_value", "only PCM at 24 kHz here", f"session.audio.{direction}.format")
        if wanted.get("voice") is not None:
            raise Refused("unknown_parameter", "Unknown parameter: 'session.voice'", "session.voice")
        _merge(self.session, wanted)
        await self.send("session.updated", session=self.session)

    @property
    def _detection(self) -> dict[str, Any] | None:
        detection: dict[str, Any] | None = self.session["audio"]["input"]["turn_detection"]
        return detection

    async def _append(self, event: dict[str, Any]) -> None:
        try:
            pcm = base64.b64decode(event["audio"], validate=True)
        except (binascii.Error, KeyError):
            raise Refused("invalid_value", "Invalid 'audio'. Expected base64.", "audio") from None
        self.heard += pcm
        if self._detection is not None:
            await self._detect(self._detection)

    async def _detect(self, detection: dict[str, Any]) -> None:
        size = WINDOW_MS * BYTES_PER_MS
        while self._judged + size <= len(self.heard):
            window = array.array("h", bytes(self.heard[self._judged : self._judged + size]))
            self._judged += size
            loud = math.sqrt(sum(value * value for value in window) / len(window)) > LOUD
            at_ms = self._judged // BYTES_PER_MS
            if self._speech is None and loud:
                self._speech, self._quiet_ms = self._name("item"), 0
                start_ms = max(0, at_ms - WINDOW_MS - PREFIX_MS)
                self._buffer_at = max(self._buffer_at, start_ms * BYTES_PER_MS)
                await self.send(
                    "input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._speech
                )
                if self._response is not None and detection.get("interrupt_response", True):
                    await self._cut("turn_detected")
            elif self._speech is not None:
                self._quiet_ms = 0 if loud else self._quiet_ms + WINDOW_MS
                if self._quiet_ms >= detection.get("silence_duration_ms", 500):
                    item, self._speech = self._speech, None
                    await self.send("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=item)
                    await self._take_turn(item, self._judged)
                    if detection.get("create_response", True) and self._response is None:
                        await self._answer({})

    async def _commit(self, _event: dict[str, Any]) -> None:
        if len(self.heard) - self._buffer_at < MIN_COMMIT_MS * BYTES_PER_MS:
            raise Refused("input_audio_buffer_commit_empty", "buffer too small: want at least 100ms of audio")
        await self._take_turn(self._name("item"), len(self.heard))

    async def _take_turn(self, item: str, end: int) -> None:
        spoken_ms = (end - self._buffer_at) // BYTES_PER_MS
        self._buffer_at = end
        await self.send("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        content = {"type": "input_audio", "transcript": None}
        await self._add(
            {"id": item, "type": "message", "role": "user", "status": "completed", "content": [content]}
        )
        if self.session["audio"]["input"].get("transcription"):
            kind = "conversation.item.input_audio_transcription"
            await self.send(f"{kind}.delta", item_id=item, content_index=0, delta=f"{spoken_ms} ")
            await self.send(
                f"{kind}.completed", item_id=item, content_index=0, transcript=f"{spoken_ms} ms of tone"
            )

    async def _clear(self, _event: dict[str, Any]) -> None:
        self._buffer_at = len(self.heard)
        await self.send("input_audio_buffer.cleared")

    # --- the conversation ------------------------------------------------------------------------------

    def _item(self, name: str) -> dict[str, Any]:
        if name not in self.items:
            raise Refused("item_not_found", f"Item with item_id not found: {name}", "item_id")
        return self.items[name]

    async def _add(self, item: dict[str, Any]) -> None:
        self.items[item["id"]] = item
        await self.send("conversation.item.added", previous_item_id=None, item=item)
        if item["status"] != "in_progress":
            await self.send("conversation.item.done", previous_item_id=None, item=item)

    async def _create_item(self, event: dict[str, Any]) -> None:
        if event.get("previous_item_id") not in (None, "root"):
            self._item(event["previous_item_id"])
        item = {"id": self._name("item"), "status": "completed", **event["item"]}
        if item["type"] == "function_call_output" and not any(
            known.get("call_id") == item["call_id"] for known in self.items.values()
        ):
            raise Refused(
                "invalid_tool_call_id", f"Tool call ID '{item['call_id']}' not found", "item.call_id"
            )
        await self._add(item)

    async def _retrieve_item(self, event: dict[str, Any]) -> None:
        await self.send("conversation.item.retrieved", item=self._item(event["item_id"]))

    async def _delete_item(self, event: dict[str, Any]) -> None:
        del self.items[self._item(event["item_id"])["id"]]
        await self.send("conversation.item.deleted", item_id=event["item_id"])

    async def _truncate_item(self, event: dict[str, Any]) -> None:
        item = self._item(event["item_id"])
        if item["id"] not in self._audio:
            raise Refused("invalid_value", "Only model output audio messages can be truncated", "item_id")
        if event["content_index"] != 0:
            raise Refused("invalid_value", "content_index: no such part", "content_index")
        spoken_ms = self._audio[item["id"]] // BYTES_PER_MS
        if not 0 <= event["audio_end_ms"] <= spoken_ms:
            raise Refused(
                "invalid_value",
                f"Audio content of {spoken_ms}ms is already shorter than {event['audio_end_ms']}ms",
                "audio_end_ms",
            )
        item["truncated_at_ms"] = event["audio_end_ms"]
        item["content"][0]["transcript"] = None
        await self.send(
            "conversation.item.truncated",
            item_id=item["id"],
            content_index=0,
            audio_end_ms=event["audio_end_ms"],
        )

    # --- responses -------------------------------------------------------------------------------------

    async def _create_response(self, event: dict[str, Any]) -> None:
        if self._response is not None:
            raise Refused(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self._response['id']}",
            )
        await self._answer(event.get("response", {}))

    async def _cancel_response(self, event: dict[str, Any]) -> None:
        if self._response is None or event.get("response_id") not in (None, self._response["id"]):
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        await self._cut("client_cancelled")

    async def _cut(self, reason: str) -> None:
        await self.end()
        await self._finish("cancelled", {"type": "cancelled", "reason": reason})

    async def _answer(self, wanted: dict[str, Any]) -> None:
        if self.realtime.faults.silent:
            return
        self._response = {
            "id": self._name("resp"),
            "object": "realtime.response",
            "status": "in_progress",
            "conversation_id": None if wanted.get("conversation") == "none" else "conv_1",
            "output": [],
        }
        self._answering = asyncio.create_task(self._give(self._response))

    async def _give(self, response: dict[str, Any]) -> None:
        faults = self.realtime.faults
        await asyncio.sleep(faults.slow_s)
        await self.send("response.created", response=dict(response))
        await self.send("rate_limits.updated", rate_limits=[{"name": "tokens", "limit": 1000}])
        for index, output in enumerate(self.realtime.script(self)):
            await self._put_out(response, index, output)
        if faults.fail:
            problem = {"code": "rate_limit_exceeded", "type": "tokens"}
            await self._finish("failed", {"type": "failed", "error": problem})
        else:
            await self._finish("completed", None)

    async def _finish(self, status: str, details: dict[str, Any] | None) -> None:
        response, self._response = self._response, None
        if response is None:
            return
        for item in self.items.values():
            if item["status"] == "in_progress":
                item["status"] = "completed" if status == "completed" else "incomplete"
                place = {"response_id": response["id"], "output_index": 0}
                await self.send("response.output_item.done", **place, item=item)
        usage = {"total_tokens": 7}
        done = {**response, "status": status, "status_details": details, "usage": usage}
        await self.send("response.done", response=done)

    async def _put_out(self, response: dict[str, Any], index: int, output: Output) -> None:
        item: dict[str, Any] = {"id": self._name("item"), "object": "realtime.item", "status": "in_progress"}
        if isinstance(output, Call):
            item |= {"type": "function_call", "name": output.name, "call_id": self._name("call")}
            item["arguments"] = ""
        else:
            item |= {"type": "message", "role": "assistant", "content": []}
        place = {"response_id": response["id"], "output_index": index}
        await self.send("response.output_item.added", **place, item=dict(item))
        await self._add(item)
        place["item_id"] = item["id"]
        match output:
            case Call():
                await self._call(place, item, output)
            case Say():
                await self._say({**place, "content_index": 0}, item, output)
            case Write():
                place["content_index"] = 0
                item["content"] = [{"type": "output_text", "text": output.text}]
                await self.send("response.output_text.delta", **place, delta=output.text)
                await self.send("response.output_text.done", **place, text=output.text)
        item["status"] = "completed"
        del place["item_id"]
        place.pop("content_index", None)
        await self.send("response.output_item.done", **place, item=item)
        await self.send("conversation.item.done", previous_item_id=None, item=item)
        response["output"].append(item)

    async def _call(self, place: dict[str, Any], item: dict[str, Any], call: Call) -> None:
        item["arguments"] = json.dumps(call.arguments)
        name = "response.function_call_arguments"
        half = len(item["arguments"]) // 2
        for delta in (item["arguments"][:half], item["arguments"][half:]):
            await self.send(f"{name}.delta", **place, call_id=item["call_id"], delta=delta)
        await self.send(f"{name}.done", **place, call_id=item["call_id"], arguments=item["arguments"])

    async def _say(self, place: dict[str, Any], item: dict[str, Any], say: Say) -> None:
        faults = self.realtime.faults
        item["content"] = [{"type": "output_audio", "transcript": say.text}]
        part = {"type": "audio", "transcript": ""}
        await self.send("response.content_part.added", **place, part=part)
        for word in say.text.split():
            await self.send("response.output_audio_transcript.delta", **place, delta=f"{word} ")
        pcm = tone(say.duration_ms)
        self._audio[item["id"]] = 0
        for number, start in enumerate(range(0, len(pcm), DELTA_MS * BYTES_PER_MS)):
            piece = pcm[start : start + DELTA_MS * BYTES_PER_MS]
            spoilt: dict[str, Any] = {}
            if number == faults.at_delta:
                if faults.crash:
                    transport = self._socket.get_extra_info("socket")
                    transport.shutdown(2)
                    await asyncio.Event().wait()
                if isinstance(faults.message, str):
                    await self._socket.send_str(faults.message)
                elif faults.message is not None:
                    await self._socket.send_bytes(faults.message)
                spoilt = faults.delta
            self._audio[item["id"]] += len(piece)
            delta = {**place, "delta": base64.b64encode(piece).decode(), **spoilt}
            await self.send("response.output_audio.delta", **delta)
            await asyncio.sleep(self.realtime.pace_s)
        await self.send("response.output_audio.done", **place)
        await self.send("response.output_audio_transcript.done", **place, transcript=say.text)
        await self.send("response.content_part.done", **place, part={**part, "transcript": say.text})

    HANDLERS: ClassVar = {
        "session.update": _update,
        "input_audio_buffer.append": _append,
        "input_audio_buffer.commit": _commit,
        "input_audio_buffer.clear": _clear,
        "conversation.item.create": _create_item,
        "conversation.item.retrieve": _retrieve_item,
        "conversation.item.delete": _delete_item,
        "conversation.item.truncate": _truncate_item,
        "response.create": _create_response,
        "response.cancel": _cancel_response,
    }


def _merge(base: dict[str, Any], over: dict[str, Any]) -> None:
    for name, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            _merge(base[name], value)
        else:
            base[name] = value
