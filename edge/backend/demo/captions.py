"""The agent's control events: what it understands of the caller, and what it says itself. Pure."""

from edge.backend.base import Control


def understanding(utterance: int, delta: str) -> Control:
    return Control({**_of_caller(utterance, "delta"), "delta": delta})


def understood(utterance: int, words: str) -> Control:
    return Control({**_of_caller(utterance, "completed"), "transcript": words})


def saying(item: int, sentence: str) -> Control:
    return Control({**_of_agent(item, "delta"), "delta": sentence})


def said(item: int, transcript: str) -> Control:
    """All of an item; said again, with less, where the caller has not heard all."""
    return Control({**_of_agent(item, "done"), "transcript": transcript})


def refused(message: str) -> Control:
    error = {"type": "invalid_request_error", "code": "invalid_value", "message": message}
    return Control({"type": "error", "error": error})


def _of_caller(utterance: int, kind: str) -> dict[str, object]:
    return {
        "type": f"conversation.item.input_audio_transcription.{kind}",
        "item_id": f"utterance_{utterance}",
        "content_index": 0,
    }


def _of_agent(item: int, kind: str) -> dict[str, object]:
    return {
        "type": f"response.output_audio_transcript.{kind}",
        "response_id": f"resp_{item}",
        "item_id": f"item_{item}",
        "output_index": 0,
        "content_index": 0,
    }


class StableWords:
    """A turn's words while it is spoken. A recogniser changes its mind; a caption that was shown stays."""

    def __init__(self) -> None:
        self._shown = 0
        self._before: list[str] = []

    def more(self, words: str) -> str:
        """What to show besides, given all ``words`` so far: those that were there last time and are not the last."""
        now = words.split()
        stable = 0
        for old, new in zip(self._before, now[:-1], strict=False):
            if old != new:
                break
            stable += 1
        self._before = now
        if stable <= self._shown:
            return ""
        shown, self._shown = self._shown, stable
        return (" " if shown else "") + " ".join(now[shown:stable])
