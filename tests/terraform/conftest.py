"""Workspaces for Terraform: see harness.py."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from terraform import harness


@pytest.fixture(scope="session")
def terraform_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harness.make_mirror(tmp_path_factory.mktemp("terraform"))


@pytest.fixture
def workspace(terraform_config: Path, tmp_path: Path) -> Callable[..., harness.Workspace]:
    """Makes one, of a module or an example of its own copy of `terraform/`, with more in its environment."""

    def make(inner: str, environment: Mapping[str, str] | None = None) -> harness.Workspace:
        return harness.workspace(tmp_path / inner.replace("/", "-"), terraform_config, inner, environment)

    return make
