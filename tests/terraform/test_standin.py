"""The stand-in serves what the files say: else the modules are held to something else than we believe."""

import json
import subprocess
import sys

import pytest
from terraform.given import GIVEN
from terraform.harness import PROVIDERS, SERVE, TERRAFORM, address, version
from terraform.refresh import refreshed
from terraform.schema_files import SCHEMAS, as_text, cut_down, load

pytestmark = pytest.mark.needs("terraform")

ADDRESS = "registry.terraform.io/x/y"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_terraform_prints_the_schema_that_is_committed(workspace, provider):
    """Through Terraform and back: nothing is lost on the way, and `make refresh-schemas` writes what is read here."""
    environment = workspace("modules").everything
    assert as_text(refreshed(provider, environment)) + "\n" == (SCHEMAS / f"{provider}.json").read_text()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_modules_accept_the_version_whose_schema_it_is(workspace, provider):
    module = next(
        path.parent.relative_to(TERRAFORM).as_posix()
        for path in TERRAFORM.glob("modules/*/versions.tf")
        if address(provider).removeprefix("registry.terraform.io/") in path.read_text()
    )
    terraform = workspace(module)
    terraform.expect(0, "init")
    locked = json.loads(terraform.expect(0, "version", "-json").stdout)["provider_selections"]
    assert locked[address(provider)] == version(provider)


def test_what_a_provider_computes_is_unknown_until_it_is_made(workspace):
    """Else a module could plan with an address, as none can with the true provider."""
    terraform = workspace("modules/vultr-node")
    terraform.give(GIVEN["modules/vultr-node"])
    terraform.expect(0, "init")
    terraform.expect(0, "plan", "-out=plan")
    plan = json.loads(terraform.expect(0, "show", "-json", "plan").stdout)
    machine = next(
        change["change"] for change in plan["resource_changes"] if change["type"] == "vultr_instance"
    )
    assert machine["after_unknown"]["main_ip"] is True
    assert machine["after"]["region"] == "ams"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_behaviour_is_of_attributes_that_there_are(provider):
    """A misspelt `force_new` would never force anything."""
    schemas = load(provider)["provider_schemas"][address(provider)]
    for name, traits in load(f"{provider}.behaviour")["behaviour"].items():
        found = schemas["resource_schemas"].get(name) or schemas["data_source_schemas"][name]
        attributes = found["block"]["attributes"]
        assert set(traits.get("force_new", ())) <= set(attributes), name
        assert all(attributes[answer].get("computed") for answer in traits.get("answers", {})), name


def test_by_hand_it_says_that_it_is_not_for_hands():
    done = subprocess.run([sys.executable, SERVE, "x.json", "y.json"], capture_output=True, text=True, env={})
    assert (done.returncode, done.stdout) == (1, "")
    assert "which Terraform starts" in done.stderr


def test_a_schema_is_cut_down_to_what_is_used_and_without_prose():
    block = {
        "attributes": {"description": {"type": "string", "optional": True, "description": "Words."}},
        "description_kind": "plain",
    }
    schemas = {"used": {"version": 0, "block": block}, "other": {"version": 0, "block": {}}}
    printed = {
        "format_version": "1.0",
        "provider_schemas": {
            ADDRESS: {"provider": {"version": 0, "block": {}}, "resource_schemas": schemas, "functions": {}}
        },
    }
    kept = cut_down(printed, ADDRESS, {"used"}, set())["provider_schemas"][ADDRESS]["resource_schemas"]
    assert kept == {
        "used": {"version": 0, "block": {"attributes": {"description": {"type": "string", "optional": True}}}}
    }


def test_a_resource_that_a_provider_has_no_more_is_named():
    printed = {
        "format_version": "1.0",
        "provider_schemas": {
            ADDRESS: {
                "provider": {"version": 0, "block": {}},
                "resource_schemas": {},
                "data_source_schemas": {},
            }
        },
    }
    with pytest.raises(KeyError, match="gone"):
        cut_down(printed, ADDRESS, {"gone"}, set())
