"""Workspaces for Terraform: see harness.py."""

from collections.abc import Callable
from pathlib import Path

import harness
import pytest


@pytest.fixture(scope="session")
def terraform_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harness.make_mirror(tmp_path_factory.mktemp("terraform"))


@pytest.fixture
def workspace(terraform_config: Path, tmp_path: Path) -> Callable[[str], harness.Workspace]:
    """Makes one, of a module or an example of its own copy of `terraform/`."""
    return lambda inner: harness.workspace(tmp_path / inner.replace("/", "-"), terraform_config, inner)
