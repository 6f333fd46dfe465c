"""Each module and each example from an empty folder to machines, and nothing left to do after."""

import contract
import pytest
from given import GIVEN, VARIANTS

pytestmark = pytest.mark.needs("terraform")

STORIES = {name: (name, {}) for name in GIVEN} | VARIANTS


@pytest.mark.parametrize("story", STORIES)
def test_from_init_to_a_plan_that_is_empty(workspace, story):
    inner, changed = STORIES[story]
    terraform = workspace(inner)
    terraform.give(GIVEN[inner] | changed)
    terraform.expect(0, "init")
    terraform.expect(0, "validate")
    terraform.expect(0, "apply", "-auto-approve")
    terraform.expect(0, "plan", "-detailed-exitcode")
    if inner != "modules/cloud-init":
        assert contract.objections(terraform.output("edge_nodes")) == []


@pytest.mark.parametrize("inner", [name for name in GIVEN if name.startswith("modules/")])
def test_terraform_test(workspace, inner):
    """The runs beside each module, with Terraform's own mocks of the providers."""
    terraform = workspace(inner)
    terraform.expect(0, "init")
    said = terraform.expect(0, "test").said
    assert "Success!" in said
    assert " 0 passed" not in said


def test_all_is_written_as_terraform_writes_it(workspace):
    terraform = workspace("modules")
    assert terraform.run("fmt", "-check", "-diff", "-recursive", "..").stdout == ""
