"""What somebody is doing to the whole fleet, noted on each of its nodes: what `edgectl upgrade` leaves for the next.

A node does not act on it. It keeps the note, shows it, and sees when its author has gone in the middle of the work.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from edge.errors import UsageError
from edge.runtime.holds import WallTime, Who
from edge.runtime.lease import Grant

LIMIT: Final = 16 * 1024  # bytes of JSON

_Word = Annotated[str, msgspec.Meta(max_length=100)]
_Sentence = Annotated[str, msgspec.Meta(max_length=2000)]


class Operation(msgspec.Struct, frozen=True):
    """What every such note must have; it may have more, which is kept as it came.

    ``nodes`` are in the order of the work, names or objects that begin with one.
    """

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    who: Who
    started_at: WallTime
    nodes: list[str | dict[str, Any]]
    before: _Word | None = msgspec.field(name="from")
    after: _Word | None = msgspec.field(name="to")
    step: _Sentence
    state: Literal["planned", "running", "failed", "done"]
    reason: _Sentence


class Note(msgspec.Struct, frozen=True):
    """An operation as it is kept: ``document`` as it came, ``proof`` that of the lease under which it was written."""

    proof: str
    document: dict[str, Any]

    def shown(self, grant: Grant | None, now: float) -> dict[str, Any]:
        """The document, and whether its author has gone in the middle of the work, with what to do then."""
        is_held = grant is not None and grant.proof == self.proof and not grant.is_over(now)
        interrupted = self.document["state"] == "running" and not is_held
        advice = f"the {self.document['kind']} that {self.document['who']} began was interrupted"
        advice += f" at: {self.document['step']}; go on with: {way_on(self.document['kind'])}"
        return {**self.document, "interrupted": interrupted, "advice": advice if interrupted else ""}


def way_on(kind: str) -> str:
    """The command that finishes what was cut off."""
    return "edgectl config apply" if kind == "config apply" else "edgectl upgrade --resume"


def parse(body: bytes) -> dict[str, Any] | None:
    """The body of ``POST /operation``; None: there is no operation any more. Raises `UsageError`."""
    if len(body) > LIMIT:
        raise UsageError(f"request body: an operation has at most {LIMIT} bytes, this one has {len(body)}")
    try:
        document: Any = msgspec.json.decode(body or b"null")
        if document is not None:
            msgspec.convert(document, Operation)
    except msgspec.DecodeError as error:
        raise UsageError(f"request body: {error}") from error
    return None if document is None else dict(document)
