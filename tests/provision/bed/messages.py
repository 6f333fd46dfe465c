"""What is asked of a bed that is up, and answered: one JSON object each way, over a socket that only its user reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from edge.lab.namespaces import RUN_DIR

SOCKET: Final = RUN_DIR / "bed.sock"


class Ask(msgspec.Struct, tag=True, frozen=True):
    """How is everything?"""


class Await(msgspec.Struct, tag=True, frozen=True):
    """Answer when a node has booted for the ``boots``-th time."""

    node: str
    boots: int
    timeout_s: float


class Plug(msgspec.Struct, tag=True, frozen=True):
    """Put the cable of a place in, or pull it."""

    place: str
    connected: bool


class Power(msgspec.Struct, tag=True, frozen=True):
    """Switch a node on, or off as if its power failed."""

    node: str
    on: bool


class Spawn(msgspec.Struct, tag=True, frozen=True):
    """Start a daemon at a place, which ends with the bed; one of that name is stopped first."""

    place: str
    name: str
    argv: list[str]
    env: dict[str, str]


class Stop(msgspec.Struct, tag=True, frozen=True):
    """Stop a daemon that was started with `Spawn`."""

    name: str


Request = Ask | Await | Plug | Power | Spawn | Stop


class Machines(msgspec.Struct, frozen=True):
    """Boots, and the first process as the bed counts them (None: off), of each node."""

    boots: dict[str, int]
    leaders: dict[str, int | None]
    daemons: dict[str, int | None]
    """Return codes by name; None while they run."""


class Answer(msgspec.Struct, frozen=True):
    """``error`` is None if it was done."""

    error: str | None
    machines: Machines


class Order(msgspec.Struct, frozen=True):
    """What bed to make: paths of the machine."""

    cgroup: str
    directory: str
    image: str
    packages: str

    @property
    def home(self) -> Path:
        """The operator's, on the controller."""
        return Path(self.directory, "home")
