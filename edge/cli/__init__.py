"""edgectl: the command line. stdout is data, stderr is talk.

One command a file; the table of contents is :data:`edge.cli.root.SECTIONS`. This module is the doorway: it
runs the command and turns whatever went wrong into one line and an exit code.
"""

import io
import logging
import os
import sys
from collections.abc import Sequence

import click

from edge.cli.layout import printable
from edge.cli.root import edgectl
from edge.errors import EdgeError

log = logging.getLogger(__name__)

INTERRUPTED = 130
"""What a shell reports for a process that ended on SIGINT."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run edgectl with ``arguments`` (default: the process's own) and return its exit code.

    A command that returns an int chooses its exit code; None is success.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character is shown another one.
        sys.stdout.reconfigure(errors="replace")
    try:
        result = edgectl.main(args=arguments, prog_name="edgectl", standalone_mode=False)
        # Flushed here and not by the interpreter on its way out, where a closed pipe could not be handled.
        if sys.stdout is not None:  # closed by who ran us
            sys.stdout.flush()
    except EdgeError as error:
        log.debug("command failed", exc_info=error)
        # In a node's words, or those of an operator that it passes on.
        return _fail("edgectl", printable(" ".join(str(error).splitlines())), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "edgectl"
        return _fail(
            command, f"{' '.join(error.format_message().split())} (see: {command} --help)", error.exit_code
        )
    except click.ClickException as error:
        return _fail("edgectl", error.format_message(), error.exit_code)
    except click.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted; what is still buffered goes where nobody complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result if isinstance(result, int) else 0


def _fail(command: str, message: str, exit_code: int) -> int:
    print(f"{command}: error: {message}", file=sys.stderr)
    return exit_code
