"""The table of contents of edgectl, and the group that reads it.

Commands are imported when they run: `edgectl --help` reads this table and loads neither QUIC nor netlink.
"""

import logging
from importlib import import_module
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from edge.cli.choice import fleet_options


class Entry(NamedTuple):
    """Where a command lives: ``module`` holds a click command named like the command itself, with ``_`` for ``-``."""

    module: str
    summary: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "On one machine": {
        "up": Entry("edge.cli.up", "Start one node on loopback and talk to it in a browser."),
        "lab": Entry("edge.cli.lab", "Build an internet in namespaces and run scenarios on it."),
        "call": Entry("edge.cli.call", "Place a spoken call to an edge and account for every frame."),
        "load": Entry(
            "edge.cli.load", "Place many calls at once, to see what an edge does when there are too many."
        ),
    },
    "A fleet, day and night": {
        "status": Entry(
            "edge.cli.status", "Show how nodes stand: what is wrong first, then a line for each."
        ),
        "top": Entry("edge.cli.top", "Watch the nodes live: routes, pressure, calls, and what is wrong."),
        "calls": Entry("edge.cli.calls", "Look at the calls that are up."),
        "probe": Entry(
            "edge.cli.probe", "Call each node, and the fleet at its service addresses, from here."
        ),
        "drain": Entry("edge.cli.drain", "Empty a node: its callers go on elsewhere."),
        "undrain": Entry("edge.cli.undrain", "Take a drained node back into service."),
        "report": Entry("edge.cli.report", "Write how nodes stand into an HTML file."),
    },
    "Routing": {
        "explain": Entry("edge.cli.explain", "Say why a node is where it is, and what would change that."),
        "withdraw": Entry("edge.cli.withdraw", "Take a node out of the routes, and keep it out."),
        "announce": Entry("edge.cli.announce", "End a withdrawal, or keep a node in the routes."),
        "bgp": Entry("edge.cli.bgp", "Look at a node's BGP sessions, and at what is said on them."),
    },
    "Changing a fleet": {
        "upgrade": Entry("edge.cli.upgrade", "Bring a release to all nodes, one after the other."),
        "rollback": Entry("edge.cli.rollback", "Take all nodes back to the release of before."),
        "config": Entry(
            "edge.cli.config", "Make the nodes' configurations from the fleet file, and put them in place."
        ),
        "keys": Entry("edge.cli.keys", "Make and change the fleet's key ring."),
    },
    "What a fleet is": {
        "fleet": Entry("edge.cli.fleet", "Write the fleet file, check it, and look at what it says."),
        "context": Entry("edge.cli.context", "Name fleets, and say which one is meant."),
        "inventory": Entry("edge.cli.inventory", "Print the fleet as an Ansible inventory."),
        "sd": Entry("edge.cli.sd", "Tell Prometheus where the nodes are."),
        "rules": Entry("edge.cli.rules", "Write Prometheus' rules and alerts for a fleet."),
        "dashboards": Entry("edge.cli.dashboards", "Write Grafana's dashboards for a fleet."),
        "cid": Entry(
            "edge.cli.cid", "Say whose connection ID it is, and what a load balancer needs for that."
        ),
        "aws": Entry("edge.cli.aws", "Put a fleet behind an AWS Network Load Balancer."),
        "token": Entry(
            "edge.cli.token", "Make keys and tokens for callers, and see whether a token is good."
        ),
    },
    "On a node": {
        "node": Entry("edge.cli.node", "Run this machine as an edge."),
        "doctor": Entry(
            "edge.cli.doctor", "Look for what is wrong with this machine as a node, and say what to do."
        ),
        "support-bundle": Entry(
            "edge.cli.support_bundle", "Pack what helps to understand a node, without secrets."
        ),
    },
    "On paper": {
        "simulate": Entry(
            "edge.cli.simulate", "Try a fleet and its policy in virtual time, beside other policies."
        ),
    },
    "About": {
        "completion": Entry("edge.cli.completion", "Have a shell complete commands and names of nodes."),
        "version": Entry("edge.cli.version", "Print the versions that a bug report needs, or of the fleet."),
    },
}


class TableOfContents(click.Group):
    """A group whose subcommands are the entries of ``SECTIONS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for entries in SECTIONS.values() for name in entries]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for entries in SECTIONS.values():
            if entry := entries.get(cmd_name):
                command: click.Command = getattr(import_module(entry.module), cmd_name.replace("-", "_"))
                return command
        return None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """From the table alone: click would import every command for its help."""
        return [
            CompletionItem(name, help=entry.summary)
            for entries in SECTIONS.values()
            for name, entry in entries.items()
            if name.startswith(incomplete)
        ] or super().shell_complete(ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self.list_commands(ctx))
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.summary) for name, entry in entries.items()])


@click.command(
    cls=TableOfContents,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "EDGECTL"},
)
@fleet_options
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for every detail.")
def edgectl(verbose: int) -> None:
    """Anycast edges for voice: run one, call one, and watch a lab of them survive."""
    level = [logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)]
    logging.basicConfig(level=level, format="%(asctime)s level=%(levelname)s logger=%(name)s %(message)s")
    if verbose < 2:
        # The engine tells of every connection what the command tells better.
        logging.getLogger("quic").setLevel(logging.ERROR)
