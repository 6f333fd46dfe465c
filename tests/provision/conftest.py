"""A bed for each module of these tests, a fleet for those that want one, and who may not have either."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from bed import handle
from operator_desk import Desk
from secrecy import ProcessWatch, fragments

from edge.lab import namespaces

DESK = pytest.StashKey[Desk]()


@pytest.fixture(scope="session")
def privileged() -> None:
    """Root's own."""
    if not namespaces.privileged():
        pytest.skip("a bed boots whole machines: run as root")


@pytest.fixture(scope="module")
def bed(privileged: None, request: pytest.FixtureRequest) -> Iterator[handle.Bed]:
    """Up before the module's first test, its nodes as a cloud hands them out; down after the last."""
    failed = request.session.testsfailed
    topic = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    with handle.bed(f"{topic[:8]}-{os.getpid()}") as one:
        yield one
        if request.session.testsfailed > failed:
            _show_logs(one)


@pytest.fixture(scope="session")
def fleet(privileged: None, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Three nodes, from Terraform to announced, once for all tests: who changes something about it changes it back."""
    failed = request.session.testsfailed
    with handle.bed(f"fleet-{os.getpid()}") as one:
        desk = Desk(one, dict(one.phases))
        request.config.stash[DESK] = desk
        desk.prepare()
        desk.secrets = [
            word for name in ("ring.toml", "key.pem", "bgp-md5.key") for word in fragments(desk.vault / name)
        ]
        try:
            with ProcessWatch(desk.secrets) as watch:
                desk.terraform()
                desk.inventory()
                desk.play("site.yml", "site.yml", *desk.release_options())
                desk.wait_ready("ready")
            desk.leaking = watch.seen
            yield desk
        finally:
            if request.session.testsfailed > failed:
                _show_logs(one)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How long it took to have a fleet."""
    if (desk := config.stash.get(DESK, None)) is not None:
        terminalreporter.section("a fleet from nothing")
        for phase, seconds in desk.phases.items():
            terminalreporter.write_line(f"{phase:>14} {seconds:6.1f} s")
        terminalreporter.write_line(f"{'together':>14} {sum(desk.phases.values()):6.1f} s")


def _show_logs(one: handle.Bed) -> None:
    for log in sorted(one.logs.iterdir()):
        sys.stderr.write(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}\n")
