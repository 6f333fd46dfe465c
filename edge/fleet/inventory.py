"""The fleet as an Ansible inventory: one that stands in a file, and what a program answers to ``--list`` and ``--host``.

Hosts are the nodes by name, in the group ``edge`` and in one for each site. No secret is in it, only where its file is.
"""

from __future__ import annotations

from typing import Any, Final

from edge.fleet.checks import group_name
from edge.fleet.model import Fleet, Node
from edge.fleet.render import members_toml, node_toml

GROUP: Final = "edge"

Variables = dict[str, Any]


def static(fleet: Fleet) -> dict[str, Any]:
    """For a file, in the form of Ansible's plugin ``yaml``; JSON is YAML."""
    sites: Variables = {
        group_name(site): {"hosts": {str(node.name): {} for node in fleet.at(site)}} for site in fleet.sites
    }
    hosts = {str(node.name): host_variables(fleet, node) for node in fleet.nodes}
    group = {"hosts": hosts, "children": sites, "vars": group_variables(fleet)}
    return {"all": {"children": {GROUP: group}}}


def dynamic(fleet: Fleet) -> dict[str, Any]:
    """What a program answers to ``--list``, in the form of the plugin ``script``."""
    sites = {group_name(site): {"hosts": [str(node.name) for node in fleet.at(site)]} for site in fleet.sites}
    return {
        GROUP: {
            "hosts": list(fleet.names),
            "children": list(sites),
            "vars": group_variables(fleet),
        },
        **sites,
        "_meta": {"hostvars": {str(node.name): host_variables(fleet, node) for node in fleet.nodes}},
    }


def group_variables(fleet: Fleet) -> Variables:
    return {
        "edge_fleet": str(fleet.name),
        "edge_version": fleet.version,
        "edge_members_toml": _literal(members_toml(fleet)),
        "edge_secret_files": _files(fleet.secrets.named()),
        "edge_sealed": fleet.secrets.sealed,
    }


def host_variables(fleet: Fleet, node: Node) -> Variables:
    """A node that has a secret of its own has a list of its own."""
    variables: Variables = {
        "ansible_host": node.ssh,
        "edge_site": str(node.site),
        "edge_node_toml": _literal(node_toml(fleet, node)),
        "edge_service_addresses": [str(address) for address in node.config.service.addresses],
        "edge_source_routes": [
            {"source": str(route.source), "gateway": str(route.gateway), "table": route.table}
            for route in node.config.source_routes
        ],
        "edge_bgp_speaker": node.config.bgp.speaker if node.config.bgp else "none",
        "edge_bfd": node.config.bgp is not None and node.config.bgp.bfd is not None,
    }
    if node.user is not None:
        variables["ansible_user"] = node.user
    if fleet.access.transport == "unix":
        variables["ansible_connection"] = "local"
    if node.secrets.named() != fleet.secrets.named():
        variables["edge_secret_files"] = _files(node.secrets.named())
    return variables


def _literal(text: str) -> str:
    """For Ansible, which takes strings for templates."""
    return f"{{% raw %}}{text}{{% endraw %}}" if any(mark in text for mark in ("{{", "{%", "{#")) else text


def _files(named: dict[str, Any]) -> dict[str, str]:
    return {name: str(path) for name, path in named.items()}
