"""edgectl aws"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.output import output_option, print_json
from edge.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from edge.config import NodeConfig
    from edge.config.fleet_file import FleetFile

_port = click.IntRange(1, 65535)


@click.group()
def aws() -> None:
    """Put a fleet behind an AWS Network Load Balancer."""


@aws.command(
    "register",
    epilog="For example: edgectl aws register fleet.toml --vpc vpc-0123456789abcdef0 --health-port 9464",
)
@click.argument("fleet", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--target-group-arn", "group", metavar="ARN", help="Register with this target group, which is there."
)
@click.option("--vpc", metavar="VPC", help="Make a target group in this VPC, and register with it.")
@click.option(
    "--name", default="edge", show_default=True, help="What the target group that is made is called."
)
@click.option(
    "--load-balancer-arn", "balancer", metavar="ARN", help="Give this load balancer a listener, too."
)
@click.option(
    "--port", type=_port, default=443, show_default=True, help="The nodes' service.port, and the listener's."
)
@click.option(
    "--tcp/--no-tcp", "with_tcp", default=True, help="Calls by WebSocket come through the same port, or not."
)
@click.option(
    "--health-port",
    type=_port,
    help="Ask nodes there whether they are ready: the port of their metrics.listen. Without it, a node is healthy while "
    "it accepts TCP connections on --port, even if it is drained.",
)
@click.option(
    "--node",
    "only",
    multiple=True,
    metavar="NAME",
    help="Register this node; may be repeated.  [default: all]",
)
@click.option(
    "--config",
    "configs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A node's configuration file, to see whether it fits; may be repeated.",
)
@output_option
def register(
    fleet: Path,
    group: str | None,
    vpc: str | None,
    name: str,
    balancer: str | None,
    port: int,
    with_tcp: bool,
    health_port: int | None,
    only: tuple[str, ...],
    configs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Print the commands that make the nodes of FLEET targets of a Network Load Balancer.

    FLEET is the operator's fleet file, of which each node's configuration is then known and checked, or the members file
    that the nodes have. Nothing is run and nobody is asked. Look at the lines, then give them to a shell, one after the
    other. Each node is registered by its IPv4 address in FLEET and its server ID, which its connection IDs carry.
    """
    from edge.cli.elbv2 import Wishes, check_node, commands
    from edge.config import load_config

    wishes = Wishes(port, group, vpc, name, balancer, with_tcp, health_port)
    members, known = _read(fleet)
    try:
        lines = commands(members, wishes, only)
    except ConfigError as error:
        raise _in(fleet, error) from error
    for node in known:
        if not only or node.node.name in only:
            try:
                check_node(members, node, wishes)
            except ConfigError as error:
                raise ConfigError(f"{fleet}: {error.where} of {node.node.name}", error.problem) from error
    for file in configs:
        try:
            check_node(members, load_config(file), wishes)
        except ConfigError as error:
            raise _in(file, error) from error
    if as_json:
        listed = [{"argv": line.argv, "sets": line.sets} for line in lines]
        print_json({"apiVersion": "edge/v1", "kind": "AwsCommands", "commands": listed})
        return
    for line in lines:
        click.echo(line)
    if vpc is not None and balancer is None:
        click.echo("no load balancer listens for this target group yet; see --load-balancer-arn", err=True)


def _read(file: Path) -> tuple[FleetFile, tuple[NodeConfig, ...]]:
    """The members, and their configurations where the file is the operator's."""
    from edge.config.fleet_file import parse_fleet
    from edge.fleet import is_fleet, load_fleet
    from edge.fleet.render import members_toml

    try:
        text = file.read_text()
        if is_fleet(text):
            fleet = load_fleet(file)
            return parse_fleet(members_toml(fleet)), tuple(node.config for node in fleet.nodes)
        return parse_fleet(text), ()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UsageError(
            f"{file}: {reason}; name the operator's fleet file, or the members that the nodes have as fleet.file"
        ) from error
    except ConfigError as error:
        raise _in(file, error) from error


def _in(file: Path, error: ConfigError) -> ConfigError:
    """The same with the file in front, if it does not stand there yet."""
    return ConfigError(f"{file}: {error.where}", error.problem) if error.where.startswith("$") else error
