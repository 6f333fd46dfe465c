"""What can go wrong, sorted by whose move it is.

Every error a person can see is one line: *where* it is, *what* is wrong and *what to do*. The exit code
belongs to the class, so that a script can tell "mend your file" from "try again" (the table is in
docs/reference/exit-codes.md).
"""


class EdgeError(Exception):
    """Something failed; whoever runs the command reads the message. Exit code 1."""

    exit_code = 1


class UsageError(EdgeError):
    """The person who typed the command or wrote the file must change it. Exit code 2."""

    exit_code = 2


class ConfigError(UsageError):
    """A value in a configuration file is wrong.

    ``where`` is the JSON path of the offending key (``$.bgp.neighbors[0].address``).
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


class PartialError(EdgeError):
    """Some of several targets failed; the message names them. Exit code 3."""

    exit_code = 3


class DeadlineError(EdgeError):
    """The other side did not answer in time; trying again may help. Exit code 4."""

    exit_code = 4


class UnreachableError(EdgeError):
    """The machine, a peer or a permission is missing; the operator of the machine must act. Exit code 5."""

    exit_code = 5


class RefusedError(EdgeError):
    """A guard said no, to protect the service; the operator may override it knowingly. Exit code 6."""

    exit_code = 6
