"""Each module and each example from an empty folder to machines, and nothing left to do after."""

import re

import pytest
from terraform.given import GIVEN, VARIANTS
from terraform.hcl import variables

from terraform import contract

pytestmark = pytest.mark.needs("terraform")

# What the providers read from the environment, as the examples say.
SECRETS = {
    "VULTR_API_KEY": "planted-vultr-secret",
    "CHERRY_AUTH_TOKEN": "planted-cherry-secret",
    "AWS_SECRET_ACCESS_KEY": "planted-aws-secret",
}
STORIES = {name: (name, {}) for name in GIVEN} | VARIANTS


@pytest.mark.parametrize("story", STORIES)
def test_from_init_to_a_plan_that_is_empty(workspace, story):
    inner, changed = STORIES[story]
    terraform = workspace(inner, SECRETS)
    terraform.give(GIVEN[inner] | changed)
    terraform.expect(0, "init")
    terraform.expect(0, "validate")
    terraform.expect(0, "plan", "-out=plan")
    terraform.expect(0, "apply", "plan")
    terraform.expect(0, "plan", "-detailed-exitcode")
    kept = terraform.expect(0, "show", "-json").stdout + (terraform.folder / "terraform.tfstate").read_text()
    assert "planted" not in kept
    if inner != "modules/cloud-init":
        assert contract.objections(terraform.output("edge_nodes")) == []


@pytest.mark.parametrize("inner", GIVEN)
def test_no_variable_takes_a_secret(inner):
    """Terraform's state keeps what its variables are given, in clear."""
    taken = [name for name in variables(inner) if re.search("password|secret|token|api_key|private", name)]
    assert taken == []


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
