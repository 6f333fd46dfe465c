"""edgectl cid"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.fleet_option import fleet_option, loaded
from edge.cli.layout import table
from edge.cli.output import output_option, print_json
from edge.errors import EdgeError, UsageError

if TYPE_CHECKING:
    from edge.fleet import Fleet
    from edge.fleet.quic_lb import Configuration
    from edge.keys import KeyRing

_ring = click.option(
    "--ring",
    "ring_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The key ring, if not the one that the fleet file names; for one that ansible-vault has encrypted, say.",
)


@click.group()
def cid() -> None:
    """Read the fleet's connection IDs, or let a load balancer read them (QUIC-LB)."""


@cid.command("table")
@fleet_option
@_ring
@click.option(
    "--show-keys", is_flag=True, help="With the keys, which a load balancer needs: it can then read them all."
)
@output_option
def cid_table(fleet_file: Path, ring_file: Path | None, show_keys: bool, as_json: bool) -> None:
    """Print the QUIC-LB configurations that are live, and the server ID of each node."""
    from edge.fleet.quic_lb import table as configurations

    fleet = loaded(fleet_file)
    found = configurations(fleet, _read(fleet, ring_file), show_keys=show_keys)
    if as_json:
        print_json({"apiVersion": "edge/v1", "kind": "QuicLbTable", "configurations": found})
        return
    heads = (
        "config",
        "",
        "algorithm",
        "CID",
        "server ID",
        "nonce",
        "worker",
        "key" if show_keys else "key's fingerprint",
    )
    click.echo(table([heads, *map(_row, found)]) + "\n")
    rows = {
        (mapping.server_id, mapping.node): [*_addresses(found, mapping.server_id)]
        for configuration in found
        for mapping in configuration.server_id_mappings
    }
    lines = [(server_id, node, ", ".join(addresses)) for (server_id, node), addresses in rows.items()]
    click.echo(table([("server ID", "node", "addresses"), *lines]))


@cid.command("decode", epilog="For example: edgectl cid decode 00:a1b2:c3d4:e5f6:0718:293a:4b5c:6d7e:8f90")
@click.argument("connection_id", metavar="HEX")
@fleet_option
@_ring
@output_option
def decode(connection_id: str, fleet_file: Path, ring_file: Path | None, as_json: bool) -> None:
    """Say whose connection ID HEX is: the node, and the worker there.

    HEX may have colons or blanks in it. A caller makes up the first one of a connection itself, and that is nobody's.
    """
    from edge.fleet.quic_lb import owner

    fleet = loaded(fleet_file)
    found = owner(fleet, _read(fleet, ring_file), _bytes(connection_id))
    server_id = found.decoded.server_id.hex()
    document = {
        "connection_id": _bytes(connection_id).hex(),
        "node": found.node and str(found.node.name),
        "site": found.node and str(found.node.site),
        "server_id": server_id,
        "worker": found.decoded.worker if found.config.worker_octet else None,
        "profile": found.profile,
        "config_id": found.decoded.rotation,
        "nonce": found.decoded.nonce.hex(),
    }
    if as_json:
        print_json({"apiVersion": "edge/v1", "kind": "ConnectionId", **document})
    else:
        click.echo(
            table(
                [
                    (key.replace("_", " "), "none" if value is None else str(value))
                    for key, value in document.items()
                ]
            )
        )
    if found.node is None:
        raise EdgeError(
            f"{server_id}: no node of {fleet.file} has this server ID; a caller has made the connection ID up, or another "
            "fleet or key ring has"
        )


def _read(fleet: Fleet, ring_file: Path | None) -> KeyRing:
    from edge.config.key_file import read_ring
    from edge.keys import KeyRingError

    path = ring_file or fleet.secrets.key_ring
    try:
        return read_ring(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; name the key ring with --ring") from error
    except KeyRingError as error:
        raise UsageError(
            f"{error}; if ansible-vault has encrypted it, name a decrypted copy with --ring"
        ) from error


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.replace(":", " "))
    except ValueError:
        raise UsageError(f"{text!r} is not hex; a connection ID looks like 91c0ffee...") from None


def _row(configuration: Configuration) -> tuple[str, ...]:
    key = configuration.cid_key or configuration.key_fingerprint or "none"
    return (
        str(configuration.config_id),
        "issued" if configuration.issued else "accepted",
        configuration.algorithm,
        f"{configuration.cid_length} bytes",
        str(configuration.server_id_length),
        str(configuration.nonce_length),
        "last" if configuration.worker_octet else "none",
        key,
    )


def _addresses(found: list[Configuration], server_id: str) -> list[str]:
    return list(
        dict.fromkeys(
            mapping.server_address
            for configuration in found
            for mapping in configuration.server_id_mappings
            if mapping.server_id == server_id
        )
    )
