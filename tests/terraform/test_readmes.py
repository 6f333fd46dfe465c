"""Each module and each example says what it takes and what it gives, and says it as it is."""

import pytest
from terraform.given import GIVEN
from terraform.harness import TERRAFORM
from terraform.hcl import outputs, variables
from terraform.readmes import FOLDERS, page


def test_the_tests_know_of_every_module_and_example():
    assert set(GIVEN) == set(FOLDERS)


@pytest.mark.parametrize("inner", FOLDERS)
def test_the_tables_are_as_the_files(inner):
    readme = TERRAFORM / inner / "README.md"
    assert readme.read_text() == page(readme), "run: PYTHONPATH=tests python -m terraform.readmes"


@pytest.mark.parametrize("inner", FOLDERS)
def test_everything_is_described(inner):
    described = {**variables(inner), **outputs(inner)}
    assert [name for name, block in described.items() if not block.get("description", "").endswith(".")] == []
