"""Makes releases of a checkout: its wheel and those it needs, as locked, with a lock file that has the hash of each.

    python -m edge.fleet.release

does so for the commit that is checked out here, in build/release: VERSION/, and anycast-edge-VERSION.tar with the same.
$RELEASE_PYTHON and $RELEASE_MACHINE say what the nodes have; by default it is Debian 12's Python on a machine like this one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import edge
from edge.fleet.wheelhouse import DISTRIBUTION, LOCK, Wheelhouse

REQUIREMENTS: Final = Path("requirements/base.txt")
PYTHON: Final = "3.11"
_SOURCES: Final = ("edge/", "bgp/", "pyproject.toml", "README.md", "LICENSE")
_GLIBC: Final = (5, 12, 17, 24, 26, 27, 28, 31, 34)
"""What wheels are built for, up to Debian 12's 2.36."""


def pip(arguments: Sequence[str], environment: Mapping[str, str] = {}) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "-qq",
        "--disable-pip-version-check",
        "--no-input",
        *arguments,
    ]
    subprocess.run(command, check=True, env={**os.environ, **environment})


def download(lock: Path, directory: Path, *, python: str = PYTHON, machine: str = platform.machine()) -> None:
    """The wheels that ``lock`` names, for nodes with this Python on that machine."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC]
    platforms += [f"manylinux{year}_{machine}" for year in (1, 2010, 2014)]
    arguments = [
        *("download", "--dest", str(directory), "--no-deps", "--require-hashes", "--requirement", str(lock)),
        *("--only-binary", ":all:", "--python-version", python, "--implementation", "cp"),
        *(f"--platform={name}" for name in platforms),
    ]
    pip(arguments)


def build(source: Path, directory: Path, *, moment: int) -> Path:
    """Our wheel, whose files are all of ``moment`` (seconds since 1970).

    ``source`` is a copy that is nobody's: a build leaves things in the tree that it builds from, and takes stale ones along.
    """
    arguments = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), str(source))
    pip(arguments, {"SOURCE_DATE_EPOCH": str(moment)})
    (wheel,) = directory.glob(f"{DISTRIBUTION}-*.whl")
    return wheel


def write_lock(directory: Path, lock: Path, wheel: Path) -> None:
    """``lock`` and a line for our own wheel."""
    version = wheel.name.split("-")[1]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    own = f"{DISTRIBUTION.replace('_', '-')}=={version} --hash=sha256:{digest}\n"
    (directory / LOCK).write_text(lock.read_text() + own)


def of_commit(root: Path, to: Path, *, python: str = PYTHON, machine: str = platform.machine()) -> Path:
    """What is committed at ``root``, and not what lies there: the archive, in ``to`` beside the folder with the same."""
    moment = int(_git(root, "log", "-1", "--format=%ct"))
    wheels = to / edge.__version__
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        source = Path(name)
        committed = _git(root, "archive", "--format=tar", "HEAD")
        subprocess.run(["tar", "--extract", "--directory", source], input=committed, check=True)
        download(source / REQUIREMENTS, wheels, python=python, machine=machine)
        write_lock(wheels, source / REQUIREMENTS, build(source, wheels, moment=moment))
    archive = to / f"{DISTRIBUTION.replace('_', '-')}-{edge.__version__}.tar"
    archive.write_bytes(Wheelhouse(wheels, edge.__version__).archive())
    return archive


def sources(root: Path) -> list[Path]:
    """What our wheel is made of, committed or not; relative to ``root``."""
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").decode().split("\0")
    return [Path(name) for name in listed if name.startswith(_SOURCES) and (root / name).is_file()]


def copy_sources(root: Path, to: Path) -> None:
    for path in sources(root):
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, to / path)


def _git(root: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True).stdout


if __name__ == "__main__":
    made = of_commit(
        Path.cwd(),
        Path("build/release"),
        python=os.environ.get("RELEASE_PYTHON", PYTHON),
        machine=os.environ.get("RELEASE_MACHINE", platform.machine()),
    )
    sys.stdout.write(f"{made}\n")
