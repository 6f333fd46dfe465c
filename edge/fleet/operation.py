"""What nodes are told of an operation on their fleet: whoever looks at one next learns from it what was going on.

The document lies on every node of the fleet, and is all that `--resume` goes by. No file of the operator's machine knows
anything of an operation.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec

Text = Annotated[str, msgspec.Meta(max_length=1000)]

REASON_LIMIT: Final = 1000
_MARK = re.compile(r"\[op-[0-9a-f]{8}\]$")


class Kind(StrEnum):
    UPGRADE = "upgrade"
    ROLLBACK = "rollback"
    CONFIG = "config apply"


class Step(StrEnum):
    """What is done to one node, in this order; a kind of operation leaves some out."""

    WAITING = "waiting"
    DRAIN = "drain"
    GONE = "gone"
    """Routers and the other nodes have seen that it left."""
    INSTALL = "install"
    CHECK = "check"
    """The release takes the configuration that is there."""
    USE = "use"
    CONFIGURE = "configure"
    RESTART = "restart"
    ADMIT = "admit"
    """Drained no longer, but held: who calls its unicast address is let in."""
    VERIFY = "verify"
    CALL = "call"
    UNDRAIN = "undrain"
    BACK = "back"
    """It announces, and the others see it."""
    SOAK = "soak"
    DONE = "done"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """``nodes`` is the whole fleet in the order of the work; ``before`` and ``after`` (in JSON ``from`` and ``to``) are this
    node's release, or the hash of its configuration; ``step`` is how far this node is.

    ``started_at`` is in seconds since 1970. ``reason`` is why it failed, and on which node.
    """

    id: str
    kind: Kind
    who: str
    started_at: float
    nodes: tuple[str, ...]
    before: str = msgspec.field(name="from")
    after: str = msgspec.field(name="to")
    step: Step
    state: Literal["planned", "running", "failed", "done"]
    reason: str = ""


def sentence(operation: Operation) -> str:
    """``upgrade to 0.2.0 [op-0a1b2c3d]``: why a node is held while it is worked on, see `is_ours`."""
    return f"{operation.kind} to {operation.after} [{operation.id}]"


def is_ours(reason: str) -> bool:
    """Whether a hold for this reason was made by an operation, this one or an earlier one that was cut off.

    Such a hold is an operation's to end; any other belongs to a person.
    """
    return _MARK.search(reason) is not None
