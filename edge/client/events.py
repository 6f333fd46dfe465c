"""What a call tells its owner: what its session tells (`edge.voice.events`), and how its connections fare."""

from dataclasses import dataclass

from edge.client.summary import Ending
from edge.voice import CallerEvent


@dataclass(frozen=True, slots=True)
class Migrated:
    """The call left the service address; ``path`` is the unicast address it lives on now."""

    path: str
    after_ms: float
    """From the ClientHello to the first answer from there."""


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection is gone; another one is being dialled."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The call goes on, with a new session on ``node``."""

    node: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event."""

    ending: Ending
    reason: str


CallEvent = CallerEvent | Migrated | Reconnecting | Reconnected | Ended
