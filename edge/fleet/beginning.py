"""A fleet file to begin with: what somebody has to say, and the text that is made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from edge import __version__
from edge.errors import UsageError
from edge.fleet.writing import quoted

_PREFIX_LENGTHS: Final = {4: 24, 6: 48}
_ENOUGH: Final = 2  # others that must announce, if there are so many
_PASSWORD: Final = "bgp_md5"  # that which has a key in [secrets]; others have one in [secrets.md5]

_HEAD: Final = """\
# The one source of the fleet: the nodes' configurations, the Ansible inventory and the Prometheus targets are made of it.
# `edgectl fleet validate` says what is wrong with it. What else may stand here: docs/reference/fleet.toml.

[fleet]
name = {name}
version = {version}{after_version}# the release that the nodes shall run
{terraform}
[access]
transport = "ssh"               # as your own ssh reaches them, with its configuration, agent and jump hosts
{user}

# Files on this machine, plain or encrypted by ansible-vault. Their contents are never in here.
[secrets]
key_ring = "secrets/ring.toml"  # made by `edgectl keys new`
certificate = "secrets/chain.pem"
private_key = "secrets/key.pem"
{token_keys}
{md5}
[monitoring]
port = 9464                     # metrics, on the first address of each node

# Under [defaults] stands what is alike on all nodes, in the tables of a node's own configuration.
[defaults.service]
addresses = {service}
"""
_TERRAFORM: Final = """\
terraform = {source}  # the nodes, and whom they announce to: what `terraform output -json edge_nodes` prints
"""
_AUTH: Final = """
[defaults.auth]
mode = "token"                  # whoever has a token that is signed with a key of token_keys may call
audience = {audience}
"""
_OPEN: Final = """
# These service addresses are for documentation and laboratories; anybody may call. On the Internet, say:
# [defaults.auth]
# mode = "token"
# audience = "voice.example"    # and token_keys under [secrets]
"""
_BGP: Final = """
[defaults.bgp]
{local_as}prefixes = {prefixes}
"""
_POLICY: Final = """
[defaults.policy]
min_announcing = {min_announcing}              # a node leaves for load only while so many others announce
"""


@dataclass(frozen=True, slots=True)
class NewNode:
    """``addresses``: its own, one for each family."""

    name: str
    addresses: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> NewNode:
        """``NAME,ADDRESS[,ADDRESS]``. Raises UsageError."""
        name, *addresses = (part.strip() for part in text.split(","))
        if not name or not 1 <= len(addresses) <= 2 or not all(addresses):
            raise UsageError(f"{text!r} is no node; write NAME,ADDRESS or NAME,ADDRESS,ADDRESS")
        return cls(name, tuple(str(_address(address)) for address in addresses))

    @property
    def site(self) -> str:
        """``ams-1`` is at ``ams``."""
        return re.sub(r"[-._]?\d+$", "", self.name) or self.name


@dataclass(frozen=True, slots=True)
class NewUpstream:
    """A router at ``site`` that its nodes announce to."""

    site: str
    address: str
    asn: int

    @classmethod
    def parse(cls, text: str) -> NewUpstream:
        """``SITE,ADDRESS,AS``. Raises UsageError."""
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 3 or not parts[0] or not parts[2].isdecimal():
            raise UsageError(f"{text!r} is no upstream; write SITE,ADDRESS,AS")
        return cls(parts[0], str(_address(parts[1])), int(parts[2]))


@dataclass(frozen=True, slots=True)
class TerraformNodes:
    """Nodes that Terraform has, and whom they announce to.

    ``source``: where, as the fleet file shall say. ``announcing``: how many announce. ``passwords``: the names of their
    sessions' passwords.
    """

    source: str
    sites: tuple[str, ...]
    announcing: int
    passwords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beginning:
    """``audience`` None: no tokens are asked for. Without ``upstreams`` nothing is announced, and no ``local_as`` needed.

    With ``terraform`` there are neither ``nodes`` nor ``upstreams`` here.
    """

    name: str
    service: tuple[str, ...]
    nodes: tuple[NewNode, ...]
    upstreams: tuple[NewUpstream, ...] = ()
    local_as: int | None = None
    user: str | None = None
    audience: str | None = None
    terraform: TerraformNodes | None = None

    def __post_init__(self) -> None:
        sites = {node.site for node in self.nodes}
        for upstream in self.upstreams:
            if upstream.site not in sites:
                raise UsageError(f"upstream {upstream.address}: no node is at {upstream.site!r}")
        if self.upstreams and self.local_as is None:
            raise UsageError("--local-as: is needed to announce to an upstream")
        needed = {_address(address).version for address in self.service}
        for node in self.nodes:
            lacking = needed - {_address(address).version for address in node.addresses}
            if lacking and _routers(self, node.site):
                version = min(lacking)
                raise UsageError(
                    f"node {node.name}: has no IPv{version} address, as it needs to announce the IPv{version} service "
                    "address; give it one"
                )


def needs_tokens(service: tuple[str, ...]) -> bool:
    """Whether somebody on the Internet could reach one of these."""
    return any(_address(address).is_global for address in service)


def prefixes(service: tuple[str, ...]) -> list[str]:
    """The longest that the Internet accepts around them."""
    found = [
        str(ip_network((address, _PREFIX_LENGTHS[_address(address).version]), strict=False))
        for address in service
    ]
    return list(dict.fromkeys(found))


def written(beginning: Beginning) -> str:
    """The fleet file."""
    terraform = beginning.terraform
    announcing = sum(bool(_routers(beginning, node.site)) for node in beginning.nodes)
    if terraform is not None:
        announcing += terraform.announcing
    parts = [
        _HEAD.format(
            name=quoted(beginning.name),
            version=quoted(__version__),
            after_version=" " * max(1, 22 - len(quoted(__version__))),
            terraform="" if terraform is None else _TERRAFORM.format(source=quoted(terraform.source)),
            md5="" if terraform is None else _passwords(terraform.passwords),
            user=f"user = {quoted(beginning.user)}"
            if beginning.user
            else '# user = "ops"                # the login on the nodes',
            token_keys=(
                'token_keys = "secrets/tokens.jwks"  # made by `edgectl token key`'
                if beginning.audience
                else '# token_keys = "secrets/tokens.jwks"  # made by `edgectl token key`'
            ),
            service=_list(beginning.service),
        ),
        _AUTH.format(audience=quoted(beginning.audience)) if beginning.audience else _OPEN,
    ]
    if announcing:
        local_as = "" if terraform is not None else f"local_as = {beginning.local_as}\n"
        parts.append(_BGP.format(local_as=local_as, prefixes=_list(prefixes(beginning.service))))
    if 1 < announcing <= _ENOUGH:
        parts.append(_POLICY.format(min_announcing=announcing - 1))
    announced = prefixes(beginning.service)
    sites = (node.site for node in beginning.nodes) if terraform is None else terraform.sites
    parts += [_site(beginning, site, announced) for site in dict.fromkeys(sites)]
    parts += [
        _node(beginning, number, node, announces=bool(announcing))
        for number, node in enumerate(beginning.nodes, 1)
    ]
    return "".join(parts)


def _passwords(names: tuple[str, ...]) -> str:
    """The files for them, under ``[secrets]`` and behind it."""
    one = [f"{_line(name)}  # the password of the BGP sessions\n" for name in names if name == _PASSWORD]
    more = [f"{_line(name)}\n" for name in names if name != _PASSWORD]
    return "".join([*one, *(["\n[secrets.md5]\n"] if more else []), *more])


def _line(name: str) -> str:
    return f'{name} = "secrets/{name.replace("_", "-")}.key"'


def _site(beginning: Beginning, site: str, announced: list[str]) -> str:
    families = [f"ipv{ip_network(prefix).version}" for prefix in announced]
    blocks = [f'\n[sites.{_table_key(site)}]\ndescription = ""\n']
    for upstream in _routers(beginning, site):
        lines = [
            f"[[sites.{_table_key(site)}.defaults.bgp.neighbors]]",
            f"address = {quoted(upstream.address)}",
            f"peer_as = {upstream.asn}",
            f"families = {_list(_carried(beginning, upstream, families))}",
        ]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _carried(beginning: Beginning, upstream: NewUpstream, families: list[str]) -> list[str]:
    """By one session both, unless the site has a router for each family."""
    own = f"ipv{_address(upstream.address).version}"
    versions = {_address(router.address).version for router in _routers(beginning, upstream.site)}
    return [family for family in families if len(versions) == 1 or family == own]


def _node(beginning: Beginning, number: int, node: NewNode, *, announces: bool) -> str:
    silent = "" if not announces or _routers(beginning, node.site) else "announce = false\n"
    return (
        f"\n[[nodes]]\nname = {quoted(node.name)}\nsite = {quoted(node.site)}\n"
        f'server_id = "{number:016x}"  # in its connection IDs; never another node\'s\n'
        f"addresses = {_list(node.addresses)}\n{silent}"
    )


def _routers(beginning: Beginning, site: str) -> list[NewUpstream]:
    return [upstream for upstream in beginning.upstreams if upstream.site == site]


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        raise UsageError(f"{text!r} is no IP address") from None


def _table_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def _list(texts: list[str] | tuple[str, ...]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"
