"""What an operator does on the controller of a bed, from Terraform to a fleet that is announced: the commands of the docs."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bed import wheelhouse
from bed.controller import ROOT
from bed.handle import Bed, Completed
from bed.plan import CONTROLLER, NODE_AS, NODES, ROUTER_AS, SERVICE

from edge import __version__

_PLAY_S: Final = 900.0  # of a play that installs: a minute where nothing else runs
_RECAP: Final = re.compile(r"^(?P<host>[\w-]+) +: (?P<counts>(?:\w+=\d+ *)+)$", re.MULTILINE)

FLEET: Final = """\
[fleet]
name = "voice"
version = "{version}"
terraform = "edge_nodes.json"

[access]
transport = "ssh"

[secrets]
key_ring = "secrets/ring.toml"
certificate = "secrets/chain.pem"
private_key = "secrets/key.pem"
bgp_md5 = "secrets/bgp-md5.key"

[monitoring]
port = 9464
page_port = 9465

[defaults.service]
addresses = [{addresses}]

[defaults.bgp]
prefixes = [{prefixes}]

[defaults.policy]
min_announcing = 1  # one node of three may be taken out of the fleet

[defaults.shutdown]
grace_s = 3.0  # no router is far away here

[sites.ams]
description = "Amsterdam"

[sites.fra]
description = "Frankfurt"

[sites.fra.defaults.bgp]
speaker = "bird"

