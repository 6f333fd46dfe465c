"""What the providers' schemas are here for: a module that does not fit them is refused, with the place and the reason."""

import pytest
from terraform.given import GIVEN

pytestmark = pytest.mark.needs("terraform")


def edit(terraform, file, old, new):
    path = terraform.folder / file
    text = path.read_text()
    assert old in text, f"{file} has no {old!r} any more"
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    "inner, file, old, new, said",
    [
        (
            "modules/vultr-node", "main.tf", "enable_ipv6 ", "enable_ip6 ",
            'An argument named "enable_ip6" is not expected here. Did you mean "enable_ipv6"?',
        ),
        (
            "modules/vultr-node", "main.tf", "region            = each.value.region\n", "",
            'The argument "region" is required',
        ),
        (
            "modules/vultr-node", "main.tf", "tags              = var.tags", "tags              = [[1]]",
            'Inappropriate value for attribute "tags"',
        ),
        (
            "modules/vultr-node", "main.tf", "vultr_firewall_group.nodes.id", "vultr_firewall_group.nodes.key",
            'This object has no argument, nested block, or exported attribute named "key"',
        ),
        (
            "modules/cherry-node", "main.tf", "project_id = var.project_id", 'project_id = "siauliai"',
            'Inappropriate value for attribute "project_id": a number is required',
        ),
        (
            "modules/cherry-node", "main.tf", "self.bgp.enabled", "self.bgp.on",
            "This object does not have an attribute named",
        ),
        (
            "modules/aws-node", "nlb.tf", "quic_server_id ", "quic_id ",
            'An argument named "quic_id" is not expected here',
        ),
        (
            "modules/aws-node", "main.tf", 'http_tokens   = "required"', "http_tokens = {}",
            'Inappropriate value for attribute "http_tokens": string required',
        ),
        (
            "modules/aws-node", "accelerator.tf", "port_range {", "ports {",
            'Blocks of type "ports" are not expected here',
        ),
        (
            "modules/aws-node", "firewall.tf", '"aws_security_group" "nodes"', '"aws_security_groop" "nodes"',
            'does not support resource type "aws_security_groop"',
        ),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_caught(workspace, inner, file, old, new, said):
    terraform = workspace(inner)
    terraform.expect(0, "init")
    edit(terraform, file, old, new)
    assert said in terraform.expect(1, "validate").said


def test_an_older_provider_than_the_module_needs_is_refused(workspace):
    """`quic_server_id` is not in the AWS provider before 6.28.0, so the constraint is part of the module."""
    terraform = workspace("modules/aws-node")
    edit(terraform, "versions.tf", ">= 6.28.0", ">= 6.29.0")
    assert "no available releases match the given constraints" in terraform.expect(1, "init").said


def test_a_provider_of_which_nothing_is_known_here_is_refused(workspace):
    terraform = workspace("modules/vultr-node")
    edit(terraform, "versions.tf", '"vultr/vultr"', '"vultr/vulture"')
    assert "registry.terraform.io/vultr/vulture was not found" in terraform.expect(1, "init").said


@pytest.mark.parametrize(
    "change, said",
    [
        ({"ssh_from": "everywhere"}, "list of string required"),
        (
            {"nodes": {"a-1": {"site": "a", "server_id": "00000000000000a1"}}},
            'attribute "region" is required',
        ),
        ({"bgp": {"local_as": "AS64601"}}, "not suitable for var.bgp declared at variables.tf"),
    ],
)
def test_a_value_of_a_wrong_type_is_caught(workspace, change, said):
    terraform = workspace("modules/vultr-node")
    terraform.expect(0, "init")
    terraform.give(GIVEN["modules/vultr-node"] | change)
    assert said in terraform.expect(1, "plan").said
