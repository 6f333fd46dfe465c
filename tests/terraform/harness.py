"""Real Terraform on copies of our modules, in folders of its own, with stand-ins for the providers and no network.

The stand-ins are found in a filesystem mirror under the providers' true addresses, and there is no other way to install
one: a module is tested as it is shipped, its version constraints included, and a provider that has no schema here is an
error of `terraform init`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terraform.schema_files import SCHEMAS, load

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"
SERVE = Path(__file__).with_name("standin") / "serve.py"
PROVIDERS = ("vultr", "cherryservers", "aws")
# One command of Terraform is a second or two of processor time; two of them on a busy machine are still far from this.
TIMEOUT_S = 100.0

_DRAWING = re.compile(r"\x1b\[[0-9;]*m|[│╷╵]")

CLI_CONFIG = """
disable_checkpoint = true
provider_installation {{
  filesystem_mirror {{
    path = "{mirror}"
  }}
}}
"""


def address(provider: str) -> str:
    """`registry.terraform.io/…`"""
    (found,) = load(provider)["provider_schemas"]
    return found


def version(provider: str) -> str:
    """Of the provider whose schema it is."""
    return load(f"{provider}.behaviour")["version"]


def platform() -> str:
    """What Terraform calls this machine, such as `linux_amd64`."""
    told = subprocess.run(
        ["terraform", "version", "-json"], capture_output=True, check=True, env=_environment({})
    )
    return json.loads(told.stdout)["platform"]


def make_mirror(folder: Path) -> Path:
    """The stand-ins as a filesystem mirror, and the configuration of Terraform's that names it; returns the latter."""
    mirror = folder / "mirror"
    for provider in PROVIDERS:
        place = mirror / address(provider) / version(provider) / platform()
        place.mkdir(parents=True)
        program = place / f"terraform-provider-{provider}_v{version(provider)}"
        schemas, behaviour = SCHEMAS / f"{provider}.json", SCHEMAS / f"{provider}.behaviour.json"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SERVE}" "{schemas}" "{behaviour}"\n')
        program.chmod(0o755)
    config = folder / "terraform.rc"
    config.write_text(CLI_CONFIG.format(mirror=mirror))
    return config


def _environment(more: dict[str, str]) -> dict[str, str]:
    """Nothing of the user's Terraform, nor of his clouds, comes in."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "LC_ALL"}}
    # Nowhere: without it Terraform reads the user's own configuration.
    return (
        kept | {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"} | more
    )


@dataclass(frozen=True, slots=True)
class Ran:
    """One command of Terraform, ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """All that it said, in one line: Terraform breaks messages to the width of a terminal, with bars and colours."""
        return " ".join(_DRAWING.sub("", self.stdout + self.stderr).split())


@dataclass(frozen=True, slots=True)
class Workspace:
    """A copy of `terraform/` and in it the folder that Terraform is run in."""

    folder: Path
    config: Path
    environment: Mapping[str, str]

    @property
    def everything(self) -> dict[str, str]:
        """The environment that Terraform has."""
        own = {
            "TF_CLI_CONFIG_FILE": str(self.config),
            "TF_DISABLE_PLUGIN_TLS": "1",
            "HOME": str(self.config.parent),
        }
        return _environment(dict(self.environment) | own)

    def run(self, *arguments: str) -> Ran:
        command = ["terraform", f"-chdir={self.folder}", *arguments]
        done = subprocess.run(
            command,
            env=self.everything,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def expect(self, code: int, *arguments: str) -> Ran:
        """Raises AssertionError with all that Terraform said when it ends in another way."""
        ran = self.run(*arguments)
        assert ran.exit_code == code, (
            f"terraform {' '.join(arguments)}: {ran.exit_code}, not {code}\n{ran.stdout}\n{ran.stderr}"
        )
        return ran

    def give(self, variables: dict[str, Any]) -> None:
        """Values for the variables, as a file that Terraform reads by itself."""
        (self.folder / "given.auto.tfvars.json").write_text(json.dumps(variables))

    def output(self, name: str) -> Any:
        return json.loads(self.expect(0, "output", "-json", name).stdout)


def workspace(
    folder: Path, config: Path, inner: str, environment: Mapping[str, str] | None = None
) -> Workspace:
    """``inner``: `modules/…` or `examples/…`."""
    copy = folder / "terraform"
    shutil.copytree(TERRAFORM, copy, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    return Workspace(folder=copy / inner, config=config, environment=environment or {})
