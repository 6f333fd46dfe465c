"""What was said in a conversation, as text: enough for another backend to go on with it. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

import msgspec

MAX_BYTES: Final = 2048
"""Of a handle, see `edge.backend.base.Portable`."""
MAX_TURNS: Final = 64


class Turn(msgspec.Struct, array_like=True):
    """``item`` is ours, 0 for what the caller said."""

    who: Literal["user", "assistant"]
    text: str
    item: int = 0


class Memory:
    """The latest turns; ``handle`` is one of an earlier memory, or empty."""

    def __init__(self, handle: bytes = b"") -> None:
        known = msgspec.msgpack.decode(handle, type=list[Turn]) if handle else []
        self.turns: deque[Turn] = deque(known, maxlen=MAX_TURNS)

    def note(self, who: Literal["user", "assistant"], text: str, item: int = 0) -> None:
        if text:
            self.turns.append(Turn(who, text, item))

    def cut(self, item: int, part: float) -> None:
        """Of ``item`` no more than this part was heard: as many letters of it are remembered."""
        for turn in self.turns:
            if turn.item == item:
                turn.text = turn.text[: round(len(turn.text) * part)]

    def handle(self) -> bytes:
        """The latest turns that fit; of one that alone is too long, its end."""
        kept: list[Turn] = []
        for turn in reversed(self.turns):
            if len(msgspec.msgpack.encode([turn, *kept])) > MAX_BYTES:
                break
            kept.insert(0, turn)
        if self.turns and not kept:
            last = self.turns[-1]
            # A letter has four bytes at most.
            kept.append(Turn(last.who, last.text[-MAX_BYTES // 5 :], last.item))
        return msgspec.msgpack.encode(kept) if kept else b""
