"""Counting frames so that two ends can be compared: "no loss" is an equality, not an impression."""

import hashlib
from collections.abc import Iterable

import msgspec

from edge.voice import varint
from edge.voice.frame import Frame


class LedgerCount(msgspec.Struct, frozen=True):
    """What one end counted in one direction. Where nothing was lost, two ends agree exactly if these are equal."""

    frames: int
    bytes: int
    """Of payload."""
    digest: str
    """SHA-256, hexadecimal, over (utterance, seq, length as varints, payload) of each frame in order."""
    lost: int = 0
    """Frames that were said and never heard, as they were declared. Who says has lost none."""

    def without(self, lost: int) -> "LedgerCount":
        """The same for an end that has also declared ``lost`` frames lost."""
        return msgspec.structs.replace(self, lost=lost)

    def accounts_for(self, said: "LedgerCount") -> bool:
        """Whether all that the other end said was heard here or declared lost; what was heard is the same, if all was."""
        if not self.lost:
            return self == said
        return self.frames + self.lost == said.frames


class FrameLedger:
    """Counts the frames of one direction in the order in which they pass."""

    def __init__(self) -> None:
        self.frames = 0
        self._bytes = 0
        self._hash = hashlib.sha256()

    def record(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self.frames += 1
            self._bytes += len(frame.payload)
            self._hash.update(varint.encode(frame.utterance, frame.seq, len(frame.payload)))
            self._hash.update(frame.payload)

    def copy(self) -> "FrameLedger":
        """Another that goes on from here."""
        other = FrameLedger()
        other.frames, other._bytes, other._hash = self.frames, self._bytes, self._hash.copy()
        return other

    def count(self) -> LedgerCount:
        """The state so far; the ledger goes on."""
        return LedgerCount(self.frames, self._bytes, self._hash.hexdigest())
