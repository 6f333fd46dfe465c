"""One response item at the edge: its speech, the stage of its life, and the way on which it travels."""

from dataclasses import dataclass

from edge.voice.actions import Action
from edge.voice.frame import FRAME_MS, GROUP_MS
from edge.voice.speech import Speech
from edge.voice.turns import Stage, Trigger, after, can
from edge.voice.way import ItemWay


@dataclass(slots=True, eq=False)
class Reply:
    """``deadline_ms`` is the downlink's when the item began; ``finished`` once all of it has been on the wire."""

    speech: Speech
    deadline_ms: int | None
    stage: Stage = Stage.WAITING
    way: ItemWay | None = None
    paused_until: float = 0.0
    finished: bool = False
    cut: bool = False
    """It ends before its end: whoever said it is gone."""

    @property
    def number(self) -> int:
        return self.speech.item

    @property
    def quantum_ms(self) -> int:
        """The least that is worth a packet: a group, or what there is."""
        return min(GROUP_MS, self.speech.waiting * FRAME_MS)

    @property
    def is_heard(self) -> bool:
        """Whether it can be forgotten: the caller has come to its end."""
        return self.finished and self.speech.is_heard and can(self.stage, Trigger.HEARD)

    def move(self, trigger: Trigger) -> None:
        self.stage = after(self.stage, trigger)

    def leave(self) -> list[Action]:
        """Off the way, and nothing of what is on it is wanted."""
        way, self.way = self.way, None
        return way.reset() if way else []

    def rewind(self, item: int, frames: int) -> bool:
        """Go on where a caller is that has ``frames`` of ``item`` and all before it; whether nothing is missing."""
        whole = self.number < item
        self.speech.rewind(self.speech.wire if whole else frames if self.number == item else 0)
        return whole and self.finished
