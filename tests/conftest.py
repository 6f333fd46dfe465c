"""What holds for every test: tiers by folder, Hypothesis profiles, and who may skip.

A test that needs a program says so with `@pytest.mark.needs("bird")`; where it is missing, the skip prints
what to install. With CI=true a skip that tests/allowed-skips.txt does not list is a failure.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI") == "true"
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
# Programs that Debian does not have, or not as new, and where they come from.
ELSEWHERE = {
    "terraform": "https://developer.hashicorp.com/terraform/install",
    "ansible-playbook": "requirements/ansible.txt, or let `make provision-test` install it",
}
TIERS_WITH_A_MARKER = {"lab", "interop", "provision"}
# Python's programs are beside it. Debian keeps routers where an ordinary user's PATH does not look, and those of FRR
# where nobody's does.
SEARCH_PATH = os.pathsep.join(
    [
        os.path.dirname(sys.executable),
        os.environ.get("PATH", os.defpath),
        "/usr/sbin",
        "/sbin",
        "/usr/lib/frr",
    ]
)

# No deadline: two shared cores make any single example slow now and then. CI draws the same examples every
# time, so that a red run is about the change; developers' runs look for new ones.
settings.register_profile("developer", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("developer"), derandomize=True, database=None)
settings.load_profile("ci" if IN_CI else "developer")

# A shell has SIGINT ignored by what it starts in the background, and the programs that tests interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


AS_NOBODY = re.compile(r"[\[-]nobody[\]-]")
CLOSED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _deselect_what_nobody_could_run(config, items)
    _deselect_long(config, items)
    for item in items:
        tier = item.path.relative_to(ROOT).parts[1] if item.path.is_relative_to(ROOT / "tests") else ""
        if tier in TIERS_WITH_A_MARKER:
            item.add_marker(tier)


def _deselect_what_nobody_could_run(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Root also runs tests as an ordinary user, who cannot where the way to this checkout is closed to others."""
    as_nobody = [item for item in items if AS_NOBODY.search(item.nodeid)]
    config.stash[CLOSED] = bool(as_nobody) and os.geteuid() == 0 and not _open_to_others()
    if config.stash[CLOSED]:
        config.hook.pytest_deselected(items=as_nobody)
        items[:] = [item for item in items if item not in as_nobody]


def _deselect_long(config: pytest.Config, items: list[pytest.Item]) -> None:
    """They take longer than all the rest together."""
    if "long" in config.option.markexpr:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


def _open_to_others() -> bool:
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    tried = subprocess.run(
        [*as_nobody, sys.executable, "-P", "-c", "import edge"], cwd="/", capture_output=True, check=False
    )
    return tried.returncode == 0


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    if config.stash.get(CLOSED, False):
        return (
            f"nothing is run as an ordinary user: {ROOT} is closed to others; check out where they may read"
        )
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for program in marker.args:
            if shutil.which(program, path=SEARCH_PATH) is None:
                pytest.skip(f"needs {program}: {_how_to_get(program)}")


def _how_to_get(program: str) -> str:
    if program in ELSEWHERE:
        return f"see {ELSEWHERE[program]}"
    for line in (ROOT / "requirements" / "debian.txt").read_text().splitlines():
        match line.split(maxsplit=3):
            case [purpose, package, provides, *_] if purpose != "#" and provides == program:
                return f"apt-get install {package}"
    raise LookupError(f"{program} is not listed in requirements/debian.txt")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _no_silent_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _no_silent_skip(report)


def _no_silent_skip(report: Report) -> Report:
    expected_failure = hasattr(report, "wasxfail")
    if IN_CI and report.skipped and not expected_failure and not report.nodeid.startswith(ALLOWED_SKIPS):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nA skip in CI is a failure unless tests/allowed-skips.txt lists it."
    return report


def _allowed_skips() -> tuple[str, ...]:
    lines = (ROOT / "tests" / "allowed-skips.txt").read_text().splitlines()
    return tuple(line.split()[0] for line in lines if line.strip() and not line.startswith("#"))


ALLOWED_SKIPS = _allowed_skips()
