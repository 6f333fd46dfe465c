"""From what callers and servers noted to the figures of the tables. Times in milliseconds."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import msgspec
from voice import speech
from voice.backend import Heard
from voice.browser import BROWSER
from voice.first_audio import QUIC, WEBRTC, WEBRTC_WARM, WEBSOCKET, WSS, ZERO_RTT, Attempt
from voice.inside import RTT_MS, Cell
from voice.judge import Verdict, judge
from voice.recordings import Recordings, Sentence

ZERO_RTT_BACKEND = "edge QUIC 0-RTT, at the backend"
WEBRTC_DECODED = "aiortc WebRTC, decoded"
ONE_WAY_S = RTT_MS / 2000


# --- (a) -------------------------------------------------------------------------------------------------


class FirstAudio(msgspec.Struct, frozen=True):
    """One system at one round-trip time; ``problem``: why it has no figure."""

    system: str
    rtt_ms: float
    median_ms: float
    low_ms: float
    high_ms: float
    repetitions: int
    problem: str

    @property
    def rtts(self) -> float:
        return self.median_ms / self.rtt_ms


def first_audio(rtt_ms: float, attempts: Sequence[Attempt], heard: Sequence[Heard]) -> list[FirstAudio]:
    """Every system, and those of which two moments are of interest a second time."""
    by_first: dict[bytes, list[Heard]] = {}
    for call in heard:
        by_first.setdefault(call.first, []).append(call)

    def taken(attempt: Attempt) -> float | None:
        """When the server's process had the packet, decrypted and in its place."""
        return min((call.edge_at for call in by_first.get(attempt.first, [])), default=None)

    def given(attempt: Attempt) -> float | None:
        """When whoever is behind it had speech: a backend, or the reader of aiortc's track."""
        calls = [call for call in by_first.get(attempt.first, []) if not call.label.endswith("/rtp")]
        return min((call.frames[0][2] for call in calls), default=None)

    table = (
        (QUIC, QUIC, taken),
        (ZERO_RTT, ZERO_RTT, taken),
        (ZERO_RTT_BACKEND, ZERO_RTT, given),
        (BROWSER, BROWSER, taken),
        (WEBSOCKET, WEBSOCKET, taken),
        (WEBRTC, WEBRTC, taken),
        (WEBRTC_DECODED, WEBRTC, given),
        (WEBRTC_WARM, WEBRTC_WARM, taken),
        (WSS, WSS, taken),
    )
    rows = []
    for name, system, moment in table:
        made = [attempt for attempt in attempts if attempt.system == system]
        if made:
            rows.append(_first_audio(name, rtt_ms, [(attempt, moment(attempt)) for attempt in made]))
    return rows


def _first_audio(name: str, rtt_ms: float, measured: Sequence[tuple[Attempt, float | None]]) -> FirstAudio:
    times = [(at - attempt.at) * 1000 for attempt, at in measured if at is not None]
    problems = [attempt.error or "not heard" for attempt, at in measured if attempt.error or at is None]
    nan = math.nan
    return FirstAudio(
        system=name,
        rtt_ms=rtt_ms,
        median_ms=statistics.median(times) if times else nan,
        low_ms=min(times, default=nan),
        high_ms=max(times, default=nan),
        repetitions=len(times),
        problem=problems[0] if problems else "",
    )


# --- (b) -------------------------------------------------------------------------------------------------


class Delivery(msgspec.Struct, frozen=True):
    """One system at one loss. ``loss_up`` is what its link lost, ``added_*`` what was waited beyond the way itself."""

    system: str
    loss: float
    loss_up: float
    frames: int
    lost: int
    added_p50_ms: float
    added_p95_ms: float
    added_p99_ms: float
    words: int
    wrong: int
    pesq: float | None
    problem: str

    @property
    def word_error_rate(self) -> float:
        return self.wrong / self.words


@dataclass(frozen=True, slots=True)
class Stream:
    """What one caller got through: when each frame came."""

    system: str
    cell: Cell
    there: Mapping[int, float]


