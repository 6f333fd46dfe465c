"""The example `lab`, applied by the real Terraform, is a fleet with a file that names its sites and no node."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.errors import EdgeError
from edge.fleet import load_fleet

ROOT = Path(__file__).resolve().parents[2]

FLEET = """\
[fleet]
name = "lab"
version = "0.1.0"
terraform = "terraform/examples/lab"
[secrets]
key_ring = "ring.toml"
certificate = "chain.pem"
private_key = "key.pem"
bgp_md5 = "md5.key"
[defaults.service]
addresses = ["192.0.2.1", "2001:db8:1::1"]
[defaults.bgp]
prefixes = ["192.0.2.0/24", "2001:db8:1::/48"]
[sites.ams]
[sites.fra]
[sites.waw]
"""


@pytest.mark.needs("terraform")
def test_what_terraform_has_applied_is_a_fleet(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET)
    shutil.copytree(
        ROOT / "terraform",
        tmp_path / "terraform",
        ignore=shutil.ignore_patterns(".terraform*", "terraform.tfstate*"),
    )
    folder = tmp_path / "terraform" / "examples" / "lab"
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1"}
    subprocess.run(["terraform", "init"], cwd=folder, env=environment, check=True, capture_output=True)
    with pytest.raises(EdgeError, match=r"has it been applied\?"):
        load_fleet(file)
    apply = ["terraform", "apply", "-auto-approve"]
    subprocess.run(apply, cwd=folder, env=environment, check=True, capture_output=True)

    fleet = load_fleet(file)
    assert [(node.name, node.site, node.user) for node in fleet.nodes] == [
        ("ams-1", "ams", "ops"),
        ("fra-1", "fra", "ops"),
        ("waw-1", "waw", "ops"),
    ]
    for node in fleet.nodes:
        bgp = node.config.bgp
        assert bgp is not None
        assert bgp.local_as == 64601
        assert [neighbor.local_address for neighbor in bgp.neighbors] == list(node.addresses)
        assert {neighbor.md5_file for neighbor in bgp.neighbors} == {
            "/run/credentials/edge.service/bgp-md5.key"
        }
