"""Who runs a lab in these tests: whoever runs the tests, and for root also somebody without any privilege."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NOBODY = 65534
WITHOUT_PRIVILEGE = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
)
CALLERS = {"root": (), "nobody": WITHOUT_PRIVILEGE} if os.geteuid() == 0 else {"user": ()}

# What runs inside a lab must be importable there: these tests keep it in modules named `inside_...`.
RUN_INSIDE = """
import json, sys
from edge.errors import EdgeError
from edge.lab.enclosure import run_inside
from edge.lab.residue import residue
try:
    value, traces = run_inside(sys.argv[1], json.loads(sys.argv[2]))
except EdgeError as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(json.dumps([value, residue(traces).total]))
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who uses labs: ``home`` is a directory of theirs."""

    prefix: tuple[str, ...]
    home: Path

    def command(self, *argv: str) -> list[str]:
        """A command line, as this caller."""
        return [*self.prefix, *argv]

    @property
    def environment(self) -> dict[str, str]:
        """For the command line."""
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "COV_"))}
        return ours | {"PYTHONPATH": str(HERE), "HOME": str(self.home)}

    def run(self, *argv: str, stdin: str = "", timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*argv),
            input=stdin,
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def edgectl(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run an edgectl command to its end."""
        return self.run(sys.executable, "-P", "-m", "edge.cli", *argv, stdin=stdin)

    def inside(
        self, function: str, *, module: str = "inside_lab", patience_s: float = 60, **argument: Any
    ) -> Any:
        """The result of a function, run in a lab of its own that leaves nothing behind."""
        target = f"{module}:{function}"
        argument |= {"log_dir": str(self.home / "log")}
        done = self.run(
            sys.executable, "-P", "-c", RUN_INSIDE, target, json.dumps(argument), timeout=patience_s
        )
        assert done.returncode == 0, done.stdout + done.stderr
        value, left = json.loads(done.stdout.splitlines()[-1])
        assert left == 0
        return value
