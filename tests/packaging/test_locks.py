"""The lock files are what `pip --require-hashes` installs: whole, in step with pyproject, from anywhere."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def words(file: str) -> list[str]:
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    return [word for line in lines if (word := line.partition("#")[0].strip())]


BUILD, EXCLUDED = words("build.in"), words("excluded.in")
EXTRAS = PROJECT["optional-dependencies"]
APART = {"bench", "ansible"}
BASE_NEEDS = PROJECT["dependencies"] + BUILD + EXTRAS["demo"]
DEV_NEEDS = BASE_NEEDS + [need for name, needs in EXTRAS.items() if name not in APART for need in needs]
BENCH_NEEDS = DEV_NEEDS + EXTRAS["bench"]


def pins(lock: str) -> list[Requirement]:
    lines = (ROOT / "requirements" / lock).read_text().splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[A-Za-z0-9]", line)]


def here(requirements: list[Requirement]) -> dict[str, str]:
    """Name to the one version that applies to this interpreter."""
    applying = [one for one in requirements if one.marker is None or one.marker.evaluate()]
    found = {canonicalize_name(one.name): next(iter(one.specifier)).version for one in applying}
    assert len(found) == len(applying), "two pins for one package"
    return found


@pytest.mark.parametrize(
    "lock, needs",
    [
        ("base.txt", BASE_NEEDS),
        ("dev.txt", DEV_NEEDS),
        ("bench.txt", BENCH_NEEDS),
        ("ansible.txt", EXTRAS["ansible"]),
    ],
)
def test_every_need_of_the_project_is_pinned_at_a_version_it_accepts(lock, needs):
    pinned = here(pins(lock))
    for need in map(Requirement, needs):
        version = pinned.get(canonicalize_name(need.name))
        assert version, f"{need.name} is not in {lock}: make lock"
        assert need.specifier.contains(version), (
            f"{lock} has {need.name} {version}, pyproject wants {need.specifier}"
        )


def test_developers_run_what_users_run():
    base, dev = here(pins("base.txt")), here(pins("dev.txt"))
    assert base.items() <= dev.items()


def test_nothing_is_missing_that_the_pinned_packages_need():
    """Walks the installed packages: each one's own needs must be pinned, too, but for what excluded.in says of it."""
    pinned = here(pins("dev.txt"))
    for name in pinned:
        for need in map(Requirement, metadata.requires(name) or []):
            applies = need.marker is None or need.marker.evaluate({"extra": ""})
            if applies and need.name not in EXCLUDED:
                version = pinned.get(canonicalize_name(need.name))
                assert version, f"{name} needs {need.name}: make lock"
                assert need.specifier.contains(version, prereleases=True), f"{name} needs {need}"


@pytest.mark.parametrize("lock", ["base.txt", "dev.txt", "bench.txt", "ansible.txt"])
def test_every_pin_is_exact_and_has_a_hash(lock):
    text = (ROOT / "requirements" / lock).read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert len(blocks) == len(pins(lock))
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._-]+==[^\s;]+", block), block
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("lock", ["base.txt", "dev.txt", "bench.txt", "ansible.txt"])
def test_a_lock_says_what_not_where_from(lock):
    assert "://" not in (ROOT / "requirements" / lock).read_text()
