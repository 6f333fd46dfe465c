"""The whole way: Terraform makes machines, and `edgectl inventory` has all that Ansible needs to make nodes of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from terraform.given import GIVEN

from edge.config.load import parse_config
from terraform import harness

pytestmark = pytest.mark.needs("terraform")

BEGIN = """
[fleet]
name = "voice"
version = "0.1.0"

[access]
transport = "ssh"

[secrets]
key_ring = "secrets/ring.toml"
certificate = "secrets/chain.pem"
private_key = "secrets/key.pem"
"""
ANYCAST = """
[defaults.service]
addresses = ["192.0.2.1"]

[defaults.bgp]
local_as = 64601
prefixes = ["192.0.2.0/24"]
"""
FLEETS = {
    "examples/lab": BEGIN
    + 'bgp_md5 = "secrets/bgp-md5.key"\n'
    + ANYCAST
    + "[sites.ams]\n[sites.fra]\n[sites.waw]\n",
    "examples/mixed": BEGIN
    + '[secrets.md5]\nbgp_md5_ams = "secrets/ams.key"\nbgp_md5_vultr = "secrets/vultr.key"\n'
    + ANYCAST
    + "[sites.ams]\n[sites.ewr]\n[sites.vno]\n",
    "examples/aws-nlb": BEGIN
    + """
[defaults.cid]
profile = "aws-nlb"

[defaults.forward]
return_path = "ingress"

[defaults.quic]
preferred_address = false

[defaults.unicast]
name = "voice.example"

[sites.zone-a]
[sites.zone-b]

[[nodes]]
name = "a-1"
[nodes.config.service]
addresses = ["198.51.100.11"]

[[nodes]]
name = "b-1"
[nodes.config.service]
addresses = ["198.51.100.21"]
""",
}


@pytest.fixture(scope="module", params=FLEETS)
def made(terraform_config, tmp_path_factory, request):
    """An example that was applied: its workspace, and a fleet file for it."""
    place = tmp_path_factory.mktemp("made")
    terraform = harness.workspace(place, terraform_config, request.param)
    terraform.give(GIVEN[request.param])
    terraform.expect(0, "init")
    terraform.expect(0, "apply", "-auto-approve")
    fleet = place / "fleet.toml"
    fleet.write_text(FLEETS[request.param])
    return terraform, fleet


def inventory(fleet: Path, source: Path, environment: dict[str, str]) -> dict:
    command = [sys.executable, "-m", "edge.cli", "inventory", "--fleet", fleet, "--from-terraform", source]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["all"]["children"]["edge"]


def test_every_machine_is_a_host_with_a_configuration_that_a_node_accepts(made):
    terraform, fleet = made
    nodes = terraform.output("edge_nodes")
    # A folder: edgectl runs Terraform itself, as the user's environment has it.
    group = inventory(fleet, terraform.folder, terraform.everything | {"PYTHONPATH": str(harness.ROOT)})
    assert group["hosts"].keys() == nodes.keys()
    for name, host in group["hosts"].items():
        node = nodes[name]
        assert (host["ansible_host"], host["ansible_user"]) == (node["ssh_host"], node["ssh_user"])
        config = parse_config(host["edge_node_toml"], Path("/"))
        assert bytes(config.node.server_id).hex() == node["server_id"]
        assert list(config.unicast.addresses) == [ip for ip in (node["unicast_v4"], node["unicast_v6"]) if ip]
        peers = (
            {neighbor.address: neighbor.peer_as for neighbor in config.bgp.neighbors} if config.bgp else {}
        )
        assert peers == {peer["address"]: peer["as"] for peer in (node["bgp"] or {"peers": ()})["peers"]}


def test_a_file_with_the_output_does_as_well(made, tmp_path):
    """The state may be on a machine where edgectl is not."""
    terraform, fleet = made
    printed = tmp_path / "edge_nodes.json"
    printed.write_text(terraform.expect(0, "output", "-json", "edge_nodes").stdout)
    environment = {"PYTHONPATH": str(harness.ROOT), "PATH": "/nowhere"}
    assert inventory(fleet, printed, environment) == inventory(
        fleet, terraform.folder, terraform.everything | environment | {"PATH": terraform.everything["PATH"]}
    )
