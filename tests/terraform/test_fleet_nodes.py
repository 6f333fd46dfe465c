"""A folder that the real Terraform has been applied in gives nodes to the fleet."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fleet_text import BASE

from edge.errors import EdgeError
from edge.fleet import load_fleet

NODES = """
output "edge_nodes" {
  value = { "fra-2" = {
    name = "fra-2", provider = "hosts", site = "fra", server_id = "00000000000000f2"
    unicast_v4 = "203.0.113.12", unicast_v6 = "2001:db8:f1::12", ssh_host = "fra-2.example", ssh_user = "ops", bgp = null
  } }
}
"""


@pytest.mark.needs("terraform")
def test_what_terraform_has_applied_joins_the_fleet(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(BASE)
    folder = tmp_path / "infrastructure"
    folder.mkdir()
    (folder / "main.tf").write_text(NODES)
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1"}
    subprocess.run(["terraform", "init"], cwd=folder, env=environment, check=True, capture_output=True)
    with pytest.raises(EdgeError, match=r"has it been applied\?"):
        load_fleet(tmp_path / "fleet.toml", terraform=folder)
    apply = ["terraform", "apply", "-auto-approve"]
    subprocess.run(apply, cwd=folder, env=environment, check=True, capture_output=True)
    fleet = load_fleet(tmp_path / "fleet.toml", terraform=folder)
    assert fleet.names == ("ams-1", "ams-2", "fra-1", "fra-2")
    # The fleet file names the routers at fra, so it announces though Terraform knows no BGP there.
    assert fleet.node("fra-2").announce
