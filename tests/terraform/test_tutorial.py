"""The tutorial, typed by a machine: what it shows of Terraform and of the fleet file is what is printed.

Steps that need machines are left out here; tests/provision takes those.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from terraform.given import KEY

from terraform import harness

pytestmark = pytest.mark.needs("terraform", "promtool", "openssl", "bash")

PAGE = harness.ROOT / "docs" / "tutorial" / "from-an-empty-account.md"
TYPED = re.compile(
    r"cp|sed|umask|mkdir secrets|cat|openssl|promtool|terraform"
    r"|edgectl (?:keys|token|fleet|config render|inventory|sd|rules export|dashboards)\b"
)
ANSWERS = "yes\n"
"""To Terraform's question; to `cat`, a password."""
LEFT_OUT = "…"
COMMAND_S = 100.0


class Typed(NamedTuple):
    command: str
    printed: list[str]


def commands(page: str) -> Iterator[Typed]:
    """Each command of a console block, and the lines that the page shows below it."""
    for block in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = re.sub(r"\\\n\s*", "", part).partition("\n")
            yield Typed(command, printed.splitlines())


def missing(shown: list[str], printed: str) -> list[str]:
    """Lines of the page that were not printed, or not in that order."""
    lines = iter(re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines())
    wanted = [line.rstrip() for line in shown if line.strip() not in ("", LEFT_OUT)]
    return [line for line in wanted if not any(_is(line, found.rstrip()) for found in lines)]


def _is(shown: str, printed: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, shown.split(LEFT_OUT))), printed) is not None


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """The folder `voice` beside a checkout, with what the reader writes by hand in the page's own words."""
    tree = tmp_path / "anycast-edge" / "terraform"
    shutil.copytree(harness.TERRAFORM, tree, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    edgectl = tmp_path / "bin" / "edgectl"
    edgectl.parent.mkdir()
    edgectl.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m edge.cli "$@"\n')
    edgectl.chmod(0o755)
    voice = tmp_path / "voice"
    voice.mkdir()
    (voice / "terraform.tfvars").write_text(
        f'ssh_public_keys = ["{KEY}"]\noffice          = ["192.0.2.0/24"]\n'
    )
    return voice


def choose_machines(main: Path, page: str) -> None:
    """As the reader opens `main.tf` and has the page's machines there."""
    nodes = r"^  nodes = \{\n.*?^  \}\n"
    (chosen,) = re.findall(nodes, page, re.DOTALL | re.MULTILINE)
    text, changed = re.subn(nodes, lambda _: chosen, main.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert changed == 1
    main.write_text(text)


def test_the_tutorial_shows_what_is_printed(desk: Path, terraform_config: Path) -> None:
    page = PAGE.read_text()
    path = f"{desk.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONPATH": str(harness.ROOT), "XDG_CONFIG_HOME": str(desk), "VULTR_API_KEY": "x"}
    environment = harness.Workspace(desk, terraform_config, own).everything
    ran, wrong = [], {}
    for command, shown in commands(page):
        if not TYPED.match(command):
            continue
        done = subprocess.run(
            ["bash", "-c", f"umask 077; {command}"],
            cwd=desk,
            env=environment,
            input=ANSWERS,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        if absent := missing(shown, done.stdout):
            wrong[command] = (absent, done.stdout)
        if command.startswith("sed "):
            choose_machines(desk / "main.tf", page)
        ran.append(command)
    assert wrong == {}
    assert {command.split()[0] for command in ran} >= {
        "cp",
        "sed",
        "terraform",
        "edgectl",
        "openssl",
        "promtool",
    }
    assert len([command for command in ran if command.startswith("edgectl fleet")]) == 3
