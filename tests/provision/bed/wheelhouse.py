"""Releases of this checkout: its wheel and those it needs, as locked, for the Python of the nodes' Debian."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bed import cache
from bed.controller import ROOT

from edge import __version__
from edge.fleet.release import REQUIREMENTS, build, download, write_lock
from edge.fleet.wheelhouse import Wheelhouse

LOCK: Final = ROOT / REQUIREMENTS
_WHOLE: Final = re.compile(r'(?m)^__version__ = "[^"]*"$')
_SOURCE_DATE: Final = 1735689600


def release(version: str = __version__) -> Path:
    """A directory of wheels with a ``requirements.txt`` that has every hash, our own included; made if need be.

    With another ``version`` it is this checkout all the same, under that number.
    """
    wheels = cache.made(f"wheels-{cache.key(LOCK.read_bytes())}", lambda to: download(LOCK, to))
    files = _sources()
    name = f"release-{version}-{cache.key(wheels.name, cache.files_key(ROOT, files))}"

    def make(directory: Path) -> None:
        for wheel in wheels.iterdir():
            os.link(wheel, directory / wheel.name)
        write_lock(directory, LOCK, _build(directory, version, files))

    return cache.made(name, make)


def publish(home: Path, version: str = __version__) -> Path:
    """Put a release where the controller of a bed keeps them, and its nodes read them (``/srv/releases``)."""
    made, directory = release(version), home / "releases" / version
    if not directory.exists():
        shutil.copytree(made, directory, copy_function=_link_or_copy)
    return directory


def archive(home: Path, version: str = __version__) -> Path:
    """The same in one file, as an operator sends it to nodes."""
    directory = publish(home, version)
    path = directory.with_name(f"{version}.tar")
    if not path.exists():
        path.write_bytes(Wheelhouse(directory, version).archive())
    return path


def _build(directory: Path, version: str, files: list[Path]) -> Path:
    source = directory / "source"
    for file in files:
        copy = source / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    init = source / "edge" / "__init__.py"
    init.write_text(_WHOLE.sub(f'__version__ = "{version}"', init.read_text()))
    wheel = build(source, directory, moment=_SOURCE_DATE)
    shutil.rmtree(source)
    return wheel


def _sources() -> list[Path]:
    """What the wheel is made of, committed or not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    wanted = ("edge/", "bgp/", "pyproject.toml", "README.md", "LICENSE")
    return [path for name in listed if name.startswith(wanted) and (path := ROOT / name).is_file()]


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
