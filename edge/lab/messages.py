"""What passes between the command outside a lab and the processes inside: JSON lines on one socket."""

import socket
from typing import Any

import msgspec

# Outside to inside, at most once after `Boot`: the lab may live on without whoever started it.
RELEASE = b"\n"


class Boot(msgspec.Struct, frozen=True):
    """Outside to inside, once: what to run.

    ``target`` is ``package.module:function``; ``keep`` lists directories that must stay visible although
    ``/run`` is replaced.
    """

    target: str
    argument: Any
    keep: tuple[str, ...]


class Born(msgspec.Struct, frozen=True, tag=True):
    """The lab has its namespaces (inode numbers by kind); ``pid`` is its first process, seen from outside."""

    pid: int
    namespaces: dict[str, int]


class Told(msgspec.Struct, frozen=True, tag=True):
    """A value the target hands out while it runs."""

    value: Any


class Returned(msgspec.Struct, frozen=True, tag=True):
    """The target's result."""

    value: Any


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The target raised; ``exit_code`` names the class in `edge.errors`."""

    exit_code: int
    message: str


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The last word of the first process: the lab's network namespaces by node (inode numbers)."""

    netns: dict[str, int]


Report = Born | Told | Returned | Failed | Ended


def send(channel: socket.socket, message: Boot | Report) -> None:
    """Write one message."""
    channel.sendall(msgspec.json.encode(message) + b"\n")
