"""The adapter "pipecat": any Pipecat pipeline behind a WebSocket transport with its `ProtobufFrameSerializer`."""

from edge.backend.pipecat.backend import PipecatBackend, PipecatSettings

__all__ = ["PipecatBackend", "PipecatSettings"]
