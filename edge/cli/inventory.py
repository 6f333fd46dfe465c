"""edgectl inventory"""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli.fleet_option import complete_node, fleet_option, loaded
from edge.cli.output import print_json
from edge.errors import UsageError


@click.command(epilog="For example: edgectl inventory --from-terraform terraform > inventory.json")
@click.option("--list", "as_script", is_flag=True, help="As Ansible asks an inventory that is a program.")
@click.option(
    "--host", metavar="NAME", shell_complete=complete_node, help="The variables of one node, likewise."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["ansible", "prometheus"]),
    default="ansible",
    show_default=True,
    help="An inventory for a file (inventory.json), or targets for Prometheus.",
)
@click.option(
    "--from-terraform",
    "terraform",
    metavar="PATH",
    type=click.Path(path_type=Path, exists=True),
    help="Add the nodes that Terraform has made: the folder that it was applied in, or a file with what "
    "`terraform output -json edge_nodes` printed.  [default: `terraform` in the fleet file]",
)
@fleet_option
def inventory(
    fleet_file: Path, as_script: bool, host: str | None, output: str, terraform: Path | None
) -> None:
    """Print the nodes as an Ansible inventory. Of secrets it says only where their files are."""
    from edge.fleet.inventory import dynamic, host_variables, static
    from edge.fleet.targets import targets_json

    if as_script and host is not None:
        raise UsageError("--list and --host: one of them")
    if output != "ansible" and (as_script or host is not None):
        raise UsageError(f"-o {output}: --list and --host are Ansible's")
    fleet = loaded(fleet_file, terraform=terraform)
    if output == "prometheus":
        click.echo(targets_json(fleet).decode(), nl=False)
    elif host is not None:
        print_json(host_variables(fleet, fleet.node(host)))
    else:
        print_json(dynamic(fleet) if as_script else static(fleet))