def deliveries(recordings: Recordings, cells: Sequence[Cell], heard: Sequence[Heard]) -> list[Delivery]:
    """Of every system at every loss, its callers together; of aiortc's also what had come before its jitter buffer."""
    by_label = {call.label: call for call in heard}
    streams: list[Stream] = []
    for cell in cells:
        call, raw = by_label.get(cell.label), by_label.get(f"{cell.label}/rtp")
        if raw is not None:
            streams.append(Stream(speech.AIORTC_RAW, cell, _arrivals(raw, cell, recordings)))
        streams.append(Stream(cell.system, cell, _arrivals(call, cell, recordings) if call else {}))
    verdicts = _judged(recordings, [stream.there for stream in streams])
    together: dict[tuple[str, float], list[tuple[Stream, list[Verdict]]]] = {}
    for stream, judged in zip(streams, verdicts, strict=True):
        together.setdefault((stream.system, stream.cell.loss), []).append((stream, judged))
    return [
        _delivery(recordings, [stream for stream, _ in group], [one for _, judged in group for one in judged])
        for group in together.values()
    ]


def _arrivals(call: Heard, cell: Cell, recordings: Recordings) -> dict[int, float]:
    """When each frame came first; ours count from 0 in each sentence, the peers' through."""
    bases = [sentence.first for sentence in recordings.sentences] + [recordings.sentences[-1].end]
    found: dict[int, float] = {}
    for utterance, seq, at in call.frames:
        number = seq if cell.system in speech.PEERS else bases[utterance - 1] + seq
        found.setdefault(number, at)
    return found


def _delivery(recordings: Recordings, streams: Sequence[Stream], verdicts: Sequence[Verdict]) -> Delivery:
    # The pause behind the last sentence is for what must be pushed out of a jitter buffer.
    frames = recordings.sentences[-1].end
    added = sorted(
        (stream.there[number] - speech.due_at(stream.cell.begin_at, number) - ONE_WAY_S) * 1000
        for stream in streams
        for number in range(frames)
        if number in stream.there
    )
    cells = [stream.cell for stream in streams]
    silent = any(not stream.there for stream in streams)
    scores = [verdict.pesq for verdict in verdicts if verdict.pesq is not None]
    return Delivery(
        system=streams[0].system,
        loss=cells[0].loss,
        loss_up=sum(cell.lost_up for cell in cells) / max(1, sum(cell.packets_up for cell in cells)),
        frames=frames * len(streams),
        lost=frames * len(streams) - len(added),
        added_p50_ms=percentile(added, 0.50),
        added_p95_ms=percentile(added, 0.95),
        added_p99_ms=percentile(added, 0.99),
        words=sum(verdict.words for verdict in verdicts),
        wrong=sum(verdict.wrong for verdict in verdicts),
        pesq=statistics.mean(scores) if scores else None,
        problem=next((cell.error for cell in cells if cell.error), "nothing arrived" if silent else ""),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Of sorted values, the nearest rank; NaN of none."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


Piece = tuple[Sentence, tuple[bool, ...]]


def _judged(recordings: Recordings, arrivals: Iterable[Mapping[int, float]]) -> list[list[Verdict]]:
    """Of every sentence in every cell; what was lost alike is judged once, on all processors."""
    cells: list[list[Piece]] = [
        [
            (sentence, tuple(number in there for number in range(sentence.first, sentence.end)))
            for sentence in recordings.sentences
        ]
        for there in arrivals
    ]
    pieces = {_key(piece): piece for cell in cells for piece in cell}
    with ProcessPoolExecutor() as pool:
        verdicts = dict(zip(pieces, pool.map(_judge, pieces.values(), chunksize=4), strict=True))
    return [[verdicts[_key(piece)] for piece in cell] for cell in cells]


def _key(piece: Piece) -> tuple[int, tuple[bool, ...]]:
    return piece[0].first, piece[1]


def _judge(piece: Piece) -> Verdict:
    return judge(*piece)
