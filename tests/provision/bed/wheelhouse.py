"""Releases of this checkout: its wheel and those it needs, as locked, for the Python of the nodes' Debian."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

from bed import cache
from bed.controller import ROOT

from edge import __version__
from edge.fleet.release import REQUIREMENTS, build, copy_sources, download, sources, write_lock
from edge.fleet.wheelhouse import Wheelhouse

LOCK: Final = ROOT / REQUIREMENTS
_WHOLE: Final = re.compile(r'(?m)^__version__ = "[^"]*"$')
_SOURCE_DATE: Final = 1735689600


def release(version: str = __version__) -> Path:
    """A directory of wheels with a ``requirements.txt`` that has every hash, our own included; made if need be.

    With another ``version`` it is this checkout all the same, under that number.
    """
    wheels = cache.made(f"wheels-{cache.key(LOCK.read_bytes())}", lambda to: download(LOCK, to))
    files = [ROOT / path for path in sources(ROOT)]
    name = f"release-{version}-{cache.key(wheels.name, cache.files_key(ROOT, files))}"

    def make(directory: Path) -> None:
        for wheel in wheels.iterdir():
            os.link(wheel, directory / wheel.name)
        write_lock(directory, LOCK, _build(directory, version))

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


def _build(directory: Path, version: str) -> Path:
    source = directory / "source"
    copy_sources(ROOT, source)
    init = source / "edge" / "__init__.py"
    init.write_text(_WHOLE.sub(f'__version__ = "{version}"', init.read_text()))
    wheel = build(source, directory, moment=_SOURCE_DATE)
    shutil.rmtree(source)
    return wheel


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
