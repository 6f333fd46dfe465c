"""What all control events have in common: identifiers, limits, and the event that both ends say."""

from typing import Annotated

import msgspec

from edge.voice.deadline import MAX_DEADLINE_MS, MIN_DEADLINE_MS
from edge.voice.lead import MAX_LEAD_MS, MIN_LEAD_MS
from edge.voice.ledger import LedgerCount
from edge.voice.varint import MAX_VARINT

Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_VARINT)]
LeadMs = Annotated[int, msgspec.Meta(ge=MIN_LEAD_MS, le=MAX_LEAD_MS)]
DeadlineMs = Annotated[int, msgspec.Meta(ge=MIN_DEADLINE_MS, le=MAX_DEADLINE_MS)]
EventId = Annotated[str, msgspec.Meta(max_length=128)]
ItemId = Annotated[str, msgspec.Meta(pattern="^item_[0-9]{1,15}\\Z")]
ResponseId = Annotated[str, msgspec.Meta(pattern="^resp_[0-9]{1,15}\\Z")]


def item_id(number: int) -> ItemId:
    return f"item_{number}"


def response_id(number: int) -> ResponseId:
    return f"resp_{number}"


def number(identifier: ItemId | ResponseId) -> int:
    """The number in an identifier that has been decoded."""
    return int(identifier.partition("_")[2])


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """What all events may carry: an identifier of the sender's choice, repeated in an `Error` about it."""

    event_id: EventId | None = None


class PassedOn(Event, frozen=True):
    """What is the backend's to understand: it gets the whole event, with fields that are not known here."""


class Stats(Event, frozen=True, tag="edge.stats"):
    """Without counts a question, with both the answer: what the sender has heard and said so far."""

    heard: LedgerCount | None = None
    said: LedgerCount | None = None
