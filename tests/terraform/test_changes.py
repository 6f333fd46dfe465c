"""What a change does to machines that are there: a fleet must not be made anew because a key was added."""

import json

import pytest
from terraform.given import ANOTHER_KEY, GIVEN, KEY

from terraform import harness

pytestmark = pytest.mark.needs("terraform")

MACHINES = {
    "modules/vultr-node": ("vultr_instance", "region"),
    "modules/cherry-node": ("cherryservers_server", "region"),
    "modules/aws-node": ("aws_instance", "subnet_id"),
}


@pytest.fixture(scope="module", params=MACHINES)
def fleet(terraform_config, tmp_path_factory, request):
    """A module that was applied; it is only planned from here on."""
    terraform = harness.workspace(tmp_path_factory.mktemp("fleet"), terraform_config, request.param)
    terraform.give(GIVEN[request.param])
    terraform.expect(0, "init")
    terraform.expect(0, "apply", "-auto-approve")
    return request.param, terraform


def planned(terraform, values):
    """What would be done to what, but for what stays as it is."""
    terraform.give(values)
    terraform.expect(0, "plan", "-out=plan")
    plan = json.loads(terraform.expect(0, "show", "-json", "plan").stdout)
    changes = {change["address"]: change["change"]["actions"] for change in plan["resource_changes"]}
    return {address: actions for address, actions in changes.items() if actions not in (["no-op"], ["read"])}


def test_machines_outlive_a_new_key_and_a_new_image_and_get_neighbours(fleet):
    inner, terraform = fleet
    machine, _attribute = MACHINES[inner]
    values = GIVEN[inner] | {"ssh_public_keys": [KEY, ANOTHER_KEY]}
    image = {
        "modules/vultr-node": {"os_name": "Debian 13 x64 (trixie)"},
        "modules/cherry-node": {"image": "debian_13_64bit"},
        "modules/aws-node": {"ami": "ami-2"},
    }[inner]
    assert planned(terraform, values | image) == {}
    another = GIVEN[inner]["nodes"]["a-1"] | {"server_id": "00000000000000c1"}
    changes = planned(terraform, values | {"nodes": GIVEN[inner]["nodes"] | {"c-1": another}})
    assert changes[f'{machine}.node["c-1"]'] == ["create"]
    assert not any(f'{machine}.node["{old}"]' in changes for old in GIVEN[inner]["nodes"])


def test_a_machine_elsewhere_is_another_machine(fleet):
    inner, terraform = fleet
    machine, attribute = MACHINES[inner]
    moved = GIVEN[inner]["nodes"]["a-1"] | {attribute: "elsewhere"}
    changes = planned(terraform, GIVEN[inner] | {"nodes": GIVEN[inner]["nodes"] | {"a-1": moved}})
    assert changes[f'{machine}.node["a-1"]'] == ["delete", "create"]
    assert f'{machine}.node["b-1"]' not in changes
    assert "forces replacement" in terraform.expect(0, "show", "plan").said


def test_a_new_server_id_is_registered_anew(workspace):
    """AWS has no way to change it in place: the target is taken out and put in again."""
    terraform = workspace("modules/aws-node")
    terraform.give(GIVEN["modules/aws-node"])
    terraform.expect(0, "init")
    terraform.expect(0, "apply", "-auto-approve")
    nodes = GIVEN["modules/aws-node"]["nodes"]
    renumbered = nodes | {"a-1": nodes["a-1"] | {"server_id": "00000000000000ff"}}
    assert planned(terraform, GIVEN["modules/aws-node"] | {"nodes": renumbered}) == {
        'aws_lb_target_group_attachment.node["a-1"]': ["delete", "create"]
    }


def test_a_new_name_leaves_machines_in_a_group_and_the_balancer_where_it_is(workspace):
    """A group that machines are in cannot be deleted, and a balancer that callers' names point to should not be."""
    terraform = workspace("modules/aws-node")
    terraform.give(GIVEN["modules/aws-node"])
    terraform.expect(0, "init")
    terraform.expect(0, "apply", "-auto-approve")
    state = json.loads(terraform.expect(0, "show", "-json").stdout)["values"]["root_module"]["resources"]
    (balancer,) = [one["values"] for one in state if one["type"] == "aws_lb"]
    assert balancer["enable_deletion_protection"] is True
    changes = planned(terraform, GIVEN["modules/aws-node"] | {"name": "voice"})
    assert changes["aws_security_group.nodes"] == ["create", "delete"]
    assert changes['aws_instance.node["a-1"]'] == ["update"]
