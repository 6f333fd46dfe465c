"""``python -m bed``: a bed by hand."""

from __future__ import annotations

import argparse
import sys

from bed import messages, outside, wheelhouse
from bed.plan import NODES, PLACES, ROUTER

from edge.errors import EdgeError

PLACE_NAMES = (ROUTER, *(place.name for place in PLACES))
NODE_NAMES = tuple(node.name for node in NODES)


def main() -> int:
    """Its exit code, as edgectl's: see docs/reference/exit-codes.md."""
    arguments = _parser().parse_args()
    try:
        return _do(arguments)
    except EdgeError as error:
        print(f"bed: {error}", file=sys.stderr)
        return error.exit_code


def _do(arguments: argparse.Namespace) -> int:
    name = arguments.name
    match arguments.verb:
        case "up":
            phases = outside.up(name)
            print(*(f"{phase} {seconds:.1f}" for phase, seconds in phases.items()), sep="\n")
            print(f"bed {name!r} is up; the operator's home is {outside.home(name)}", file=sys.stderr)
        case "down":
            if not outside.down(name):
                print(f"bed {name!r} was not up", file=sys.stderr)
        case "list":
            print(*outside.names(), sep="\n")
        case "status":
            found = outside.ask(name, messages.Ask())
            for node, boots in found.boots.items():
                print(node, "off" if found.leaders[node] is None else "on", f"boots={boots}")
        case "exec":
            return outside.execute(name, arguments.place, arguments.command)
        case "shell":
            return outside.execute(name, arguments.place, ["bash"])
        case "cut" | "mend":
            outside.ask(name, messages.Plug(arguments.place, arguments.verb == "mend"))
        case "on" | "off":
            outside.ask(name, messages.Power(arguments.node, arguments.verb == "on"))
        case "release":
            outside.running(name)
            print(wheelhouse.publish(outside.home(name), arguments.version))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bed", description="Three booted nodes, a router, a controller, a client."
    )
    parser.add_argument("--name", default="default", help="which bed; several can be up")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="bring it up, and return when its nodes have booted")
    verbs.add_parser("down", help="end it")
    verbs.add_parser("list", help="the beds that are up")
    verbs.add_parser("status", help="whether its nodes are on, and how often they have booted")
    execute = verbs.add_parser("exec", help="run a command at a place")
    execute.add_argument("place", choices=PLACE_NAMES)
    execute.add_argument("command", nargs=argparse.REMAINDER)
    verbs.add_parser("shell", help="the same with a shell").add_argument("place", choices=PLACE_NAMES)
    for verb, summary in (("cut", "pull a cable"), ("mend", "put it in again")):
        verbs.add_parser(verb, help=summary).add_argument("place", choices=PLACE_NAMES[1:])
    for verb, summary in (("off", "take a node its power"), ("on", "switch it on")):
        verbs.add_parser(verb, help=summary).add_argument("node", choices=NODE_NAMES)
    release = verbs.add_parser(
        "release", help="build this checkout under another version, for the nodes to have"
    )
    release.add_argument("version")
    return parser


if __name__ == "__main__":
    sys.exit(main())
