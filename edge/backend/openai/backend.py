"""The adapter and its settings."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from edge.backend.base import BackendContext, settings_of
from edge.backend.line import Address, websocket_url
from edge.backend.openai.conversation import Conversation
from edge.backend.openai.session import merge
from edge.backend.websocket import WebSocketBackend
from edge.errors import UsageError

NO_TURN_DETECTION: Final = {"audio": {"input": {"turn_detection": None}}}
"""TOML has no word for null."""


class OpenAiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[backends.NAME]`` of the node's file.

    ``session`` is what the backend is told at the beginning (``session.update``), ``caller_session`` whether the
    caller's own ``session.update`` may change it. ``turns``: who finds the end of one; "caller" turns the backend's
    turn detection off. ``create_response`` then asks for an answer to each utterance; without it the caller asks. ``timeout_s`` is how long the backend may say
    nothing while it owes an answer. ``bitrate`` is that of the Opus it is heard in, bit/s.
    """

    url: str = "wss://api.openai.com/v1/realtime"
    model: str | None = None
    api_key_file: str | None = None
    session: dict[str, Any] = {}
    caller_session: bool = True
    turns: Literal["backend", "caller"] = "backend"
    create_response: bool = True
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0
    bitrate: Annotated[int, msgspec.Meta(ge=6000, le=128_000)] = 24_000

    def __post_init__(self) -> None:
        """Raises `UsageError` before a node starts, rather than at its first call."""
        websocket_url(self.url)


class OpenAiBackend(WebSocketBackend):
    """One call's connection to the backend. Raises `UsageError` if the settings cannot be right."""

    Settings = OpenAiSettings

    def __init__(self, context: BackendContext) -> None:
        settings = settings_of(context, OpenAiSettings)
        url = websocket_url(settings.url)
        if settings.model is not None:
            url = url.update_query(model=settings.model)
        conversation = Conversation(
            session=merge(settings.session, NO_TURN_DETECTION if settings.turns == "caller" else {}),
            caller_session=settings.caller_session,
            create_response=settings.create_response,
            timeout_s=settings.timeout_s,
            bitrate=settings.bitrate,
            first_item=context.first_item,
            handle=context.handle,
        )
        super().__init__(context, conversation, Address(str(url), settings.timeout_s, _headers(settings)))


def _headers(settings: OpenAiSettings) -> dict[str, str]:
    if settings.api_key_file is None:
        return {}
    file = Path(settings.api_key_file)
    if not file.is_absolute():
        raise UsageError(f"api_key_file {file}: want an absolute path")
    try:
        key = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"api_key_file {file}: {type(error).__name__}") from None
    if not key or not key.isprintable():
        raise UsageError(f"api_key_file {file}: holds no key")
    return {"Authorization": f"Bearer {key}"}