[sites.nyc]
description = "New York"
"""


@dataclass(frozen=True, slots=True)
class Played:
    """A playbook that was run: what it said, and of each host its counts by name."""

    said: str
    hosts: dict[str, dict[str, int]]

    @property
    def words(self) -> str:
        """What it said, however its lines were broken."""
        return " ".join(self.said.split())

    def changed(self) -> dict[str, int]:
        return {host: counts["changed"] for host, counts in self.hosts.items()}


@dataclass(slots=True)
class Desk:
    """An operator at the controller. ``phases``: seconds by what was done."""

    bed: Bed
    phases: dict[str, float] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    """What must not be seen anywhere."""
    leaking: set[str] = field(default_factory=set)
    """Programs that were seen with one of them while the fleet was made."""
    played: list[Played] = field(default_factory=list)

    @property
    def fleet_file(self) -> Path:
        return self.bed.home / "fleet.toml"

    @property
    def bare_file(self) -> Path:
        """The same, all of whose neighbors are Terraform's."""
        return self.bed.home / "bare.toml"

    @property
    def vault(self) -> Path:
        """The folder of the secrets."""
        return self.bed.home / "secrets"

    def prepare(self) -> None:
        """A key ring, and a fleet file without nodes: those come from Terraform.

        So do their neighbors, but for one word: the router of a bed does not damp, and nodes leave and come back in minutes.
        """
        self.edgectl("keys", "new", str(self.vault / "ring.toml"))
        quoted = ", ".join(f'"{service.ip}"' for service in SERVICE)
        prefixes = ", ".join(f'"{service.network}"' for service in SERVICE)
        text = FLEET.format(version=__version__, addresses=quoted, prefixes=prefixes)
        for file in (self.bare_file, self.fleet_file):
            file.write_text(text)

    def terraform(self) -> dict[str, Any]:
        """The example `lab` on the bed's machines; its output, which is also left beside the fleet file."""
        copy = self.bed.home / "terraform"
        shutil.copytree(ROOT / "terraform", copy, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        folder = copy / "examples" / "lab"
        (folder / "bed.auto.tfvars.json").write_text(json.dumps({"nodes": _machines()}))
        with self._phase("terraform"):
            self._terraform(folder, "init", "-input=false")
            self._terraform(folder, "apply", "-input=false", "-auto-approve")
        output = self._terraform(folder, "output", "-json", "edge_nodes").stdout
        (self.bed.home / "edge_nodes.json").write_text(output)
        nodes: dict[str, Any] = json.loads(output)
        with self.fleet_file.open("a") as file:
            file.writelines(_undamped(nodes))
        return nodes

    def inventory(self) -> Path:
        """As Ansible reads it, beside the fleet file."""
        path = self.bed.home / "inventory.json"
        path.write_text(self.of_fleet("inventory", "-o", "ansible").stdout)
        return path

    @contextmanager
    def edited(self, before: str, after: str) -> Iterator[None]:
        """Within the block the fleet file, and the inventory, say ``after`` instead of ``before``."""
        text = self.fleet_file.read_text()
        assert before in text
        self.fleet_file.write_text(text.replace(before, after))
        try:
            self.inventory()
            yield
        finally:
            self.fleet_file.write_text(text)
            self.inventory()

    def play(self, playbook: str, phase: str, *options: str, exit_code: int = 0) -> Played:
        """Run one of our playbooks as a user does, in the folder ``ansible``."""
        argv = [
            "ansible-playbook",
            "-i",
            str(self.bed.home / "inventory.json"),
            f"playbooks/{playbook}",
            *options,
        ]
        with self._phase(phase):
            done = self.bed.run(
                CONTROLLER,
                *("env", f"--chdir={ROOT / 'ansible'}", "ANSIBLE_NOCOLOR=1", *argv),
                timeout=_PLAY_S,
            )
        assert done.returncode == exit_code, done.stdout[-6000:] + done.stderr[-2000:]
        hosts = {
            found["host"]: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", found["counts"])}
            for found in _RECAP.finditer(done.stdout)
        }
        self.played.append(Played(done.stdout + done.stderr, hosts))
        return self.played[-1]

    def status(self) -> dict[str, dict[str, Any]]:
        """What each node says of itself, by name; None for one that does not answer."""
        told = self.of_fleet("status", "-o", "json").stdout
        return {node["name"]: node["status"] for node in json.loads(told)["nodes"]}

    def wait_ready(self, phase: str | None = None) -> None:
        """Until every node announces and has its sessions."""
        began = time.monotonic()
        self.of_fleet("status", "--wait", "ready", "--wait-for", "2m", timeout=180)
        if phase is not None:
            self.phases[phase] = time.monotonic() - began

    def of_fleet(self, *argv: str, **how: Any) -> Completed:
        """edgectl, of this fleet."""
        return self.edgectl("--fleet", str(self.fleet_file), *argv, **how)

    def release_options(self, version: str = __version__) -> tuple[str, str]:
        """For `play`: where the release is that machines shall get."""
        return "-e", f"edge_release_archive={wheelhouse.archive(self.bed.home, version)}"

    def edgectl(self, *argv: str, exit_code: int = 0, timeout: float = 120) -> Completed:
        """At the controller; the fleet file is named by the caller, where it is needed."""
        done = self.bed.edgectl(*argv, timeout=timeout)
        assert done.returncode == exit_code, (
            f"edgectl {' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def _terraform(self, folder: Path, *argv: str) -> Completed:
        settings = [f"TF_CLI_CONFIG_FILE={os.devnull}", "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1"]
        command = ["env", *settings, "terraform", f"-chdir={folder}", *argv]
        done = self.bed.run(CONTROLLER, *command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.phases[name] = time.monotonic() - began


def _undamped(nodes: dict[str, Any]) -> Iterator[str]:
    """What Terraform says of neighbors, for the fleet file, which may say more of them."""
    for node in nodes.values():
        for peer in node["bgp"]["peers"]:
            yield f"""
[[sites.{node["site"]}.defaults.bgp.neighbors]]
address = "{peer["address"]}"
peer_as = {peer["as"]}
md5_file = "{peer["md5_secret_ref"]}"
damping = "off"
"""


def _machines() -> dict[str, dict[str, Any]]:
    """The bed's nodes, as the example `lab` takes machines."""
    return {
        node.name: {
            "site": node.site,
            "server_id": node.server_id,
            "unicast_v4": str(node.v4.ip),
            "unicast_v6": str(node.v6.ip),
            "ssh_host": node.mgmt,
            "bgp": {
                "local_as": NODE_AS,
                "peers": [
                    {"address": str(router), "as": ROUTER_AS, "md5_secret_ref": "bgp_md5"}
                    for router in (node.router_v4, node.router_v6)
                ],
            },
        }
        for node in NODES
    }
