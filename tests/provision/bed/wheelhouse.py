"""Releases of this checkout: its wheel and those it needs, as locked, for the Python of the nodes' Debian."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from bed import cache
from bed.controller import ROOT

from edge import __version__

LOCK: Final = ROOT / "requirements" / "base.txt"
_PYTHON: Final = "3.11"
_GLIBC: Final = (5, 12, 17, 24, 26, 27, 28, 31, 34)  # what wheels are built for, up to Debian 12's 2.36
_WHOLE: Final = re.compile(r'(?m)^__version__ = "[^"]*"$')
_SOURCE_DATE: Final = "1735689600"


def release(version: str = __version__) -> Path:
    """A directory of wheels with a ``requirements.txt`` that has every hash, our own included; made if need be.

    With another ``version`` it is this checkout all the same, under that number.
    """
    wheels = cache.made(f"wheels-{cache.key(LOCK.read_bytes())}", _download)
    files = _sources()
    name = f"release-{version}-{cache.key(wheels.name, cache.files_key(ROOT, files))}"

    def make(directory: Path) -> None:
        for wheel in wheels.iterdir():
            os.link(wheel, directory / wheel.name)
        own = _build(directory, version, files)
        digest = hashlib.sha256(own.read_bytes()).hexdigest()
        line = f"anycast-edge=={version} --hash=sha256:{digest}\n"
        (directory / "requirements.txt").write_text(LOCK.read_text() + line)

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
        with tarfile.open(path, "w") as tar:
            tar.add(directory, arcname=".")
    return path


def _download(directory: Path) -> None:
    machine = platform.machine()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC]
    platforms += [f"manylinux1_{machine}", f"manylinux2010_{machine}", f"manylinux2014_{machine}"]
    _pip(
        *("download", "--dest", str(directory), "--no-deps", "--require-hashes", "--requirement", str(LOCK)),
        *("--only-binary", ":all:", "--python-version", _PYTHON, "--implementation", "cp"),
        *(f"--platform={name}" for name in platforms),
    )


def _build(directory: Path, version: str, files: list[Path]) -> Path:
    """Our wheel, from a copy: a build leaves things in the tree that it builds from."""
    source = directory / "source"
    for file in files:
        copy = source / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    init = source / "edge" / "__init__.py"
    init.write_text(_WHOLE.sub(f'__version__ = "{version}"', init.read_text()))
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), str(source))
    shutil.rmtree(source)
    (wheel,) = directory.glob(f"anycast_edge-{version}-*.whl")
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


def _pip(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", *arguments],
        check=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": _SOURCE_DATE},
    )


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
