"""The edge's side of what the caller says: group streams in any order become frames in one order."""

from dataclasses import dataclass, field

from edge.voice.errors import Code, WireError
from edge.voice.events import FramesHeard, UtteranceCommitted
from edge.voice.frame import FRAME_MS, FRAMES_PER_GROUP, Codec, Frame
from edge.voice.wire import AudioStream, GroupHeader

Progress = FramesHeard | UtteranceCommitted


@dataclass(frozen=True, slots=True)
class UplinkLimits:
    """What a caller can make the edge hold while earlier speech is missing. Beyond it the call is ended."""

    utterances: int = 64
    groups: int = 600  # a minute of speech; also the streams that are open at once
    held_bytes: int = 512 * 1024  # of payload


@dataclass(slots=True)
class _Group:
    stream: AudioStream[GroupHeader]
    waiting: list[Frame] = field(default_factory=list)


@dataclass(slots=True)
class _Utterance:
    """``groups`` are those that have begun to arrive and are not yet delivered whole."""

    groups: dict[int, _Group] = field(default_factory=dict)
    codec: Codec | None = None
    next_group: int = 0
    begun: int = 0  # one more than the highest group seen
    end: int | None = None  # number of groups, once known: from a commit or from a short group
    committed: bool = False
    frames: int = 0


class Uplink:
    """Delivers each frame once, by utterance, group and index; utterances count from 1 and none is left out.

    The group that is next in turn is delivered as it arrives, frame by frame; later ones wait for it. An
    utterance is over when it is committed and all of its groups are here, and only then the next begins.
    """

    def __init__(self, limits: UplinkLimits) -> None:
        self._limits = limits
        self._current = 1
        self._utterances: dict[int, _Utterance] = {}
        self._open: dict[int, _Group] = {}  # by stream, until their FIN
        self._held_groups = 0
        self._held_bytes = 0

    def receive(self, stream_id: int, data: bytes, fin: bool) -> list[Progress]:
        """Bytes of one of the caller's streams; the result is what they let through."""
        group = self._open.get(stream_id) or self._begin(stream_id)
        placed = group.stream.header is not None
        packets = group.stream.receive(data, fin)
        header = group.stream.header
        if header is None:
            return []
        if not placed:
            self._place(group, header)
        for index, packet in enumerate(packets, group.stream.packets - len(packets)):
            seq = header.group * FRAMES_PER_GROUP + index
            pts_ms = header.pts_ms + index * FRAME_MS
            group.waiting.append(Frame(header.utterance, seq, pts_ms, packet, header.codec))
            self._hold(len(packet))
        if fin:
            del self._open[stream_id]
            if group.stream.packets < FRAMES_PER_GROUP:
                state = self._utterances[header.utterance]
                self._end(state, header.group + 1, f"{group.stream.name}, a short group")
        return self._deliver()

    def commit(self, utterance: int, groups: int) -> list[Progress]:
        """The caller says that ``utterance`` consists of ``groups`` groups."""
        place = f"commit of utterance {utterance}"
        state = self._utterance(utterance, place)
        if state.committed:
            raise WireError(place, "it is committed already")
        if groups == 0:
            raise WireError(place, "it is empty")
        state.committed = True
        self._end(state, groups, place)
        return self._deliver()

    def _begin(self, stream_id: int) -> _Group:
        if self._held_groups == self._limits.groups:
            raise self._too_far_behind(f"{self._held_groups} groups")
        self._held_groups += 1
        group = self._open[stream_id] = _Group(AudioStream(GroupHeader, f"stream {stream_id}"))
        return group

    def _place(self, group: _Group, header: GroupHeader) -> None:
        place = group.stream.name
        state = self._utterance(header.utterance, place)
        if header.group in state.groups or header.group < state.next_group:
            raise WireError(place, f"group {header.group} of utterance {header.utterance} a second time")
        if state.end is not None and header.group >= state.end:
            raise WireError(
                place, f"group {header.group} of utterance {header.utterance}, which has {state.end}"
            )
        if state.codec not in (None, header.codec):
            raise WireError(place, f"utterance {header.utterance} changes its codec")
        state.codec = header.codec
        state.groups[header.group] = group
        state.begun = max(state.begun, header.group + 1)

    @staticmethod
    def _end(state: _Utterance, groups: int, place: str) -> None:
        if state.begun > groups or state.end not in (None, groups):
            raise WireError(place, f"{groups} groups, but there are {max(state.begun, state.end or 0)}")
        state.end = groups

    def _utterance(self, number: int, place: str) -> _Utterance:
        if number < self._current:
            raise WireError(place, f"utterance {number} is over" if number else "utterances count from 1")
        if number >= self._current + self._limits.utterances:
            problem = f"utterance {number} while {self._current} is not over"
            raise WireError(place, problem, Code.TOO_FAR_BEHIND)
        return self._utterances.setdefault(number, _Utterance())

    def _deliver(self) -> list[Progress]:
        done: list[Progress] = []
        while state := self._utterances.get(self._current):
            frames: list[Frame] = []
            while group := state.groups.get(state.next_group):
                frames += self._take(group)
                if not group.stream.finished:
                    break
                del state.groups[state.next_group]
                state.next_group += 1
                self._held_groups -= 1
            state.frames += len(frames)
            if frames:
                done.append(FramesHeard(frames))
            if not state.committed or state.next_group != state.end:
                break
            done.append(UtteranceCommitted(self._current, state.frames))
            del self._utterances[self._current]
            self._current += 1
        return done

    def _take(self, group: _Group) -> list[Frame]:
        taken, group.waiting = group.waiting, []
        self._held_bytes -= sum(len(frame.payload) for frame in taken)
        return taken

    def _hold(self, size: int) -> None:
        self._held_bytes += size
        if self._held_bytes > self._limits.held_bytes:
            raise self._too_far_behind(f"{self._held_bytes} bytes")

    def _too_far_behind(self, held: str) -> WireError:
        problem = f"{held} of speech are held while an earlier part of it is missing"
        return WireError(f"utterance {self._current}", problem, Code.TOO_FAR_BEHIND)
