"""Pipecat's frames on the wire: one protobuf message each, of those that `ProtobufFrameSerializer` knows.

The messages are declared here and not generated, so that no compiler is needed and none of its output is kept. What
counts on the wire is the field numbers; a test compares them with those of the installed `pipecat-ai`.
"""

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory  # type: ignore[import-untyped]

from edge.backend.dialect import nonsense


@dataclass(frozen=True, slots=True)
class Audio:
    """PCM, signed 16 bit, little-endian; ``sample_rate`` in Hz."""

    audio: bytes
    sample_rate: int
    num_channels: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    """What is being said."""

    text: str


@dataclass(frozen=True, slots=True)
class Transcription:
    """What the pipeline has understood of the caller."""

    text: str
    user_id: str
    timestamp: str


@dataclass(frozen=True, slots=True)
class Message:
    """JSON, as a rule of the RTVI protocol."""

    data: str


@dataclass(frozen=True, slots=True)
class Interruption:
    """All that is being said ends."""


Frame = Audio | Text | Transcription | Message | Interruption

_STRING: Final = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_BYTES: Final = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
_UINT32: Final = descriptor_pb2.FieldDescriptorProto.TYPE_UINT32

# Every frame also has an ``id`` (1) and a ``name`` (2), which the serializer replaces when they are left out, as here;
# audio has a time (6), which no transport of Pipecat's looks at. Fields left out of the declaration are skipped.
_MESSAGES: Final[dict[str, dict[str, tuple[int, int]]]] = {
    "AudioRawFrame": {"audio": (3, _BYTES), "sample_rate": (4, _UINT32), "num_channels": (5, _UINT32)},
    "TextFrame": {"text": (3, _STRING)},
    "TranscriptionFrame": {"text": (3, _STRING), "user_id": (4, _STRING), "timestamp": (5, _STRING)},
    "MessageFrame": {"data": (1, _STRING)},
    "InterruptionFrame": {},
}
_KINDS: Final[dict[str, tuple[int, str, type[Frame]]]] = {
    "text": (1, "TextFrame", Text),
    "audio": (2, "AudioRawFrame", Audio),
    "transcription": (3, "TranscriptionFrame", Transcription),
    "message": (4, "MessageFrame", Message),
    "interruption": (5, "InterruptionFrame", Interruption),
}
_NAMES: Final = {kind: name for name, (_, _, kind) in _KINDS.items()}


def declaration() -> Any:
    """The messages as a `FileDescriptorProto`, as ``protoc`` would make one of a file."""
    file = descriptor_pb2.FileDescriptorProto(name="frames.proto", package="pipecat", syntax="proto3")
    for name, fields in _MESSAGES.items():
        declared = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            declared.field.add(name=field, number=number, type=kind, label=1)
    frame = file.message_type.add(name="Frame")
    frame.oneof_decl.add(name="frame")
    for field, (number, name, _) in _KINDS.items():
        frame.field.add(
            name=field, number=number, type=11, label=1, type_name=f".pipecat.{name}", oneof_index=0
        )
    return file


# A pool of its own: where `pipecat-ai` runs in the same process, the common one has its declaration.
_pool = descriptor_pool.DescriptorPool()
_pool.Add(declaration())
_Frame = message_factory.GetMessageClass(_pool.FindMessageTypeByName("pipecat.Frame"))


def encode(frame: Frame) -> bytes:
    """One message of the WebSocket."""
    name = _NAMES[type(frame)]
    encoded = _Frame()
    content = getattr(encoded, name)
    content.SetInParent()  # an interruption has no fields that would make it present
    for field in _MESSAGES[_KINDS[name][1]]:
        setattr(content, field, getattr(frame, field))
    data: bytes = encoded.SerializeToString()
    return data


def decode(data: bytes) -> Frame | None:
    """None for a frame of a kind that is not known. Raises `Fault`."""
    try:
        decoded = _Frame.FromString(data)
    except (message.DecodeError, RecursionError) as error:
        raise nonsense(f"the backend sends what is no frame: {error}") from None
    name = decoded.WhichOneof("frame")
    if name is None:
        return None
    _, declared, kind = _KINDS[name]
    content = getattr(decoded, name)
    return kind(**{field: getattr(content, field) for field in _MESSAGES[declared]})
