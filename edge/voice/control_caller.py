"""What a caller says on the control stream."""

from typing import Annotated, Any, Literal

import msgspec

from edge.voice.control_base import (
    DeadlineMs,
    Event,
    ItemId,
    LeadMs,
    Number,
    PassedOn,
    ResponseId,
    Stats,
)
from edge.voice.deadline import PRESETS, Deadlines, Preset


class DeadlineChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Milliseconds that a frame is worth, null for as long as it takes; what is absent stays as it is."""

    uplink_ms: DeadlineMs | msgspec.UnsetType | None = msgspec.UNSET
    downlink_ms: DeadlineMs | msgspec.UnsetType | None = msgspec.UNSET

    def change(self, deadlines: Deadlines) -> Deadlines:
        """What holds after this choice, if ``deadlines`` did before."""
        return Deadlines(
            deadlines.uplink_ms if self.uplink_ms is msgspec.UNSET else self.uplink_ms,
            deadlines.downlink_ms if self.downlink_ms is msgspec.UNSET else self.downlink_ms,
        )


def deadlines(choice: Preset | DeadlineChoice, before: Deadlines) -> Deadlines:
    """What holds after ``choice``, if ``before`` did."""
    return choice.change(before) if isinstance(choice, DeadlineChoice) else PRESETS[choice]


class SessionSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a caller may choose; None leaves it as it is. ``token`` and ``backend`` count in the first update."""

    lead_ms: LeadMs | Literal["auto"] | None = None
    deadline: Preset | DeadlineChoice | None = None
    token: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    backend: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class SessionUpdate(Event, frozen=True, tag="session.update"):
    """Choose ``lead_ms``, ``deadline`` and, at first, ``token`` and ``backend``; the rest of ``session`` is the backend's.

    `settings` takes it apart.
    """

    session: dict[str, Any]


def settings(update: SessionUpdate) -> tuple[SessionSettings, dict[str, Any]]:
    """What an update chooses, and the rest of it for the backend. Raises `msgspec.ValidationError`."""
    chosen = msgspec.convert({"session": update.session}, _Settings).session
    known = SessionSettings.__struct_fields__
    return chosen, {name: value for name, value in update.session.items() if name not in known}


class _Settings(msgspec.Struct):
    """So that an error names the place as the caller sees it."""

    session: SessionSettings


class SetDeadline(Event, frozen=True, tag="edge.deadline"):
    """Change what a frame is worth during the call: to a preset, to milliseconds, or to a preset but for these."""

    preset: Preset | None = None
    uplink_ms: DeadlineMs | msgspec.UnsetType | None = msgspec.UNSET
    downlink_ms: DeadlineMs | msgspec.UnsetType | None = msgspec.UNSET

    def change(self, deadlines: Deadlines) -> Deadlines:
        """What holds after this event, if ``deadlines`` did before."""
        numbers = DeadlineChoice(self.uplink_ms, self.downlink_ms)
        return numbers.change(PRESETS[self.preset] if self.preset else deadlines)


class CommitAudio(Event, frozen=True, tag="input_audio_buffer.commit"):
    """The utterance is over; it has ``frames`` in ``groups``, some of which may not have arrived."""

    utterance: Number
    groups: Number
    frames: Number


class ClearAudio(Event, frozen=True, tag="input_audio_buffer.clear"):
    """The utterance is taken back; the next one has the next number."""

    utterance: Number


class CreateResponse(PassedOn, frozen=True, tag="response.create"):
    """The caller wants to be answered."""


class CreateItem(PassedOn, frozen=True, tag="conversation.item.create"):
    """Something besides speech for the conversation: a text, the result of a tool."""


class RetrieveItem(PassedOn, frozen=True, tag="conversation.item.retrieve"):
    """The caller asks the backend for an item of the conversation."""


class DeleteItem(PassedOn, frozen=True, tag="conversation.item.delete"):
    """The backend shall forget an item of the conversation."""


class TruncateItem(Event, frozen=True, tag="conversation.item.truncate"):
    """The caller heard ``audio_end_ms`` of an item; the backend shall remember no more of it."""

    item_id: ItemId
    audio_end_ms: Number
    content_index: Number = 0


class CancelResponse(Event, frozen=True, tag="response.cancel"):
    """Interrupt one response, or without ``response_id`` whatever is being said; ``edge.resume`` takes it back."""

    response_id: ResponseId | None = None


class ClearOutput(Event, frozen=True, tag="output_audio_buffer.clear"):
    """Interrupt whatever is being said."""


class Resume(Event, frozen=True, tag="edge.resume"):
    """It was no interruption: go on with the item behind its first ``frames`` frames, which the caller has."""

    item_id: ItemId
    frames: Number


class Reconnect(Event, frozen=True, tag="edge.reconnect"):
    """The first record of a connection that continues a call: ``frames`` of ``item`` are here, all before it whole.

    ``utterance`` is the oldest that has not been confirmed, be it the next one; 0 leaves that to the token.
    """

    resume_token: Annotated[str, msgspec.Meta(max_length=4096)]
    item: Number
    frames: Number
    utterance: Number = 0


class Leave(Event, frozen=True, tag="edge.leave"):
    """The call goes on on another connection, which stands already: let it go. Nothing more is said on this one."""


CallerEvent = (
    SessionUpdate
    | SetDeadline
    | CommitAudio
    | ClearAudio
    | CreateResponse
    | CreateItem
    | RetrieveItem
    | DeleteItem
    | TruncateItem
    | CancelResponse
    | ClearOutput
    | Resume
    | Reconnect
    | Leave
    | Stats
)
