"""A test that quietly stops running is the bug that every other test cannot see."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SKIPPING = """
import pytest

def test_skips():
    pytest.skip("needs the moon")

@pytest.mark.xfail(reason="known", strict=True)
def test_fails_as_known():
    raise AssertionError
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two tests under this one's conftest."""
    for name in ("pyproject.toml", "requirements/debian.txt", "tests/conftest.py", "tests/allowed-skips.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests" / "unit").mkdir()
    (tmp_path / "tests" / "unit" / "test_inner.py").write_text(SKIPPING)
    return tmp_path


def run(project: Path, *, ci: bool, workers: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CI"))}
    arguments = ["-p", "no:cacheprovider", f"--numprocesses={workers}", "tests"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=project,
        env=environment | ({"CI": "true"} if ci else {}),
        capture_output=True,
        text=True,
    )


def test_a_skip_is_reported_but_passes_on_a_developers_machine(project):
    done = run(project, ci=False)
    assert done.returncode == 0, done.stdout
    assert "needs the moon" in done.stdout


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unlisted_skip_fails_in_ci_and_says_why(project, workers):
    done = run(project, ci=True, workers=workers)
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 xfailed" in done.stdout
    assert "needs the moon" in done.stdout


def test_a_listed_skip_passes_in_ci(project):
    with (project / "tests" / "allowed-skips.txt").open("a") as listing:
        listing.write("tests/unit/test_inner.py::test_skips no rockets in CI\n")
    done = run(project, ci=True)
    assert done.returncode == 0, done.stdout


def test_a_whole_module_cannot_skip_in_ci_either(project):
    module = project / "tests" / "unit" / "test_module.py"
    module.write_text("import pytest\npytest.importorskip('no_such_module')\n")
    done = run(project, ci=True)
    assert done.returncode != 0, done.stdout
    assert "no_such_module" in done.stdout


def test_a_missing_program_names_its_debian_package(project):
    (project / "requirements" / "debian.txt").write_text("test no-such-package no-such-program nothing\n")
    (project / "tests" / "unit" / "test_inner.py").write_text(
        "import pytest\n@pytest.mark.needs('no-such-program')\ndef test(): pass\n"
    )
    assert "needs no-such-program: apt-get install no-such-package" in run(project, ci=False).stdout


def test_a_program_that_debian_lacks_says_where_it_comes_from(project):
    conftest = project / "tests" / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"terraform": ', '"no-such-program": '))
    (project / "tests" / "unit" / "test_inner.py").write_text(
        "import pytest\n@pytest.mark.needs('no-such-program')\ndef test(): pass\n"
    )
    assert "needs no-such-program: see https://" in run(project, ci=False).stdout
