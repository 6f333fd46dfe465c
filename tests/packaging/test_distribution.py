"""One distribution, two import packages, and everything they need at run time inside the wheel."""

import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from edge.fleet.release import build, copy_sources

ROOT = Path(__file__).resolve().parents[2]
SOURCE_SUFFIXES = {".py", ".pyc"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    place = tmp_path_factory.mktemp("wheel")
    copy_sources(ROOT, place)
    return zipfile.ZipFile(build(place, place / "dist", moment=1735689600))


def test_the_wheel_holds_edge_and_bgp_and_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"edge", "bgp"}


@pytest.mark.parametrize("package", ["edge", "bgp"])
def test_every_file_of_a_package_is_in_the_wheel(wheel, package):
    """A recording or a template that is not listed as package data works in a checkout and nowhere else."""
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - set(wheel.namelist()) == set()


def test_types_and_licence_travel_along(wheel):
    names = wheel.namelist()
    assert {"edge/py.typed", "bgp/py.typed"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_one_version_everywhere():
    import edge

    assert metadata.version("anycast-edge") == edge.__version__
    assert f"## [{edge.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_entry_point_can_be_loaded():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = set(project["scripts"]) | set(project["entry-points"]["edge.backends"])
    installed = [
        point for point in metadata.distribution("anycast-edge").entry_points if point.name in declared
    ]
    assert {point.name for point in installed} == declared
    for point in installed:
        assert callable(point.load()), point


def test_an_sdk_user_needs_no_test_tools():
    """The extras are for developers; importing the packages must not reach for them."""
    requires = metadata.requires("anycast-edge") or []
    assert not [
        line for line in requires if "extra ==" not in line and line.startswith(("pytest", "hypothesis"))
    ]
