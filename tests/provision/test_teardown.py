"""Nothing is left of a bed, however it ends, and several do not know of each other."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from bed import cache, outside, rootfs, wheelhouse
from bed.handle import bed

from edge.errors import EdgeError, UnreachableError

pytestmark = [
    pytest.mark.usefixtures("privileged"),
    pytest.mark.needs("mmdebstrap", "systemd-nspawn", "bird", "nft", "ssh"),
    pytest.mark.timeout(1200),
]

NAMES = [f"{which}-{os.getpid()}" for which in ("one", "two")]


def traces() -> set[str]:
    """Of beds on this machine by these names: processes by command line, mounts, control groups, directories."""
    commands = (
        path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists()
    )
    found = {command for command in commands if any(f"/{name}/" in command for name in NAMES)}
    found |= {
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "anycast-edge" in line
    }
    found |= {
        str(path)
        for path in outside._cgroups().glob("anycast-edge-bed-*")
        if path.name.endswith(tuple(NAMES))
    }
    return found | {str(outside.home(name)) for name in NAMES if outside.home(name).parent.exists()}


def test_two_at_once_are_strangers_and_leave_nothing() -> None:
    """Both have the same addresses and names, and keys of their own."""
    with bed(NAMES[0]) as one, bed(NAMES[1]) as two:
        for which, own in enumerate((one, two)):
            own.ssh("ams-1", f"echo {which} >which", check=True)
        assert [own.ssh("ams-1", "cat which").stdout for own in (one, two)] == ["0\n", "1\n"]
        key = str(one.home / ".ssh" / "id_ed25519")
        only = ["-F", "none", "-o", "IdentitiesOnly=yes", "-l", "ops", "-i", key]
        assert "Permission denied" in two.ssh("ams-1", "true", *only).stderr
        assert {one.name, two.name} <= set(outside.names())
    assert traces() == set()


def test_one_that_was_killed_leaves_nothing_either() -> None:
    with bed(NAMES[0]) as one:
        os.kill(outside.running(one.name).pid, signal.SIGKILL)
    assert traces() == set()


def test_one_that_fails_to_come_up_leaves_nothing(tmp_path: Path) -> None:
    """Its image is an empty directory."""
    image = rootfs.image()
    (tmp_path / image.root.relative_to(cache.directory())).mkdir(parents=True)
    wheelhouse.release()
    for made in cache.directory().glob("*-*"):
        if made.is_dir() and not (tmp_path / made.name).exists():
            (tmp_path / made.name).symlink_to(made)
    done = command("up", EDGE_BED_CACHE=str(tmp_path))
    assert done.returncode == EdgeError.exit_code
    assert "etc/hostname" in done.stderr
    assert command("status").returncode == UnreachableError.exit_code
    assert command("down").returncode == 0
    assert traces() == set()


@pytest.mark.parametrize("who", ["nobody"])
def test_only_root_may(who: str) -> None:
    done = command("up", as_whom=["setpriv", f"--reuid={who}", "--regid=65534", "--clear-groups"])
    assert done.returncode == UnreachableError.exit_code
    assert done.stderr == "bed: a bed boots whole machines, which only root may do here\n"


def command(verb: str, as_whom: Sequence[str] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """By hand, for the first bed."""
    return subprocess.run(
        [*as_whom, *outside.command(NAMES[0], verb)],
        env=outside.environment() | environment,
        capture_output=True,
        text=True,
    )
