"""Real calls to the nodes of a fleet: a short recording is said, and all of it has to get there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from edge.cli.caller_token import token_option
from edge.cli.choice import timeout_s
from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.client import CallSummary
    from edge.fleet import Fleet, Node

SPEECH: Final = "hello"
SERVICE: Final = "service"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a caller believes, and who he says he is. ``server_name`` None is the host of a node's url, or the address."""

    ca: Path | None
    insecure: bool
    server_name: str | None
    token: str | None


def trust_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of `Trust`; ``command`` gets them as ``trust``."""

    @click.option(
        "--ca", type=click.Path(path_type=Path), help="Calls trust this PEM file instead of the public CAs."
    )
    @click.option("--insecure", is_flag=True, help="Calls accept any certificate.")
    @click.option(
        "--server-name",
        metavar="NAME",
        help="The certificate of calls must be for NAME.  [default: the host of the node's url, or the address]",
    )
    @token_option("Who calls, for nodes that ask")
    @functools.wraps(command)
    def with_trust(
        ca: Path | None, insecure: bool, server_name: str | None, token: str | None, **options: Any
    ) -> Any:
        return command(trust=Trust(ca, insecure, server_name, token), **options)

    return with_trust


@dataclass(frozen=True, slots=True)
class Way:
    """Whom to call: ``node`` None for a service address, where any of the fleet may answer."""

    address: str
    port: int
    server_name: str | None
    node: str | None

    @property
    def name(self) -> str:
        return f"{self.node or SERVICE} at {self.address}"


class Probed(msgspec.Struct, frozen=True):
    """A call that went well: who answered, how soon, and how many frames got there."""

    answered: str
    path: str
    handshake_ms: float | None
    rtt_ms: float | None
    frames: int


class Caller:
    def __init__(self, fleet: Fleet, trust: Trust) -> None:
        self._names = fleet.names
        self._trust = trust

    def ways(self, node: Node) -> Iterator[Way]:
        """To each of its own addresses."""
        name = self._trust.server_name or node.config.unicast.name
        for address in node.addresses:
            yield Way(str(address), node.config.service.port, name, str(node.name))

    def shared_ways(self, fleet: Fleet) -> Iterator[Way]:
        """To each service address, once."""
        shared = dict.fromkeys(
            (str(address), node.config.service.port)
            for node in fleet.nodes
            for address in node.config.service.addresses
        )
        for address, port in shared:
            yield Way(address, port, self._trust.server_name, None)

    async def call(self, way: Way) -> Probed:
        """Raises `EdgeError` if anything is missing."""
        from edge.client import audio, connect, speech

        call = connect(
            way.address,
            way.port,
            token=self._trust.token,
            server_name=way.server_name,
            ca=self._trust.ca,
            insecure=self._trust.insecure,
            early_data=False,
            carrier="quic",
            timeout_s=timeout_s(),
            redial_delays_s=(),
        )
        async with call:
            await call.say(audio.read_speech(speech.recording(SPEECH)))
            summary = await call.hang_up()
        return self._judged(way, summary)

    def _judged(self, way: Way, summary: CallSummary) -> Probed:
        last, missing = summary.last, summary.missing_up
        if missing is None or missing or summary.lost_up:
            raise EdgeError(
                f"{'an unknown number' if missing is None else missing + (summary.lost_up or 0)} of "
                f"{summary.frames_sent} frames did not get there"
            )
        if way.node is not None and last.node != way.node:
            raise EdgeError(f"{last.node} answered")
        if last.node not in self._names:
            raise EdgeError(f"{last.node} answered, which is not of this fleet")
        return Probed(last.node, last.path, summary.handshake_ms, last.rtt_ms, summary.frames_sent)
