"""The adapter "openai": any backend that speaks the OpenAI Realtime protocol (GA) over a WebSocket."""

from edge.backend.openai.backend import OpenAiBackend, OpenAiSettings

__all__ = ["OpenAiBackend", "OpenAiSettings"]
