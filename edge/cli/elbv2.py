"""What to type so that an AWS Network Load Balancer knows a fleet: commands of ``aws elbv2``, and what they need. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edge.config.fleet_file import FleetFile, FleetNode, check_membership
from edge.config.schema import NodeConfig
from edge.errors import ConfigError, UsageError
from edge.quic import BEHIND_NLB

GROUP: Final = "TARGET_GROUP_ARN"
"""The shell variable that has the target group's name once it is made."""

_VARIABLE: Final = f"${GROUP}"
_NAME = re.compile(r"(?!internal-)[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
_VPC = re.compile(r"vpc-[0-9a-f]+")
_ARN = re.compile(r"arn:[\w:/.-]+")
_HEALTH_INTERVAL_S, _THRESHOLD = 10, 2


@dataclass(frozen=True, slots=True)
class Wishes:
    """``group``: the target group that is there, by its ARN; else one is made, called ``name``, in ``vpc``.

    ``health_port``: where the nodes' ``[metrics] listen`` answers ``/readyz``; None: they are healthy while they accept
    TCP connections. Raises UsageError for what AWS would not take.
    """

    port: int = 443
    group: str | None = None
    vpc: str | None = None
    name: str = "edge"
    balancer: str | None = None
    with_tcp: bool = True
    health_port: int | None = None

    def __post_init__(self) -> None:
        if (self.group is None) == (self.vpc is None):
            raise UsageError(
                "say which target group: --target-group-arn of one that is there, or --vpc to make one"
            )
        for option, text, form, example in (
            ("--vpc", self.vpc, _VPC, "vpc-0123456789abcdef0"),
            ("--target-group-arn", self.group, _ARN, "arn:aws:elasticloadbalancing:...:targetgroup/..."),
            ("--load-balancer-arn", self.balancer, _ARN, "arn:aws:elasticloadbalancing:...:loadbalancer/..."),
            ("--name", self.name, _NAME, "up to 32 letters, digits and hyphens, none at the ends"),
        ):
            if text is not None and not form.fullmatch(text):
                raise UsageError(f"{option} {text!r}: is none; it looks like {example}")

    @property
    def protocol(self) -> str:
        return "TCP_QUIC" if self.with_tcp else "QUIC"


@dataclass(frozen=True, slots=True)
class Command:
    """``argv`` may have `_VARIABLE` in it. ``sets``: the shell variable that its output is to be in."""

    argv: tuple[str, ...]
    sets: str | None = None

    def __str__(self) -> str:
        # What is around the variable was made here and needs no quotes of its own.
        line = " ".join(f'"{word}"' if _VARIABLE in word else shlex.quote(word) for word in self.argv)
        return line if self.sets is None else f"{self.sets}=$({line})"


def commands(fleet: FleetFile, wishes: Wishes, only: Sequence[str] = ()) -> list[Command]:
    """In the order in which to run them. ``only``: the nodes to register, by name; all if empty.

    Raises `ConfigError` for a node that cannot be a target, `UsageError` for one that is not there.
    """
    targets = [_target(index, node, wishes.port) for index, node in _chosen(fleet, only)]
    group = wishes.group or _VARIABLE
    found = [_create_group(wishes)] if wishes.group is None else []
    if wishes.group is None and wishes.health_port is not None:
        # A node that is drained says that it is not ready, and still has calls.
        keep = "Key=target_health_state.unhealthy.connection_termination.enabled,Value=false"
        found.append(_elbv2("modify-target-group-attributes", target_group_arn=group, attributes=keep))
    register = _elbv2("register-targets", target_group_arn=group)
    found.append(Command((*register.argv, "--targets", *targets)))
    if wishes.balancer is not None:
        found.append(
            _elbv2(
                "create-listener",
                load_balancer_arn=wishes.balancer,
                protocol=wishes.protocol,
                port=wishes.port,
                default_actions=f"Type=forward,TargetGroupArn={group}",
            )
        )
    return found


def check_node(fleet: FleetFile, config: NodeConfig, wishes: Wishes) -> None:
    """Raise `ConfigError` if the node of ``config`` would not understand the balancer, or the other way round."""
    check_membership(fleet, config)
    if config.cid.profile != BEHIND_NLB:
        raise ConfigError(
            "$.cid.profile",
            f'the balancer cannot read connection IDs of "{config.cid.profile}"; set "{BEHIND_NLB}"',
        )
    own = next(node for node in fleet.nodes if node.name == config.node.name)
    address = _ipv4(fleet.nodes.index(own), own)
    if address not in config.service.addresses:
        raise ConfigError(
            "$.service.addresses", f"{address}, which is to be the target, is not among them; add it"
        )
    if config.service.port != wishes.port:
        raise ConfigError(
            "$.service.port", f"{config.service.port}, and targets are registered with --port {wishes.port}"
        )
    listen = config.metrics.listen
    if wishes.health_port is not None and (
        listen is None or (listen.host, listen.port) != (address, wishes.health_port)
    ):
        raise ConfigError(
            "$.metrics.listen",
            f'health checks come to {address}:{wishes.health_port}; set "{address}:{wishes.health_port}"',
        )


def _create_group(wishes: Wishes) -> Command:
    health: dict[str, object] = {"health_check_protocol": "TCP"}
    if wishes.health_port is not None:
        health = {
            "health_check_protocol": "HTTP",
            "health_check_port": wishes.health_port,
            "health_check_path": "/readyz",
        }
    made = _elbv2(
        "create-target-group",
        name=wishes.name,
        protocol=wishes.protocol,
        port=wishes.port,
        vpc_id=wishes.vpc,
        target_type="ip",
        ip_address_type="ipv4",
        **health,
        health_check_interval_seconds=_HEALTH_INTERVAL_S,
        healthy_threshold_count=_THRESHOLD,
        unhealthy_threshold_count=_THRESHOLD,
        query="TargetGroups[0].TargetGroupArn",
        output="text",
    )
    return Command(made.argv, sets=GROUP)


def _elbv2(verb: str, **options: object) -> Command:
    words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    return Command(("aws", "elbv2", verb, *words))


def _chosen(fleet: FleetFile, only: Iterable[str]) -> Iterator[tuple[int, FleetNode]]:
    wanted, names = set(only), [str(node.name) for node in fleet.nodes]
    for name in wanted - set(names):
        raise UsageError(f"no node {name!r} in the fleet; there are {', '.join(names)}")
    for index, node in enumerate(fleet.nodes):
        if not wanted or node.name in wanted:
            yield index, node


def _target(index: int, node: FleetNode, port: int) -> str:
    return f"Id={_ipv4(index, node)},Port={port},QuicServerId=0x{bytes(node.server_id).hex()}"


def _ipv4(index: int, node: FleetNode) -> str:
    found = next((str(address) for address in node.addresses if address.version == 4), None)
    if found is None:
        raise ConfigError(
            f"$.nodes[{index}].addresses",
            f"{node.name} has no IPv4 address, and AWS's QUIC has no IPv6; add one",
        )
    return found
