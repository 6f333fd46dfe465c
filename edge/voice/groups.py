"""The caller's side of what it says: frames cut into groups, each on a stream of its own."""

from collections.abc import Sequence

from edge.voice import wire
from edge.voice.actions import SendStream
from edge.voice.frame import FRAME_MS, FRAMES_PER_GROUP, Codec, Frame


class GroupWriter:
    """Writes frames as they come and numbers them: utterances from 1, frames of an utterance from 0."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._utterance = 1
        self._seq = 0
        self._streams = 0

    def write(self, payloads: Sequence[bytes]) -> tuple[list[Frame], list[SendStream]]:
        """The frames that ``payloads`` become, and what carries them. Raises ValueError for an impossible size."""
        packets = [wire.encode_packet(payload, self._codec) for payload in payloads]
        frames = [
            Frame(self._utterance, seq, seq * FRAME_MS, payload, self._codec)
            for seq, payload in enumerate(payloads, self._seq)
        ]
        sends: list[SendStream] = []
        while packets:
            group, index = divmod(self._seq, FRAMES_PER_GROUP)
            taken = packets[: FRAMES_PER_GROUP - index]
            del packets[: len(taken)]
            head = b"" if index else self._open(group)
            fin = index + len(taken) == FRAMES_PER_GROUP
            sends.append(SendStream(self._streams - 1, head + b"".join(taken), fin))
            self._seq += len(taken)
        return frames, sends

    def commit(self) -> tuple[int, int, list[SendStream]]:
        """End the utterance: its number, how many groups it has, and the end of the last if that is open.

        Raises ValueError if nothing has been said since the last commit.
        """
        if self._seq == 0:
            raise ValueError("nothing has been said since the last commit")
        utterance, groups = self._utterance, -(-self._seq // FRAMES_PER_GROUP)
        ends = [SendStream(self._streams - 1, b"", True)] if self._seq % FRAMES_PER_GROUP else []
        self._utterance += 1
        self._seq = 0
        return utterance, groups, ends

    def _open(self, group: int) -> bytes:
        self._streams += 1
        pts_ms = group * FRAMES_PER_GROUP * FRAME_MS
        return wire.encode_header(wire.GroupHeader(self._utterance, group, pts_ms, self._codec))
